"""Every tolerance of the test suite, with the reason for its size."""

# Two float64 evaluations of the same closed form, in a different order of operations.
FLOAT64 = 1e-12

# --- vggt ---

# A float64 network of a few small layers in another order of operations; values are below 100.
FLOAT64_NETWORK = 1e-11

# One rotation in float32 of normal numbers (at most about 5): two products and a sum, each
# rounded to 6e-8 of its size.
FLOAT32_ROTATION = 2e-6

# Relative error of a standard deviation estimated from n normal numbers: 1 / sqrt(2 n) is 0.7 %
# for the smallest sample here (n = 12288); five times that.
SAMPLED_STANDARD_DEVIATION = 0.035

# Parity with the reference in float32: its own rounding is at most 6e-6 on the fixtures, while the
# smallest mistake they are built to show (a tanh GELU) moves an output by 6e-4.
PARITY_ABSOLUTE = 5e-5
PARITY_RELATIVE = 1e-5

# Our float64 against the reference's float32: the reference's rounding, recorded in the fixture,
# once for rounding itself and once for the operations that we order otherwise.
PARITY_FLOAT64_FACTOR = 2

# The reference rounds a rotary angle to float32, frequency and product: 2^-24 each of the angle,
# which is at most the position. We do not.
ROTARY_ANGLE_ROUNDING = 2**-23

# --- chapters ---

# The landmark flow takes finite steps and the law infinitely small ones: an error of first order
# in the step (a test shows the slope), 6 % at step 0.25 after 48 layers.
LANDMARK_FLOW = 0.08

# --- theory and measure ---

# Gauss–Hermite quadrature with 160 nodes: truncation at sharpness .65 leaves 5e-13.
QUADRATURE = 1e-10
# An adaptive solver run at relative tolerance 1e-12, error accumulated over the interval.
ODE = 1e-9
# The Riccati integrator runs at relative tolerance 1e-10; late times add the absolute one.
RICCATI = 1e-7
# Slope of a pre-norm flow stepped by 2 % of the depth time: at most step * λ(1-λ)/2 = .0025 from
# the Euler step, the rest from the width of the cap.
PRE_NORM_SLOPE = 5e-3
# The solver of the tests, run far below the tolerance that the comparison asks for.
ODE_SOLVER = {"rtol": 1e-12, "atol": 1e-14}
# Velocity of the Riccati flow from one step of 1e-6: the integrator's relative tolerance over the
# step is 1e-4, the curvature of the flow times the step ten times less.
RICCATI_VELOCITY = 1e-4
# A relative excess of 5e-6 read from the difference of two float64 numbers of size one.
SMALL_EXCESS = 1e-9
# Slope of a closed form read over one decade in its tail, where the correction is below 1e-4.
TAIL_SLOPE = 1e-3


def sampling(count: int) -> float:
    """Relative fluctuation of a statistic of ``count`` independent tokens, one over its root."""
    return count**-0.5


def quoted(decimals: int) -> float:
    """Rounding of a number quoted with so many decimals, half a unit of the last one."""
    return 0.5 * 10.0**-decimals


# --- scenes ---

# A window of a pulse train sampled at 20000 points: at most three edges per unit of width 2.7 are
# misplaced by half a sample each.
PULSE_SAMPLING = 4e-4
# Area share of joints counted on 500 x 500 points: their edges fall between points.
PATTERN_AREA = 5e-3
# A float64 point at the root of a quadratic, a few units from the origin; near a silhouette the
# root loses digits of the depth, not of the distance to the surface.
RAY_ROOT = 1e-10
# Central differences over 1e-6 of a float64 distance of size 1: rounding 1e-16 / 1e-6, and the
# curvature of the smallest ball, which acts at second order.
FINITE_DIFFERENCE = 1e-8
# Pixels (up to about 50) and depths of float64 points through a rotation, a division and back.
PROJECTION = 1e-11
# Mean colour difference between frames where both see a point: each image is filtered to its own
# pixels, and edges within a pixel of the point mix in. Ten times less than the contrast.
WARPED_COLOUR = 0.025
# float32 positions of size 10 carry 1e-6; grazing rays multiply that by up to a hundred.
FLOAT32_RENDERING = 1e-4

# --- widgets ---

# The page's arithmetic against the library's, both float64 and of order one to 1e3: the budget
# of the book for any number that the reader's browser computes.
PAGE_ARITHMETIC = 1e-9

# The singular values of that flow come from the square of the spread: twice its error.
LANDMARK_SPECTRUM = 2 * LANDMARK_FLOW

# 4000 or 2048 Gaussian tokens with sharpness below one half: fluctuations of about 1 / sqrt(N),
# 2 %, doubled for products of two directions, and again for the square in the stable rank.
GAUSSIAN_HEAD = 0.08

# Slopes over two decades or more, fitted through few points with sampling or first-order error.
FITTED_SLOPE = 0.05

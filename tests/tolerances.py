"""Every tolerance of the test suite, with the reason for its size."""

import math

# Two float64 evaluations of the same closed form, in a different order of operations.
FLOAT64 = 1e-12

# --- vggt ---

# A float64 network of a few small layers in another order of operations; values are below 100.
FLOAT64_NETWORK = 1e-11

# One rotation in float32 of normal numbers (at most about 5): two products and a sum, each
# rounded to 6e-8 of its size.
FLOAT32_ROTATION = 2e-6

# Entries of a rotation or a quaternion, at most one, in float32: eight roundings of 6e-8.
FLOAT32_POSE = 5e-7

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
# The singular values of that flow come from the square of the spread: twice its error.
LANDMARK_SPECTRUM = 2 * LANDMARK_FLOW
# 4000 or 2048 Gaussian tokens with sharpness below one half: fluctuations of about 1 / sqrt(N),
# 2 %, doubled for products of two directions, and again for the square in the stable rank.
GAUSSIAN_HEAD = 0.08
# Twenty recorded layers, each with maps of its own: their means over heads scatter by 8 % about a
# line through 1.6 in the logarithm of the layer, .04 in its slope; twice that.
RECORDED_SLOPE = 0.08
# 24 layers that add four updates each, scaled by .01: as a random walk 10 % of a token, of which
# less than half changes the spread.
SMALL_LAYER_SCALE = 0.05
# Entropy of a sink that leaves 1e-4 to 1e5 tokens: one token counted too many, 1e-5 of it, and the
# square of the share, 2e-6.
SINK_ENTROPY = 2e-5
# LayerNorm adds 1e-5 to a variance, here a quarter or more: half of their ratio in a norm.
NORMALISED_LENGTH = 2e-5
# Biases, norms and scales of a block of width 1024: 15.25 / (12 * 1024) of its parameters.
BLOCK_BIASES = 1.25e-3
# Patches and positions: a thousandth of the counted work.
UNCOUNTED_WORK = 1e-3
# Two passes that do the same work: what the clock of a device drifts between them.
LEVEL = 0.01

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
# Slope of a closed form fitted over two decades or more in its tail, from where the correction to
# the power law is below 1e-3.
TAIL_SLOPE = 1e-3
# Slopes over two decades or more, fitted through few points with sampling or first-order error.
FITTED_SLOPE = 0.05


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
# Roots in float32 by the same operations, which a compiler for GPUs joins to fused multiply-adds.
RAY_FLOAT32 = 1e-3
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

# --- theory.pde ---

# The Barenblatt solution at exponent 1 + 1e-6 against the heat kernel, 1e-6 away times a constant
# of about ten at three standard deviations.
POROUS_MEDIUM_TO_HEAT = 1e-5
# The particle solver at relative tolerance 1e-7 a step, over tens of steps.
PARTICLE_SOLVER = 1e-5
# Finite volumes with steps that change the spread by 2 %, a method of third order.
FINITE_VOLUME = 1e-4
# Slope of the error when the grid is halved: limited slopes lose some of the second order where
# the density has a maximum.
SECOND_ORDER_SLOPE = 0.25
# Singular values from a density on cells, whose variance is good to FINITE_VOLUME.
DENSITY_TO_SPECTRUM = 1e-4
# Two grids of the same kind and 1500 tokens at quantiles: h²/12 of the variance, h = variance / 30.
DENSITY_TO_PARTICLES = 1e-3
# Slope through six mean errors over 40 draws, each good to 12 %: .04 in the slope over 1.5 decades.
FLUCTUATION_SLOPE = 0.1
# 2 t times the variance of two hills, less one, at t = 400: the start leaves about 1.2 / t.
TWO_HILLS_TAIL = 4e-3
# Their standardised density at t = 71 against t = 400: the start leaves about .05 / t.
TWO_HILLS_SHAPE = 1e-3

# --- theory.spectrum ---

# Products of a dozen Bessel ratios, and series whose logarithms reach 1e4: rounding of 1e-16
# times their size, the rest from the cumulated sums.
SPHERICAL = 2e-11
# The deficit on the sphere over kappa: a difference of two numbers of the size of kappa, one from a
# recurrence of sqrt(kappa) steps (1e4 at most in the tests), each with a rounding of 1e-16.
SHARP_DEFICIT = 1e-14
# 1500 directions in three or four dimensions: 1 / sqrt(N), doubled for squares.
SPHERICAL_SAMPLE = 0.05
# The same spectrum or covariance after a rotation: square roots of variances of at least .1 and
# singular values, a hundred roundings, which a sharpness of .65 multiplies by at most ten.
ROTATED_SPECTRUM = 1e-11
# 22 Gauss–Hermite nodes a direction at sharpness .4: the highest orders are cut off.
GROUPS = 2e-3
# Measures of second order in the sharpness, over twenty layers with steps of a tenth: sampling of
# 1500 tokens, doubled for squares, and 4 % from the step.
PROFILE_OVER_DEPTH = 0.1
# The effective rank of an operator on 160 nodes misses the tail that the nodes do not resolve.
QUADRATURE_TAIL = 1e-5
# A rounding of 1e-16 over the distance to a pole, a limit or a point: 2e-5 for ranks, 1e-6 for the
# decay ratio, for a time before a blow-up and for tokens that have run together.
NEAR_LIMIT = 2e-10
# Median of 24 squares of the variance of 300 tokens, each good to 2 sqrt(2 / 300), 16 %: 4 % in the
# median; two and a half times that.
MEDIAN_SAMPLE = 0.1

# --- theory: frames and merging ---

# A ratio of Gamma functions of numbers near 1e3, whose logarithms are near 6e3: that times the
# rounding of float64.
POCHHAMMER = 1e-11
# Particles that merge and contract against the closure: 400 group means fluctuate by 1/sqrt(400),
# which the Riccati law carries into the variance with a factor below one.
MERGED_PARTICLES = 0.05
# A share of matches at 1e40 tokens: away from its limit by 1e40 to the power -.2 of the score gap,
# whose constant is 1 / ln of the training length, 1e5.
LARGE_COUNT_LIMIT = 1e-6
# ln(8 - 7 e^{-s}) at s = 9 against ln 8: 7/8 e^{-9} over 2.
LARGE_GAP_LIMIT = 1e-3


def beside_match(score_gap: float) -> float:
    """Weight of another token relative to a match, which limits of large score gaps leave out."""
    return math.exp(-score_gap)


# Rates from the change over a time of 1e-7: first order in it, at variances below one; rounding
# adds a few 1e-9.
INITIAL_RATE = 1e-7

# --- theory: layers and rates ---

# 1500 Gaussian tokens with the covariance set exactly: what is left are their higher moments,
# of order 1 / sqrt(N), over ten layers, and for cubes of pure attention three times that.
RESPONSE_LAW = 0.05
# Layers 30 to 1200 of a step of twice the norm of the tokens: the norm at the start is 2 % of the
# depth time there, which moves a slope over 1.6 decades by .1 %; five times that.
RANK_ONE_SLOPE = 5e-3
# Up to 1500 layers of a float64 state of size one to 1e3: a rounding of 1e-16 of it in each.
FLOAT64_LAYERS = 1e-10
# A pre-norm flow over a depth time of 2 in steps of .02: first order in the step.
PRE_NORM_STEP = 0.02
# Two tokens after 1500 layers of .5: the norm at the start is 1 / 750 of the depth time. Sharpness
# .35 at depth time 1000: its inverse at the start is 1 / 700 of the inverse there.
START_OF_THE_RUN = 2e-3
# The constant in front of a rate, from layer 30 to 300 of an exponential and from 4000 to 40,000 of
# a power: the sharpness there moves it by at most 4e-7.
SETTLED_CONSTANT = 1e-6
# The norm of directions of a cap of angular spread 1e-3: their curvature enters with the square.
NARROW_CAP = 2e-6
# The norm of tokens that turn as they grow, over 1200 layers: its square is τ² L plus a logarithm.
TURNING_NORM = 0.01
# Rate of a cap of angular spread 1e-3: its curvature enters with the square.
POST_NORM_RATE = 1e-6
# Logarithm of the sharpness of 1500 Gaussian tokens, a = .3, after layers that cube it: their third
# and fourth moments move the first cube by 1 / sqrt(N) or so, and a cube of that logarithm, 3.6.
PURE_EXPONENT = 0.01
# Rate of averaging from layer ten on: the content term, .3 times .75^20, is left to act there.
AVERAGING_RATE = 1e-4
# Slope over 1.6 decades of a contraction by steps of .05: a step adds 3/2 · .04 of the logarithm of
# the elapsed depth to the inverse variance, less than 1 % of it at the start and .1 % in the slope.
CONTRACTIVE_SLOPE = 2e-3
# Equiangular tokens against the limit of many of them: 1 / N of weight on the token itself, times
# e^{β} / e^{βω}, and first order in a step of .02.
EQUIANGULAR = 0.015
# A sequential quadratic programme, stopped at 1e-12 of its objective.
HULL = 1e-7
# Rows of attention that are equal, 20000 layers of .4: the norm at the start is 1 / 8000 of the
# depth time.
DEEP_RUN = 2e-4
# Post-norm to a depth time of 4 in steps of 1e-3: half a step per unit of time in the logarithm of
# the spread, 4e-3 in its square, and half as much again from the sharpness on the way.
POST_NORM_STEP = 6e-3
# Slope of the post-norm gap between t = 5 and 15: at the start e^-10 times 7 / 3 is left of the
# other term, over ten units of time.
POST_NORM_SLOPE = 1e-5
# Norm of equiangular tokens at t = 1e9: it differs from t by less than one, twice in the square.
EQUIANGULAR_TAIL = 2e-9
# --- collapse surface explorer ---

# The response law is of an infinite narrow cloud, the page shows 96 particles in a cap of angular
# spread .49. Under normalisation the law departs by the square of that, .24, times a factor below
# one. Without, it is of a flat cloud; a cap departs by a factor of about 1 + a = 1.12 with no
# residual, and less with one.
EXPLORER_CAP = {
    "pre-norm": 0.09,
    "shrinking-step": 0.09,
    "post-norm": 0.16,
    "averaging": 0.02,
    "pure": 0.15,
}
# 400 particles spread evenly over a Gaussian of width .02: 1 / N of a cloud is not sampled.
EXPLORER_NARROW = 0.002
# Without a residual each layer cubes the spread, and triples the relative error of the one before.
EXPLORER_NARROW_PURE = 0.015
# Slope of particles in the cap between 200 and 400 layers: what is left of the content term, and
# 1 / N.
EXPLORER_SLOPE = 0.02
# A step of 1 / L over 50 and 400 layers: first order in 1 / L, about .05 of it.
EXPLORER_SHRINKING_STEP = 2e-3

# --- pages ---

# Boxes that are level: half a pixel.
LEVEL_BOXES = 0.5
# Lengths in an SVG are float32 numbers, below 1000 pixels: 2^-24 of that, twice.
SVG_LENGTH = 1.2e-4
# A click on a slider lands within a step of .01 of the place; the rest is rounding of the decimals.
SLIDER_STEP = 0.0101

# --- theory: closure ---

# 1500 Gaussian tokens whose first two moments are exact: what is left is the sampling of the
# third and fourth, which moves the contracting flow by less than 1 %.
CLOSURE_PARTICLES = 0.01
# Expanding, to sharpness 1.2: beyond one half the weights of a finite sample have infinite variance
# and 1500 tokens fall short of the closure, by 4 %.
EXPANDING_PARTICLES = 0.06
# 2cbtλ less one at t = 300 (50 for two tokens): ln t / t times a constant of the start, about one.
UNIVERSAL_TAIL = 0.02
# The start in the tail of the contracting flow at depth time 1e7: variances of .2 or more, over
# 1.25 for the widest of the limit, leave 6.3e-7.
FORGOTTEN_START = 1e-6
# 1e-7 of its time before the blow-up, the other directions keep about 1e-7 of the variance each.
LAST_DIRECTION = 1e-6
# Central differences over 1e-3 of functions of order one: the square of the step over six.
CENTRAL_DIFFERENCE = 1e-6

# --- vggt: precision ---

# One block of 16 channels, its stream of size about 5, compiled against eager: fused operations
# may keep or drop one rounding, 2^-24 of the stream in float32, and 2^-8 of a branch in bfloat16.
COMPILED = {"float32": 5e-6, "bfloat16": 0.05}
# Relative distance of a network that multiplies in bfloat16 to itself in float64: each product
# rounds its two operands to 2^-9, which adds up like a random walk over a dozen products.
BFLOAT16_NETWORK = 0.02
# A number rounded to bfloat16 from two float32 routes: one unit in the last of its 8 bits.
BFLOAT16_UNIT = 2**-7

# --- measure: spread ---

# Numbers just below one are multiples of 2^-53 in float64.
BELOW_ONE = 2**-53

# --- measure: kernels ---

# Targets of the streamed statistics at a few thousand tokens, and errors against float64: sums and
# exponents in float32 give 1e-5 nats in an entropy, and half a unit in the last place of a
# log-sum-exp of 8 gives 2.4e-7 in a column sum, which averages over the rows.
KERNEL_ENTROPY = 5e-5
KERNEL_SUMS = 1e-6
# A row's energy has that error twice, without the average.
KERNEL_ENERGY = 1e-5
# One column sum, of which a single query may give the most: the error of its weight, whose
# exponent of up to 32 powers of two is rounded a few times, does not average out.
KERNEL_COLUMN = 5e-6
# Squared norm and distance from rank one: sums over rows, whose errors average out, and a
# difference of such numbers; 3e-8 and 4e-9 where they were worst.
KERNEL_DISTANCE = 1e-6
# The sum of 2^21 column sums in float32, the errors of whose rows do not average out.
KERNEL_TOTAL = 1e-5
# Weights and columns rounded to 11 bits, 2^-12 each at most, with random signs.
KERNEL_PRODUCT = 5e-4
# Scores of 80 are 115 powers of two: half a unit in the last place is 4e-6, of which an exponent
# collects a few.
KERNEL_EXTREME = 5e-5

# --- experiments: context parallelism ---

# Outputs of attention from kernels that sum in another order, each rounded to bfloat16: 2^-9 of
# each number at most.
ATTENTION_BFLOAT16 = 2**-8

# --- experiments: memory of a process ---

# 256 MiB beside what an interpreter with torch allocates from run to run, some 10 MiB.
ALLOCATED = 0.1

# --- streaming ---

# What the portable backend promises in float32 for scores of ordinary size: entropy in nats, column
# sums and energies relative to their size, products relative to their largest entry.
STREAMED_ENTROPY = 5e-5
STREAMED_SUMS = 1e-6
STREAMED_PRODUCTS = 5e-4
# For each unit of the largest score above 8, an ordinary size: a score is rounded eight times or
# so, by 2^-24 of its size each, and the logarithm of its weight is off by as much.
STREAMED_SCORE = 2**-21
# Squared distance from rank one in float32: a difference of numbers near one, each good to
# STREAMED_SUMS and one of them squared.
STREAMED_DISTANCE = 3e-6
# A singular value of float32 products, relative to the largest: the rounding of the normalisers.
STREAMED_SPECTRUM = 5e-6
# Bias that the movement of the values which count as known leaves in the effective rank: a tenth of
# the one per cent by which they may have moved.
SETTLED_VALUES = 1e-3
# What a Gram matrix leaves of directions and values that are zero: the root of the rounding of
# float64, 2^-26, four times.
GRAM_ROUNDING = 2**-24
# Column sums below are of no interest: float32 does not hold their weights.
NO_WEIGHT = 1e-30

# --- merging ---

# A cosine rounded to bfloat16, one unit in the last place of a number between 1/2 and 1: machines
# add the products in another order.
PARITY_BFLOAT16 = 2**-8
# Slope of the error of merged attention over the spread of a group, from 1e-1 down to 1e-2: the
# next order of the spread is ten times smaller at the upper end.
MERGING_ORDER_SLOPE = 0.1
# Cosines of float32 features in another order of operations.
FLOAT32_COSINE = 1e-6
# Cosines in a random subspace: 4000 pairs give their standard deviation to 1.1 %; five times that.
PROJECTED_COSINE = 0.06

# --- merging: kernels ---

# A bias of 37 times four as three numbers of bfloat16: what is left of the third, 2^-24 of it.
SPLIT_BIAS = 5e-5
# Products of float16 numbers, exact in float32, a thousand of them added in float32.
HALF_COSINE = 1e-6
# An entry of a direction, at most one, rounded to float16.
HALF_DIRECTION = 2**-12
# A mean in float32 rounded once: half a unit of its 11 or 8 bits.
ROUNDED_MEAN = {
    "torch.float16": {"rtol": 2**-11, "atol": 1e-6},
    "torch.bfloat16": {"rtol": 2**-8, "atol": 1e-6},
}
# Weights and outputs rounded to 11 or 8 bits with random signs: half a unit over the root of 3,
# twice, and as much again for few keys.
MERGED_ATTENTION = {"torch.float16": 5e-4, "torch.bfloat16": 4e-3}

# Attention of a hundred tokens in float32 against float64, relative to the norm of the outputs.
SINGLE_PRECISION_OUTPUT = 1e-6

# --- chapters: measuring collapse ---

# 2048 rows of 2048 independent scores, s = 1/2: the energy of a row fluctuates by less than
# 1 / sqrt(2048), 2 %, and its mean over the rows by far less; 1 / N is left of the limit.
INDEPENDENT_SCORES = 2e-3
# Half of the rows uniform over 2000 keys, whose share of the energy is 1 / 2000: twice that.
MANY_KEYS = 1e-3
# A mean over 2000 places of a grid: one place more or less beside a threshold, times a difference
# of squares of 11 at most.
GRID_PLACES = 6e-3
# The stated error of a rank is a standard error over the random columns: three of them.
STATED_ERRORS = 3.0
# Beside it, values that moved by one per cent or less count as known: a bias in their favour.
SETTLED = 1e-2

# --- chapters: what exact numbers cost ---

# 1,041,000 tokens squared are called 10^12 entries: they are 1.084 of it.
ABOUT_A_MILLION = 0.1
# Shares of a floor at 100 and at 1000 frames, each of a few runs on one device.
SAME_SHARE = 0.02

# --- experiments of many frames ---

# A streamed statistic in float64 against the whole matrix of the same network: sums in another
# order, and the scores of 1e1 in a log-sum-exp.
STREAMED_NETWORK = 1e-10
# ``random_weights`` keeps its predictions in float32: half a unit of its last digit.
SINGLE_PRECISION_PREDICTION = 2**-24
# A streamed singular value of a head with fewer tokens than columns of the search, in float64:
# the search has seen every direction.
EXHAUSTED_SEARCH = 1e-9
# Independent tokens at sharpness .126 in 63 directions, 800 of them: their covariance is off by
# sqrt(63 / 800), which enters the distance from rank one with a tenth of it.
INDEPENDENT_DISTANCE = 0.02
# The entropy deficit of the same, s^2 / 2 = .5: sampling of s^2 over 2 x 800 rows.
INDEPENDENT_DEFICIT = 0.05
# Mass on matches in windows of four frames at gap 6: the weight of the others fluctuates by
# e^{s/8} - 1 over their number, 200 and more.
WINDOW_MASS = 0.03
# Second singular value of the same, which adds content at sharpness .1 to the matches: points on
# a sphere, whose sample covariance departs from even by sqrt(63 / points).
WINDOW_RATIO = 0.06

# --- experiments of merging ---

# A singular ratio from sixteen products with a matrix of some dozens of tokens: the square of the
# bound on its residual, 1e-6 where two values are close.
SEARCHED_RATIO = 1e-8
# Rate of contraction of 2000 Gaussian tokens at sharpness .2 over that of 400 means: terms of the
# third order in the sharpness, and the fluctuation of a fourth moment.
MERGED_CONTRACTION = 0.06
# Zero eigenvalues of a matrix that is not symmetric: the root of the rounding of float64, 1e-8, for
# those that share an eigenvector, ten times.
DEFECTIVE_EIGENVALUE = 1e-7
# Tokens of order .5 rounded to four decimals: sums of a few of them, relative to the smallest.
ROUNDED_TOKENS = 2e-3
# Contracting flow of 750 Gaussian means in steps of a quarter, beside its law: the Euler step at
# sharpness .125 and the fluctuation of a variance, 1 / sqrt(750).
MERGED_STILL = 0.05


def finite_step_exponent(step: float) -> float:
    """Largest error of a collapse exponent when norms grow by a share in every layer.

    A layer multiplies a deviation by (1 + step λ) / (1 + step). To first order the exponent is
    off by step λ (1 - λ) / 2, at most an eighth of the step; the rest of a tenth is the width of
    the cloud, 1e-2, squared, and the second order.
    """
    return 1.1 * step / 8


# --- collections and training ---

# Frames rendered together in float32: vector instructions round the odd pixel of [0, 1] otherwise
# than the code for the rest of an array does, by one unit in the last place.
BATCHED_RENDERING = 1.2e-7
# Share of rays that pass an edge on the other side when the camera moves by 1e-15: none of the
# pixels of a small image, or one of a thousand.
RAYS_PAST_AN_EDGE = 1e-3

# Five rounds of Muon's polynomial take every number from .003 to 1 to between .682 and 1.203
# (computed on a grid).
SMALLEST_MUON_VALUE = 0.68
LARGEST_MUON_VALUE = 1.21
# Matrix products of one matrix and of a stack, in float32: 15 products of numbers up to 1.
FLOAT32_MUON = 1e-6
# Root mean square entry of a Muon step over that of an orthogonal matrix: singular values of .68
# to 1.2 in the place of 1, whose root mean square is .91 on a grid.
MUON_STEP_SIZE = 0.2
# Share of walks in order, one half: 400 scenes have a standard error of .025; four of them.
HALF_OF_400_WALKS = 0.1
# Gradients in bfloat16 (8 bits), compiled and not: the compiler rounds less often. Relative to
# the size of a gradient.
RECORDED_GRADIENTS = 0.05

# --- chapters: a thousand frames ---

# A recorded slope of the entropy against ln N, nine frame counts: a deficit that moves by a tenth
# of .3 from 2 to 5 frames bends the line by .03 over ln 500, 6.2.
ENTROPY_SLOPE = 5e-3
# Even masses of a recorded frame: rooms look different from different sides, by an eighth at most.
EVEN_MASS = 0.125
# A recorded quantity from 10 to 1000 frames: the law of S^(-1/2) allows 1 / sqrt(10) of a scatter
# among frames of a tenth.
SETTLED_FRAMES = 0.03
# The closed form of Gaussian tokens for heads of fixed norm: 5 % in the median, twice that.
RECORDED_FORM = 0.1
# A mean over 400 draws of a statistic that scatters by its own size: three standard errors.
MEAN_OF_DRAWS = 0.15
# Recorded windows that are full, 500 tokens and more on four heads: match mass and squares differ
# from their laws by the scatter of the other weights, e^{s/8} - 1 over 500.
RECORDED_WINDOW = 0.02
# The second singular value there lies above its law by the scatter of the points' covariance,
# (1 + sqrt(63 / points))^2 of the share by content, up to a quarter of the whole.
RECORDED_RATIO = 0.25
# An adaptive quadrature inside another, each stopped at 1.5e-8 of its own result.
NESTED_QUADRATURE = 1e-7
# Windows at 1e9 frames: the share of the matches' squares left beside those of the others.
LAST_MATCHES = 1e-6

# --- reconstruction viewer and heat-map explorer ---

# Rounding to a grid moves a number by half a step; the hundredth is for the arithmetic around it.
HALF_STEP = 0.51
# Share of points within the quantile .9 of distance: of 1440 points, and interpolated between two.
QUANTILE_SHARE = 0.01
# Quantile of the distance of 12 000 points drawn from 13 440, against that of all.
THINNED_RADIUS = 0.02

# --- experiments on trained weights ---

# Row entropies of a network whose weights were rounded to float16, 5e-4 of each; scores of order
# one amplify it a few times through three blocks.
HALF_PRECISION_WEIGHTS = 1e-2
# Share of LayerNorm's epsilon, 1e-5, in a variance of order one, ten times.
NORM_EPSILON_SHARE = 1e-4
# Spread of tokens after two layers without the skip of attention over that with it, at drawn
# weights: averages over 21 and 42 tokens keep far less than a third.
COLLAPSED_WITHOUT_SKIP = 1 / 3
# Float64 results stored in float32, one rounding of 6e-8.
FLOAT32_STORED = 1.2e-7
# Two implementations of a network in float64, in torch and in numpy: sums in another order through
# five blocks, and squares of singular values.
NUMPY_NETWORK = 1e-9
# Spherical form of 2000 sampled directions in eight dimensions: .014 and .08 were found at twice
# as many.
SAMPLED_SPHERE = 0.15
# Mixture of 50 groups of 400 clustered tokens: what averaging the queries of a group leaves out.
COARSE_GRAINED = 0.1

# --- chapters: what token merging costs ---

# Destinations of a frame are all that stays but its five special tokens, of 75 in the largest
# cells.
COUNTED_DESTINATIONS = 0.07

# --- mini-VGGT ---

# Numbers up to ten in float64, rotations by way of a quaternion.
ENCODED_POSE = 1e-10
# Least cost of a pixel on a grid of confidences in steps of .001: it is flat there.
GRID_OF_CONFIDENCES = 1e-6
# The 1e-7 that keeps Muon's norm from zero, over a norm of a few, times a slope of 485 at most.
MUON_GUARD = 2e-5
# Factor between errors on eight scenes and on the eight batches of the record: scenes differ by as
# much among themselves.
FEW_TEST_SCENES = 2
# Errors of the mean predictor on the same rendered worlds, by two versions of the renderer in
# float32: 9e-8 apart.
SAME_WORLDS = 1e-6

# --- does the trained network collapse ---

# Median exponent of thirty heads over five or six doublings in three or four scenes: heads scatter
# by 0.1, and cameras spread evenly settle a little faster than independent ones.
SETTLING_OPERATOR = 0.1
# Limits taken at 1e-9 and 1e12 frames beside shares of order 1 to 1000, and what is left of them.
EXTREME_FRAMES = 1e-6

# --- what fails ---

# Central differences of a logarithmic slope at a step of 1e-4: its square, and 1e-16 over the step
# and the smallest excess, 1.7e-4 at the half power.
FINITE_DIFFERENCE_SLOPE = 1e-6
# A sum of 1.2 million log-normal weights of relative deviation 1.31: 1.2e-3, four times over.
SAMPLED_SHARE = 5e-3
# Mean rotations of 15 to 449 frames under the bias of copies, against eight, with products in
# bfloat16: .0026 of .283 degrees.
COPIED_ROTATION = 1.5e-2
# Mean points of the same, once the weight of the reference frame is accounted for: 4e-4.
COPIED_POINTS = 1e-3
# A share that falls eightfold with each factor of eight, as a mean over heads and networks, against
# exact proportion at 2048 frames: .008.
PROPORTIONAL_SHARE = 0.02
# The odds that a bias keeps, against their limit for frames of one law, over layers: 2 % too small
# to 6 % too large, as shares of queries with large odds do not average like their odds.
KEPT_ODDS = 0.08
# Mean errors of one network on twelve scenes at 2 to 512 frames, in two records whose products in
# bfloat16 round otherwise: rotations by 1.6 %, points by .4 %. Another seed is 3 % off or more.
RECORDED_AGAIN = 0.02
# The shares of the reference frame in the same two records, means over heads: 9e-4.
RECORDED_SHARE_AGAIN = 2e-3

# --- predicting the profile ---

# What the ladder of closures is to reach on trained networks: medians over heads of relative errors
# for groups of keys, 12 % of the tokens, and for propagation; each head for few frames.
GROUPED_DEFICIT = 0.03
GROUPED_RANK = 0.1
FEW_FRAMES = 0.1
PROPAGATED_RANK = 0.25
PROPAGATED_CORRELATION = 0.9
# A pass of six layers in float32 against the same in float64, over 8 frames: 5.7e-7 at most.
SINGLE_PASS = 1e-6

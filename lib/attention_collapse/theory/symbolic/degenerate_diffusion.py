r"""The equations of *Degenerate diffusion* along one direction, and its Riccati equation for two.

Integrals and derivatives are kept unevaluated, so that the module loads fast.
"""

import sympy

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import (
    bilinear,
    contraction,
    initial_variance,
    key,
    mean,
    query,
    time,
    variance,
)

initial_mean = sympy.Symbol("m_0", real=True)
deviation = sympy.Symbol("z", real=True)

_infinity = (-sympy.oo, sympy.oo)


def gaussian(place: sympy.Expr, centre: sympy.Expr | int, variance_along: sympy.Expr) -> sympy.Expr:
    r"""Density of :math:`\mathcal N(m, \lambda)` at a place.

    Home section: *Degenerate diffusion*.
    """
    square = (place - centre) ** 2 / (2 * variance_along)
    return sympy.exp(-square) / sympy.sqrt(2 * sympy.pi * variance_along)


# Tilt: softmax weights e^{xby} on keys of law N(m, λ).
tilting = sympy.exp(query * bilinear * key)
keys = gaussian(key, mean, variance)
tilted_integral = sympy.Integral(key * tilting * keys, (key, *_infinity))
tilting_integral = sympy.Integral(tilting * keys, (key, *_infinity))
tilted_mean = mean + variance * bilinear * query
growth_of_weights = sympy.exp(query * bilinear * mean + (query * bilinear) ** 2 * variance / 2)

# Closure: the mean and the variance over depth, for V = -c.
variance_over_depth = initial_variance / (1 + 2 * contraction * bilinear * initial_variance * time)
mean_over_depth = (
    initial_mean
    * sympy.exp(-contraction * time)
    / sympy.sqrt(1 + 2 * contraction * bilinear * initial_variance * time)
)
expanding_over_depth = initial_variance / (1 - 2 * contraction * bilinear * initial_variance * time)
characteristic = deviation / sympy.sqrt(1 + 2 * contraction * bilinear * initial_variance * time)

# The whole equation: the density moves with the velocity that its own tilted mean gives.
density_over_depth = gaussian(query, mean_over_depth, variance_over_depth)
velocity = (-contraction * tilted_mean).subs({mean: mean_over_depth, variance: variance_over_depth})
centred_density = gaussian(deviation, 0, variance_over_depth)

# The Riccati equation of two directions that do not commute.
_precisions = sympy.symbols("p_11 p_12 p_22", real=True)
_growths = sympy.symbols("g_11 g_12 g_22", real=True)


def _symmetric(entries: tuple[sympy.Symbol, ...]) -> sympy.ImmutableMatrix:
    first, mixed, second = entries
    return sympy.ImmutableMatrix([[first, mixed], [mixed, second]])


growth = _symmetric(_growths)
precision_over_depth = _symmetric(_precisions) - time * growth
covariance_over_depth = sympy.ImmutableMatrix(
    [
        [precision_over_depth[1, 1], -precision_over_depth[0, 1]],
        [-precision_over_depth[0, 1], precision_over_depth[0, 0]],
    ]
) / (precision_over_depth[0, 0] * precision_over_depth[1, 1] - precision_over_depth[0, 1] ** 2)

# Beside it: the porous-medium equation of exponent 2 and its Barenblatt solution.
initial_radius = sympy.Symbol(r"\ell", positive=True)
barenblatt = (initial_radius**2 - query**2 / time ** sympy.Rational(2, 3)) / (
    12 * time ** sympy.Rational(1, 3)
)

IDENTITIES: tuple[Identity, ...] = (
    Identity("eq-weights", tilting_integral, growth_of_weights),
    Identity("eq-tilt", tilted_integral / tilting_integral, tilted_mean),
    Identity(
        "eq-riccati-solved",
        covariance_over_depth.diff(time),
        covariance_over_depth * growth * covariance_over_depth,
    ),
    Identity(
        "eq-contracting",
        sympy.Derivative(variance_over_depth, time),
        -2 * contraction * bilinear * variance_over_depth**2,
    ),
    Identity(
        "eq-mean-solved",
        sympy.Derivative(mean_over_depth, time),
        -contraction * (1 + bilinear * variance_over_depth) * mean_over_depth,
    ),
    Identity(
        "eq-coordinate",
        sympy.Derivative(characteristic, time),
        -contraction * bilinear * variance_over_depth * characteristic,
    ),
    Identity(
        "eq-full-equation",
        sympy.Derivative(density_over_depth, time) / density_over_depth,
        -sympy.Derivative(density_over_depth * velocity, query) / density_over_depth,
    ),
    Identity(
        "eq-anti-diffusion",
        sympy.Derivative(centred_density, time),
        -contraction
        * bilinear
        * variance_over_depth**2
        * sympy.Derivative(centred_density, deviation, 2),
    ),
    Identity(
        "eq-heat-time",
        sympy.Integral(
            contraction * bilinear * variance_over_depth**2,
            (time, 0, sympy.oo),
        ),
        initial_variance / 2,
    ),
    Identity(
        "eq-expanding",
        sympy.Derivative(expanding_over_depth, time),
        2 * contraction * bilinear * expanding_over_depth**2,
    ),
    Identity(
        "eq-porous",
        sympy.Derivative(barenblatt, time),
        sympy.Derivative(barenblatt**2, query, 2),
    ),
)
"""Displayed equations that sympy carries out, in the order of the chapter."""

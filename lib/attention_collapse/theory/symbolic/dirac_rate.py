"""The equations of *How fast: Dirac at O(1/L)* as sympy expressions."""

import sympy
from sympy import Derivative, ImmutableMatrix, Integral, exp, log, oo, pi, sqrt, symbols

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import (
    bilinear,
    cosine,
    exponent,
    initial_cosine,
    initial_variance,
    key,
    layers,
    norm,
    query,
    relative_variance,
    second_eigenvalue,
    sharpness,
    spread,
    step,
    time,
    variance,
)

# The response of attention

density = exp(-(key**2) / (2 * variance)) / sqrt(2 * pi * variance)
weighted = density * exp(bilinear * query * key)
tilted_mean = Integral(key * weighted, (key, -oo, oo)) / Integral(weighted, (key, -oo, oo))
"""Mean of centred Gaussian keys under the softmax weights of a query."""

returned = second_eigenvalue + (1 - second_eigenvalue) * bilinear * variance
"""Fraction of a deviation that attention returns."""

near = weighted * exp(-bilinear * key**2 / 2)
cosine_mean = Integral(key * near, (key, -oo, oo)) / Integral(near, (key, -oo, oo))
"""The same for scores that fall with the square of the distance, as cosines do."""

fraction = sympy.Symbol("g", real=True)

pre_norm_factor = (norm + step * fraction) / (norm + step)

FACTORS: dict[str, sympy.Expr] = {
    "pure": fraction,
    "averaging": 1 - step + step * fraction,
    "post-norm": (1 + step * fraction) / (1 + step),
    "pre-norm": pre_norm_factor,
    "contractive": 1 - step * fraction,
    "expansive": 1 + step * fraction,
}
"""Factor of one layer on a deviation, by the name of the scheme."""

# Attention without residual

pure_sharpness = (bilinear * initial_variance) ** (3**layers)

# One law on two clocks

clock = sympy.Symbol("s", nonnegative=True)
implicit = relative_variance * exp(sharpness * (relative_variance - 1))
"""A function of the relative variance that decays exponentially on the clock, for cosines."""

remaining = exp(-2 * exponent * clock)
logistic_variance = remaining / (1 - sharpness + sharpness * remaining)
"""Variance relative to its start."""


form = ImmutableMatrix(2, 2, symbols("h_11 h_12 h_12 h_22", real=True))
initial_precision = ImmutableMatrix(2, 2, symbols("m_11 m_12 m_12 m_22", real=True))
precision = exp(2 * exponent * clock) * (initial_precision - form) + form
"""Inverse of a covariance in two directions, on the clock; ``form`` is half of B and its mirror."""

# Equiangular tokens

post_norm_cosine = 1 / (1 + (1 - initial_cosine) / initial_cosine * exp(-2 * time))

invariant = sympy.Symbol("k", positive=True)
pre_norm_cosine = 1 - invariant**2 / norm**2
elapsed = norm + invariant / 2 * log((norm - invariant) / (norm + invariant))
"""Depth time of the pre-norm flow as a function of the norm, up to a constant."""

parameter = sympy.Symbol("y", positive=True)
cotangent = (exp(2 * parameter) + 1) / (exp(2 * parameter) - 1)
"""The hyperbolic cotangent of ``parameter``, in exponentials."""

# A stack of few layers

local_slope = -step * layers / (1 + step * layers)
r"""Slope of :math:`\ln 1/(1 + \tau L)` over :math:`\ln L`."""

depth = sympy.Symbol("L", positive=True)


IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "eq-fraction",
        second_eigenvalue * query + (1 - second_eigenvalue) * tilted_mean,
        returned * query,
    ),
    Identity(
        "eq-cosine-fraction",
        cosine_mean,
        bilinear * variance / (1 + bilinear * variance) * query,
    ),
    Identity(
        "eq-cosine-law",
        Derivative(implicit, relative_variance)
        * (-2 * exponent * relative_variance / (1 + sharpness * relative_variance)),
        -2 * exponent * implicit,
    ),
    Identity(
        "eq-response",
        (norm * spread + step * fraction * spread) / (norm + step),
        spread * (1 - step * (1 - fraction) / (norm + step)),
    ),
    Identity(
        "eq-pure",
        bilinear * (bilinear**2 * (pure_sharpness / bilinear) ** 3),
        pure_sharpness.subs(layers, layers + 1),
    ),
    Identity(
        "eq-logistic",
        Derivative(logistic_variance, clock),
        -2 * exponent * (1 - sharpness * logistic_variance) * logistic_variance,
    ),
    Identity(
        "eq-precision",
        precision.applyfunc(lambda entry: Derivative(entry, clock)),
        2 * exponent * (precision - form),
    ),
    Identity(
        "eq-post-norm",
        Derivative(post_norm_cosine, time),
        2 * post_norm_cosine * (1 - post_norm_cosine),
    ),
    Identity(
        "eq-pre-norm-flow",
        Derivative(pre_norm_cosine, norm) * pre_norm_cosine,
        (2 / norm * cosine * (1 - cosine)).subs(cosine, pre_norm_cosine),
    ),
    Identity("eq-pre-norm", Derivative(elapsed, norm), 1 / pre_norm_cosine),
    Identity(
        "eq-pre-norm-tanh",
        elapsed.subs(norm, invariant * cotangent),
        invariant * (cotangent - parameter),
    ),
    Identity(
        "eq-decade",
        depth * Derivative(log(1 / (1 + step * depth)), depth),
        local_slope.subs(layers, depth),
    ),
)
"""The displayed equations of the chapter that sympy checks."""

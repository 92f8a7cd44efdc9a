"""Expressions of *The rank profile in closed form*.

Integrals converge where :math:`1 - 2a^2`, :math:`1 - q^2` and the like are positive, which sympy
cannot read off a symbol. The identities therefore name these margins, as ``margin``.
"""

import sympy
from sympy import (
    Integral,
    Rational,
    Subs,
    besseli,
    cosh,
    exp,
    gamma,
    hyper,
    log,
    oo,
    pi,
    sinh,
    sqrt,
)

from attention_collapse.theory.symbolic.identity import Identity
from attention_collapse.theory.symbols import concentration, decay, order, sharpness

query, key = sympy.symbols("xi eta", real=True)
"""A query and a key along one direction, in standard deviations."""

offset = sympy.Symbol(r"\bar\xi", real=True)
"""Mean of the queries along one direction, in standard deviations."""

parameter = sympy.Symbol("w", real=True)
"""Parameter of the generating function of the Hermite functions."""

margin = sympy.Symbol("v", positive=True)

normal_law = exp(-(key**2) / 2) / sqrt(2 * pi)
"""Density of the keys along one direction."""

kernel = exp(sharpness * query * key - sharpness**2 * query**2 / 2)
"""Kernel of attention along one direction."""

frobenius_squared = exp(sharpness**2 * offset**2 / (1 - 2 * sharpness**2)) / sqrt(
    1 - 2 * sharpness**2
)
"""Squared Frobenius norm of attention along one direction."""

decay_ratio = 2 * sharpness / (sqrt(1 + 2 * sharpness**2) + sqrt(1 - 2 * sharpness**2))
"""Decay ratio of the singular values, for a sharpness that is not negative."""

sharpness_of_decay = decay / sqrt(1 + decay**4)
"""Sharpness that has a decay ratio."""

stable_rank = 1 / (1 - decay**2)
"""Stable rank along one direction."""

effective_rank = exp(-log(1 - decay) - decay * log(decay) / (1 - decay))
"""Roy–Vetterli effective rank along one direction."""

generating_function = exp(-(key**2) / 2 + 2 * parameter * key - parameter**2)
"""Generating function of the Hermite functions."""

symmetric_kernel = exp(
    -(1 + decay**2) / (1 - decay**2) * (query**2 + key**2) / 2
    + 2 * decay / (1 - decay**2) * query * key
)
"""The Gaussian kernel whose eigenfunctions are the Hermite functions."""

normaliser = hyper([], [order + 1], concentration**2 / 4)
"""Mean of exp(kappa u·w) over the sphere."""

spherical_ratio = besseli(order + 1, concentration) / besseli(order, concentration)
"""Singular ratio on the sphere: its first singular value is one."""

spherical_deficit = concentration * spherical_ratio - log(normaliser)
"""Entropy deficit on the sphere."""

spherical_stable_rank = hyper([], [order + 1], concentration**2) / normaliser**2
"""Stable rank on the sphere."""


def line(variable: sympy.Symbol) -> tuple[sympy.Symbol, sympy.Expr, sympy.Expr]:
    """The whole real line as the range of an integral.

    Home section: *The rank profile in closed form*.
    """
    return (variable, -oo, oo)


def zonal_integral(degree: int) -> sympy.Expr:
    r"""Mean over the unit sphere of three dimensions, :math:`\tfrac12\int e^{\kappa s} P_n(s) ds`.

    Home section: *The rank profile in closed form*.
    """
    cosine = sympy.Symbol("s", real=True)
    zonal = sympy.legendre(degree, cosine)
    return Rational(1, 2) * Integral(exp(concentration * cosine) * zonal, (cosine, -1, 1))


def spherical_eigenvalue(degree: int) -> sympy.Expr:
    r"""Eigenvalue of :math:`e^{\kappa u\cdot w}` in three dimensions, written out.

    Home section: *The rank profile in closed form*.
    """
    half = Rational(1, 2)
    bessel = sympy.expand_func(besseli(degree + half, concentration)).subs(
        {
            besseli(half, concentration): sqrt(2 / (pi * concentration)) * sinh(concentration),
            besseli(-half, concentration): sqrt(2 / (pi * concentration)) * cosh(concentration),
        }
    )
    return (gamma(3 * half) * sqrt(2 / concentration) * bessel).rewrite(exp)


_below_limit = (1 - margin) / 2  # the square of a sharpness a with 1 - 2a² = v
_row_exponent = sympy.expand(_below_limit * query**2 - (query - offset) ** 2 / 2)
_query_law = normal_law.subs(key, query)
_centre = decay * query + (1 - decay**2) * parameter  # where the integrand of eq-hermite peaks
_shift = sympy.Dummy(real=True)
_evolved = generating_function.subs({key: query, parameter: decay * parameter})

IDENTITIES = (
    Identity(
        "eq-gaussian-kernel",
        exp(sharpness * query * key)
        / Integral(exp(sharpness * query * key) * normal_law, line(key)),
        kernel,
    ),
    Identity(
        "eq-frobenius",
        Integral(exp(_row_exponent) / sqrt(2 * pi), line(query)),
        frobenius_squared.subs(sharpness**2, _below_limit),
    ),
    Identity(
        "eq-hermite-square",
        log(symmetric_kernel * generating_function).expand(force=True),
        log(_evolved).expand(force=True) - (key - _centre) ** 2 / (1 - decay**2),
    ),
    Identity(
        "eq-hermite",
        Subs(Integral(exp(-((key - _shift) ** 2) / margin), line(key)), margin, 1 - decay**2)
        * _evolved,
        sqrt(pi * (1 - decay**2)) * _evolved,
    ),
    Identity(
        "eq-decay",
        (decay / (1 + decay**2)) ** 2,
        (sharpness**2 / (1 + 2 * sharpness**2)).subs(sharpness, sharpness_of_decay),
    ),
    Identity(
        "eq-gaussian-deficit",
        Integral(sharpness**2 * query**2 / 2 * _query_law.subs(query, query - offset), line(query)),
        sharpness**2 * (1 + offset**2) / 2,
    ),
    Identity(
        "eq-row-energy", Integral(kernel**2 * normal_law, line(key)), exp(sharpness**2 * query**2)
    ),
    Identity(
        "eq-column-energy",
        Integral(kernel**2 * _query_law, line(query)),
        exp(2 * sharpness**2 * key**2 / (1 + 2 * sharpness**2)) / sqrt(1 + 2 * sharpness**2),
    ),
    *(
        Identity("eq-funk-hecke", zonal_integral(degree), spherical_eigenvalue(degree))
        for degree in range(3)
    ),
)
"""Displayed equations of the chapter that are identities in their symbols."""

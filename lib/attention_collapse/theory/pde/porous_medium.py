"""The porous-medium equation and the solution that spreads from a point.

:math:`\\partial_t \\rho = \\Delta \\rho^\\gamma` with :math:`\\gamma > 1` is a diffusion whose
coefficient :math:`\\gamma \\rho^{\\gamma - 1}` vanishes with the density. It is the classical
degenerate diffusion. All its mass :math:`M` may start in one point; the density is then

.. math:: \\rho(t, x) = t^{-d\\theta} \\left( K - \\frac{\\theta (\\gamma - 1)}{2\\gamma}
    \\frac{|x|^2}{t^{2\\theta}} \\right)_+^{1/(\\gamma - 1)},
    \\qquad \\theta = \\frac{1}{d(\\gamma - 1) + 2},

with :math:`K` set by the mass. Its support grows like :math:`t^\\theta`.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import betaln, gammaln

from attention_collapse.theory.validation import require_at_least, require_positive


def barenblatt(
    distance: Float[np.ndarray, "*point"],
    time: int | float,
    *,
    exponent: int | float,
    mass: int | float = 1.0,
    directions: int = 1,
) -> Float[np.ndarray, "*point"]:
    r"""Density of the porous-medium equation that starts with all its mass in one point.

    .. math:: \rho(t, x) = \rho(t, 0)
        \left( 1 - \frac{|x|^2}{R(t)^2} \right)_+^{1/(\gamma - 1)}

    with the radius :math:`R(t)` of ``barenblatt_radius`` and :math:`\rho(t, 0)` set by the mass.

    Args:
        distance: :math:`|x|` from that point; in one direction :math:`x` itself will do.
        time: :math:`t`, since the start.
        exponent: :math:`\gamma > 1`; most texts write :math:`m`.
        mass: :math:`M`, the integral of the density.
        directions: :math:`d`.

    Raises:
        ValueError: If ``distance`` is not finite, ``time`` or ``mass`` is not positive,
            ``exponent`` is not above 1, or ``directions`` is below 1.

    Source: Barenblatt (1952); Vázquez, The Porous Medium Equation (2007), chapter 4.
    Home section: *Degenerate diffusion*.
    """
    if not np.all(np.isfinite(distance)):
        raise ValueError(f"distance must be finite; got {distance}: clean the input.")
    radius = barenblatt_radius(time, exponent=exponent, mass=mass, directions=directions)
    power = 1.0 / (exponent - 1.0)
    ratio = np.abs(distance) / radius
    profile = np.maximum((1.0 - ratio) * (1.0 + ratio), 0.0) ** power
    return mass / (_profile_volume(power, directions) * radius**directions) * profile


def barenblatt_radius(
    time: int | float,
    *,
    exponent: int | float,
    mass: int | float = 1.0,
    directions: int = 1,
) -> float:
    r"""Radius of the support of the Barenblatt solution, which grows like :math:`t^\theta`.

    .. math:: R(t)^{1/\theta} = \frac{2\gamma}{\theta (\gamma - 1)}
        \left( \frac{M}{\Omega} \right)^{\gamma - 1} t, \qquad
        \Omega = \int_{|x| < 1} (1 - |x|^2)^{1/(\gamma - 1)} dx.

    Args:
        time: :math:`t`, since the start.
        exponent: :math:`\gamma > 1`.
        mass: :math:`M`.
        directions: :math:`d`.

    Raises:
        ValueError: If ``time`` or ``mass`` is not positive, ``exponent`` is not above 1, or
            ``directions`` is below 1.

    Source: Barenblatt (1952); Vázquez, The Porous Medium Equation (2007), chapter 4.
    Home section: *Degenerate diffusion*.
    """
    require_positive("time", time, fix="the density is a Dirac measure at time zero")
    growth = growth_exponent(exponent=exponent, directions=directions)
    require_positive("mass", mass, fix="pass the integral of the density")
    power = 1.0 / (exponent - 1.0)
    height = (mass / _profile_volume(power, directions)) ** (exponent - 1.0)
    return float((2.0 * exponent / (growth * (exponent - 1.0)) * height * time) ** growth)


def barenblatt_variance(
    time: int | float,
    *,
    exponent: int | float,
    mass: int | float = 1.0,
    directions: int = 1,
) -> float:
    r"""Variance of the Barenblatt solution along each direction, which grows like
    :math:`t^{2\theta}`.

    .. math:: \lambda(t) = \frac{R(t)^2}{d + 2 + 2/(\gamma - 1)}

    Args:
        time: :math:`t`, since the start.
        exponent: :math:`\gamma > 1`.
        mass: :math:`M`.
        directions: :math:`d`.

    Raises:
        ValueError: If ``time`` or ``mass`` is not positive, ``exponent`` is not above 1, or
            ``directions`` is below 1.

    Source: second moment of the density of ``barenblatt``, with the profile
    :math:`(1 - |x|^2)^{1/(\gamma - 1)}` as a beta law of :math:`|x|^2`.
    Home section: *Degenerate diffusion*.
    """
    radius = barenblatt_radius(time, exponent=exponent, mass=mass, directions=directions)
    return radius**2 / (directions + 2.0 + 2.0 / (exponent - 1.0))


def growth_exponent(*, exponent: int | float, directions: int = 1) -> float:
    r"""Power of time with which a Barenblatt solution grows, :math:`\theta`.

    .. math:: \theta = \frac{1}{d (\gamma - 1) + 2}

    Args:
        exponent: :math:`\gamma > 1`.
        directions: :math:`d`.

    Raises:
        ValueError: If ``exponent`` is not above 1 or ``directions`` is below 1.

    Source: Barenblatt (1952); Vázquez, The Porous Medium Equation (2007), chapter 4.
    Home section: *Degenerate diffusion*.
    """
    if not (np.isfinite(exponent) and exponent > 1):
        raise ValueError(
            f"exponent must be finite and above 1; got {exponent}: at 1 the equation is the heat "
            "equation, whose solution has no edge."
        )
    require_at_least("directions", directions, 1, fix="count the coordinates of x")
    return 1.0 / (directions * (exponent - 1.0) + 2.0)


def _profile_volume(power: float, directions: int) -> float:
    """Integral of (1 - |x|²)^power over the unit ball, a beta function."""
    half = directions / 2.0
    logarithm = half * np.log(np.pi) + betaln(half, power + 1.0) - gammaln(half)
    return float(np.exp(logarithm))

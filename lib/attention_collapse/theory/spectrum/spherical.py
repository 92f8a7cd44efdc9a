"""Singular values of attention between directions on a sphere, in closed form.

Queries and keys are uniform on the unit sphere of :math:`\\mathbb R^d`, with scores
:math:`\\kappa \\, u^\\top w`. Attention is then diagonal in spherical harmonics, with one singular
value for each order :math:`n`,

.. math:: \\sigma_n = \\frac{I_{\\nu+n}(\\kappa)}{I_\\nu(\\kappa)}, \\qquad \\nu = \\tfrac d2 - 1,

that occurs :math:`D_n` times (``harmonic_dimension``). It exists for every concentration
:math:`\\kappa`: scores are bounded. Everything here is even in :math:`\\kappa`, and computed from
series and recurrences of positive terms, so that nothing over- or underflows.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, logsumexp

from attention_collapse.theory.spectrum.saturation import saturating_exponential
from attention_collapse.theory.validation import require_at_least

_NEGLIGIBLE = -math.log(1e18)  # logarithm of a share of a sum that float64 does not see
_SETTLING = 64  # spare terms of series and recurrences, enough for float64


def harmonic_dimension(order: int, dimension: int) -> int:
    r"""Number of independent spherical harmonics of one order, an exact integer.

    .. math:: D_n = \binom{n+d-1}{d-1} - \binom{n+d-3}{d-1}

    Args:
        order: :math:`n`.
        dimension: :math:`d` of the space around the sphere, at least 2.

    Raises:
        ValueError: If ``order`` is negative or ``dimension`` is below 2.

    Source: derived in the home section, lemma *Harmonic polynomials*.
    Home section: *The rank profile in closed form*.
    """
    require_at_least("order", order, 0, fix="harmonics are counted from order zero")
    _require_sphere(0.0, dimension)
    lower = math.comb(order + dimension - 3, dimension - 1) if order >= 2 else 0
    return math.comb(order + dimension - 1, dimension - 1) - lower


def harmonic_values(
    concentration: float | int, dimension: int, orders: int
) -> Float[np.ndarray, "order"]:
    r"""Singular value of each order of harmonics, :math:`\sigma_0 = 1` and descending.

    .. math:: \sigma_n = \prod_{m<n} R_m, \qquad
        R_m = \frac{I_{\nu+m+1}(\kappa)}{I_{\nu+m}(\kappa)}
        = \frac{\kappa}{2(\nu+m+1) + \kappa R_{m+1}}.

    The recurrence runs from high orders down, where it is stable.

    Args:
        concentration: :math:`\kappa`, the score of two equal directions, of any sign.
        dimension: :math:`d` of the space around the sphere, at least 2.
        orders: Number of orders, from zero on.

    Raises:
        ValueError: If ``concentration`` is not finite, ``dimension`` is below 2 or ``orders``
            below 1.

    Source: derived in the home section, theorem *Spherical spectrum*.
    Home section: *The rank profile in closed form*.
    """
    require_at_least("orders", orders, 1, fix="ask for one order or more")
    _require_sphere(concentration, dimension)
    return np.exp(_log_values(abs(concentration), dimension, orders))


def spherical_singular_values(
    concentration: float | int, dimension: int, count: int
) -> Float[np.ndarray, "value"]:
    r"""Largest singular values of attention on the sphere, each as often as it occurs.

    Args:
        concentration: :math:`\kappa`, the score of two equal directions, of any sign.
        dimension: :math:`d` of the space around the sphere, at least 2.
        count: Number of singular values.

    Raises:
        ValueError: If ``concentration`` is not finite, ``dimension`` is below 2 or ``count``
            below 1.

    Source: derived in the home section, theorem *Spherical spectrum*.
    Home section: *The rank profile in closed form*.
    """
    require_at_least("count", count, 1, fix="ask for one value or more")
    _require_sphere(concentration, dimension)
    multiplicities: list[int] = []
    missing = count
    while missing > 0:
        multiplicities.append(min(missing, harmonic_dimension(len(multiplicities), dimension)))
        missing -= multiplicities[-1]
    values = harmonic_values(concentration, dimension, len(multiplicities))
    return np.repeat(values, multiplicities)


def spherical_stable_rank(concentration: float | int, dimension: int) -> float:
    r"""Stable rank of attention on the sphere: :math:`\|A\|_F^2`, because :math:`\sigma_0 = 1`.

    .. math:: \|A\|_F^2 = \sum_n D_n \sigma_n^2
        = \frac{{}_0F_1(\nu+1; \kappa^2)}{{}_0F_1(\nu+1; \kappa^2/4)^2}

    The sum is what is computed: all its terms are positive. Infinite beyond float64, which takes
    hundreds of dimensions.

    Args:
        concentration: :math:`\kappa`, the score of two equal directions, of any sign.
        dimension: :math:`d` of the space around the sphere, at least 2.

    Raises:
        ValueError: If ``concentration`` is not finite or ``dimension`` is below 2.

    Source: derived in the home section, theorem *Spherical spectrum*.
    Home section: *The rank profile in closed form*.
    """
    _require_sphere(concentration, dimension)
    if concentration == 0:
        return 1.0
    values, masses = _all_values(abs(concentration), dimension)
    return saturating_exponential(logsumexp(values + masses))


def spherical_effective_rank(concentration: float | int, dimension: int) -> float:
    r"""Roy–Vetterli effective rank of attention on the sphere, over all singular values.

    .. math:: \exp \Bigl( \ln Z - \frac1Z \sum_n D_n \sigma_n \ln \sigma_n \Bigr), \qquad
        Z = \sum_n D_n \sigma_n

    Infinite beyond float64, which takes hundreds of dimensions.

    Args:
        concentration: :math:`\kappa`, the score of two equal directions, of any sign.
        dimension: :math:`d` of the space around the sphere, at least 2.

    Raises:
        ValueError: If ``concentration`` is not finite or ``dimension`` is below 2.

    Source: Roy and Vetterli (2007) for the definition; the spectrum is derived in the home
    section, theorem *Spherical spectrum*.
    Home section: *The rank profile in closed form*.
    """
    _require_sphere(concentration, dimension)
    if concentration == 0:
        return 1.0
    values, masses = _all_values(abs(concentration), dimension)
    total = logsumexp(masses)
    return saturating_exponential(total - float(np.exp(masses - total) @ values))


def spherical_entropy_deficit(concentration: float | int, dimension: int) -> float:
    r"""Entropy that each row of attention on the sphere misses against a uniform row, in nats.

    .. math:: \ln N - H = \kappa \frac{I_{\nu+1}(\kappa)}{I_\nu(\kappa)}
        - \ln {}_0F_1(\nu+1; \kappa^2/4)

    Args:
        concentration: :math:`\kappa`, the score of two equal directions, of any sign.
        dimension: :math:`d` of the space around the sphere, at least 2.

    Raises:
        ValueError: If ``concentration`` is not finite or ``dimension`` is below 2.

    Source: derived in the home section, theorem *Spherical spectrum*.
    Home section: *The rank profile in closed form*.
    """
    kappa = abs(concentration)
    mean_cosine = harmonic_values(kappa, dimension, 2)[1]
    return float(kappa * mean_cosine - _log_normaliser(kappa, dimension))


def _log_values(kappa: float | int, dimension: int, orders: int) -> Float[np.ndarray, "order"]:
    """Logarithms of the singular values, minus infinity above order zero where kappa is zero."""
    ratios = _bessel_ratios(kappa, dimension, orders - 1)
    logarithms = np.log(ratios, out=np.full_like(ratios, -np.inf), where=ratios > 0)
    return np.concatenate([np.zeros(1), np.cumsum(logarithms)])


def _bessel_ratios(kappa: float | int, dimension: int, count: int) -> Float[np.ndarray, "order"]:
    """Ratios of consecutive Bessel functions, by the recurrence from high orders down."""
    first = 0.5 * dimension  # nu + 1
    top = first + count + _SETTLING + 8 * math.isqrt(int(kappa))
    ratio = kappa / (top + math.hypot(top, kappa))  # close; its error falls like exp(-steps²/kappa)
    ratios = np.empty(count)
    for order in range(round(top - first) - 1, -1, -1):
        ratio = kappa / (2.0 * (first + order) + kappa * ratio)
        if order < count:
            ratios[order] = ratio
    return ratios


def _all_values(
    kappa: float | int, dimension: int
) -> tuple[Float[np.ndarray, "order"], Float[np.ndarray, "order"]]:
    """Logarithms of all values that count, and of their sums over each order."""
    orders = _SETTLING
    while True:
        values = _log_values(kappa, dimension, orders)
        masses = values + _log_harmonic_dimensions(orders, dimension)
        if masses[-1] - masses.max() < _NEGLIGIBLE:
            return values, masses
        orders *= 2


def _log_harmonic_dimensions(orders: int, dimension: int) -> Float[np.ndarray, "order"]:
    """Logarithms of the multiplicities, which overflow in many dimensions."""
    order = np.arange(1, orders, dtype=np.float64)
    binomial = gammaln(order + dimension - 1) - gammaln(order + 1) - gammaln(dimension - 1)
    share = np.log((2 * order + dimension - 2) / (order + dimension - 2))
    return np.concatenate([np.zeros(1), share + binomial])


def _log_normaliser(kappa: float | int, dimension: int) -> float:
    """Logarithm of the mean of exp(kappa u·w) over the sphere, from its positive series.

    The terms are a bell of a width below the root of kappa around the largest. Those far from it
    are left out.
    """
    if kappa == 0:
        return 0.0
    order = 0.5 * dimension - 1.0  # nu
    largest = round((math.hypot(kappa, order) - order) / 2.0)
    reach = _SETTLING + 8 * math.isqrt(int(kappa))
    index = np.arange(max(largest - reach, 0), largest + reach, dtype=np.float64)
    ratios = 2.0 * math.log(0.5 * kappa) - np.log((index + 1.0) * (index + order + 1.0))
    terms = np.concatenate([np.zeros(1), np.cumsum(ratios)])
    return float(_log_term(index[0], kappa, order) + logsumexp(terms))


def _log_term(index: float, kappa: float | int, order: float) -> float:
    """Logarithm of one term of the series, (kappa/2)^(2i) / (i! (nu+1)...(nu+i))."""
    rising = gammaln(index + order + 1.0) - gammaln(order + 1.0)
    return 2.0 * index * math.log(0.5 * kappa) - gammaln(index + 1.0) - rising


def _require_sphere(concentration: float | int, dimension: int) -> None:
    require_at_least("dimension", dimension, 2, fix="a circle is the smallest sphere")
    if not math.isfinite(concentration):
        raise ValueError(
            f"concentration must be finite; got {concentration}: pass the score of two equal "
            "directions."
        )

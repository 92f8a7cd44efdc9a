"""Singular values of attention between Gaussian tokens, in closed form (Mehler spectrum).

Tokens have law :math:`\\mathcal N(m, \\Sigma)` and scores :math:`x^\\top B y`. On
:math:`L^2(\\mu)` attention is the integral operator with kernel
:math:`e^{x^\\top B y} / \\mathbb E_\\mu[e^{x^\\top B y}]`, a Gaussian kernel whose singular values
are products of geometric sequences, one sequence per direction. A direction enters through its
sharpness :math:`a_k = \\lambda_k b_k` alone, the product of the token variance and the score
coefficient. Where :math:`B` and :math:`\\Sigma` do not commute, ``gaussian_sharpness`` gives it.
"""

import heapq
import math

import numpy as np
from jaxtyping import Float
from scipy.special import xlogy

from attention_collapse.theory.spectrum.saturation import saturating_exponential
from attention_collapse.theory.square_root import symmetric_square_root
from attention_collapse.theory.validation import require_covariances, require_square_matrices

SHARPNESS_LIMIT = math.sqrt(0.5)
"""Sharpness at which the operator leaves the Hilbert–Schmidt class, :math:`1/\\sqrt 2`."""


def gaussian_sharpness(
    covariance: Float[np.ndarray, "width width"],
    *,
    bilinear: Float[np.ndarray, "width width"],
    query_covariance: Float[np.ndarray, "width width"] | None = None,
) -> Float[np.ndarray, "direction"]:
    r"""Sharpness along every direction of a Gaussian cloud, descending.

    .. math:: a_k = \sigma_k \bigl( \Sigma_q^{1/2} B \, \Sigma^{1/2} \bigr)

    Args:
        covariance: :math:`\Sigma` of the keys.
        bilinear: :math:`B` of the scores :math:`x^\top B y`.
        query_covariance: :math:`\Sigma_q` of the queries; that of the keys by default.

    Raises:
        ValueError: If a matrix is empty, not finite or not of the token width, or a covariance is
            not symmetric with variances of at least zero.

    Source: derived in the home section, lemma *Directions separate*.
    Home section: *The rank profile in closed form*.
    """
    queries = covariance if query_covariance is None else query_covariance
    width = covariance.shape[-1]
    require_square_matrices(width, bilinear=bilinear)
    require_covariances(width, covariance=covariance, query_covariance=queries)
    whitened = symmetric_square_root(queries) @ bilinear @ symmetric_square_root(covariance)
    return np.linalg.svd(whitened, compute_uv=False)


def decay_ratio(sharpness: Float[np.ndarray, "direction"]) -> Float[np.ndarray, "direction"]:
    r"""Ratio of consecutive singular values along each direction.

    .. math:: q = \frac{1 - \sqrt{1 - 4 r^2}}{2 r}
        = \frac{2 |a|}{\sqrt{1 + 2 a^2} + \sqrt{1 - 2 a^2}},
        \qquad r = \frac{|a|}{\sqrt{1 + 2 a^2}}.

    The second form has no cancellation: :math:`q \to |a|` as :math:`a \to 0`.

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.

    Raises:
        ValueError: If ``sharpness`` is empty, not a vector, or has an entry with
            :math:`|a_k| \ge 1/\sqrt 2`.

    Source: derived in the home section, theorem *Gaussian spectrum*.
    Home section: *The rank profile in closed form*.
    """
    magnitude = _magnitude(sharpness)
    return 2.0 * magnitude / (np.sqrt(1.0 + 2.0 * magnitude**2) + np.sqrt(_margin(magnitude)))


def singular_values(
    sharpness: Float[np.ndarray, "direction"], count: int
) -> Float[np.ndarray, "value"]:
    r"""Largest singular values of attention between centred Gaussian tokens, descending.

    .. math:: \sigma_{n_1 \dots n_d} = \sigma_0 \prod_k q_k^{n_k}, \qquad
        \sigma_0^2 = \prod_k \frac{1 - q_k^2}{\sqrt{1 - 2 a_k^2}} = \prod_k \sqrt{1 + q_k^4}.

    A mean of the tokens multiplies all of them by one factor, see ``frobenius_squared``. They are
    infinite beyond float64, which takes thousands of directions.

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.
        count: Number of singular values.

    Raises:
        ValueError: If ``sharpness`` is outside the Hilbert–Schmidt class or ``count`` is below 1.

    Source: derived in the home section, theorem *Gaussian spectrum*.
    Home section: *The rank profile in closed form*.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1; got {count}: ask for one value or more.")
    ratios = decay_ratio(sharpness)
    leading = saturating_exponential(0.25 * np.log1p(ratios**4).sum())
    return leading * np.array(_largest_products(np.sort(ratios)[::-1].tolist(), count))


def effective_rank(sharpness: Float[np.ndarray, "direction"]) -> float:
    r"""Roy–Vetterli effective rank, the exponential of the entropy of the singular values.

    .. math:: \prod_k e^{h(q_k)}, \qquad h(q) = -\ln(1 - q) - \frac{q \ln q}{1 - q}.

    It counts all singular values, and does not change with the mean of the tokens. Infinite beyond
    float64.

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.

    Raises:
        ValueError: If ``sharpness`` is outside the Hilbert–Schmidt class.

    Source: Roy and Vetterli (2007) for the definition; the closed form is derived in the home
    section, theorem *Gaussian spectrum*.
    Home section: *The rank profile in closed form*.
    """
    ratios = decay_ratio(sharpness)
    entropies = -np.log1p(-ratios) - xlogy(ratios, ratios) / (1.0 - ratios)
    return saturating_exponential(entropies.sum())


def stable_rank(sharpness: Float[np.ndarray, "direction"]) -> float:
    r"""Stable rank of attention, :math:`\|A\|_F^2 / \sigma_0^2 = \prod_k 1 / (1 - q_k^2)`.

    It does not change with the mean of the tokens. Infinite beyond float64.

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.

    Raises:
        ValueError: If ``sharpness`` is outside the Hilbert–Schmidt class.

    Source: derived in the home section, theorem *Gaussian spectrum*.
    Home section: *The rank profile in closed form*.
    """
    return saturating_exponential(-np.log1p(-(decay_ratio(sharpness) ** 2)).sum())


def frobenius_squared(
    sharpness: Float[np.ndarray, "direction"],
    mean: Float[np.ndarray, "direction"] | None = None,
) -> float:
    r"""Squared Frobenius (Hilbert–Schmidt) norm of attention.

    .. math:: \|A\|_F^2 = \prod_k \frac{1}{\sqrt{1 - 2 a_k^2}}
        \exp \frac{a_k^2 \mu_k^2}{1 - 2 a_k^2}.

    Infinite beyond float64.

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.
        mean: :math:`\mu_k = m_k / \sqrt{\lambda_k}`, the token mean in standard deviations;
            zero by default.

    Raises:
        ValueError: If ``sharpness`` is outside the Hilbert–Schmidt class or ``mean`` does not
            match it.

    Source: derived in the home section, theorem *Gaussian spectrum*.
    Home section: *The rank profile in closed form*.
    """
    magnitude = _magnitude(sharpness)
    margin = _margin(magnitude)
    shift = magnitude**2 * _mean_squared(magnitude, mean) / margin
    return saturating_exponential(shift.sum() - 0.5 * np.log(margin).sum())


def entropy_deficit(
    sharpness: Float[np.ndarray, "direction"],
    mean: Float[np.ndarray, "direction"] | None = None,
) -> float:
    r"""Mean entropy that attention rows miss against uniform rows, in nats.

    .. math:: \ln N - H = \tfrac12 \sum_k a_k^2 (1 + \mu_k^2).

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.
        mean: :math:`\mu_k = m_k / \sqrt{\lambda_k}`, the token mean in standard deviations;
            zero by default.

    Raises:
        ValueError: If ``sharpness`` is outside the Hilbert–Schmidt class or ``mean`` does not
            match it.

    Source: derived in the home section, theorem *Gaussian spectrum*: the mean Kullback–Leibler
    divergence of the tilted law from the law of the tokens.
    Home section: *The rank profile in closed form*.
    """
    magnitude = _magnitude(sharpness)
    return float(0.5 * np.sum(magnitude**2 * (1.0 + _mean_squared(magnitude, mean))))


def _largest_products(ratios: list[float], count: int) -> list[float]:
    """Largest products of powers of descending ratios, each multi-index once.

    A multi-index is the sorted list of its directions. Its successors repeat the last direction
    or move it one further: every list has exactly one parent, whose product is not smaller.
    """
    products = [1.0]
    heap = [(-ratios[0], 1.0, 0)]  # minus the product, the product without its last factor, last
    while len(products) < count:
        negative, prefix, last = heapq.heappop(heap)
        products.append(-negative)
        heapq.heappush(heap, (negative * ratios[last], -negative, last))
        if last + 1 < len(ratios):
            heapq.heappush(heap, (-prefix * ratios[last + 1], prefix, last + 1))
    return products[:count]


def _magnitude(sharpness: Float[np.ndarray, "direction"]) -> Float[np.ndarray, "direction"]:
    """Absolute sharpness, refused outside the range of the closed form."""
    magnitude = np.abs(np.asarray(sharpness, dtype=np.float64))
    if magnitude.ndim != 1 or magnitude.size == 0:
        raise ValueError(
            "sharpness must be a vector with one entry per direction; got shape "
            f"{magnitude.shape}: pass at least one direction."
        )
    outside = ~(magnitude < SHARPNESS_LIMIT)
    if outside.any():
        raise ValueError(
            f"sharpness must satisfy |a| < 1/√2 ≈ {SHARPNESS_LIMIT:.4f}; got "
            f"{magnitude[outside][0]:.6g}, outside the Hilbert–Schmidt class: the closed form has "
            "no value there, so measure the finite attention matrix instead."
        )
    return magnitude


def _margin(magnitude: Float[np.ndarray, "direction"]) -> Float[np.ndarray, "direction"]:
    """The factor 1 - 2 a², as a product so that it stays positive up to the limit."""
    relative = magnitude / SHARPNESS_LIMIT
    return (1.0 - relative) * (1.0 + relative)


def _mean_squared(
    magnitude: Float[np.ndarray, "direction"], mean: Float[np.ndarray, "direction"] | None
) -> Float[np.ndarray, "direction"]:
    """Squared mean per direction, zero where no mean is given."""
    if mean is None:
        return np.zeros_like(magnitude)
    mean = np.asarray(mean, dtype=np.float64)
    if mean.shape != magnitude.shape or not np.all(np.isfinite(mean)):
        raise ValueError(
            f"mean must be finite with one entry per direction, {magnitude.size} here; got "
            f"{mean}: pass m_k / sqrt(λ_k) for every direction."
        )
    return mean**2

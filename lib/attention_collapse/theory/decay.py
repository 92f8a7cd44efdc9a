"""Closed forms of the response law: how the spread of a cloud of tokens decays over depth.

In small steps averaging, post-norm and pre-norm share one equation,
:math:`du/ds = -2 p\\, (1 - a u)\\, u`, and differ in the clock :math:`s` alone: depth time
:math:`\\tau L` for averaging and post-norm, the logarithm of :math:`1 + \\tau L` for pre-norm.
"""

import numpy as np
from jaxtyping import Float, Num
from scipy.special import wrightomega, xlogy

from attention_collapse.theory import spectrum
from attention_collapse.theory.square_root import symmetric_square_root
from attention_collapse.theory.validation import (
    require_at_least,
    require_between,
    require_covariances,
    require_positive,
    require_square_matrices,
)


def pure_sharpness(
    initial: int | float | Float[np.ndarray, "*#point"],
    *,
    layers: int | Num[np.ndarray, "*#point"],
) -> float | Float[np.ndarray, "*#point"]:
    r"""Sharpness after layers of attention without residual.

    .. math:: a_L = b \lambda_L = (b \lambda_0)^{3^L}

    Arguments broadcast.

    Args:
        initial: :math:`b \lambda_0`, in :math:`[0, 1)`.
        layers: :math:`L`.

    Raises:
        ValueError: If ``initial`` is negative or not below 1, or ``layers`` is negative.

    Source: derived in the home section, equation ``eq-pure``.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_at_least("initial", initial, 0, fix="content scores must favour like tokens")
    _require_contracting(initial)
    require_at_least("layers", layers, 0, fix="count layers from zero")
    with np.errstate(over="ignore"):  # an infinite power of a number below 1 is zero
        return np.exp(xlogy(np.power(3.0, layers), initial))


def relative_variance(
    clock: int | float | Float[np.ndarray, "*#point"],
    *,
    sharpness: int | float | Float[np.ndarray, "*#point"],
    match_share: int | float | Float[np.ndarray, "*#point"] = 0.0,
) -> float | Float[np.ndarray, "*#point"]:
    r"""Variance relative to its start, on the clock of the architecture.

    .. math:: u = \frac{e^{-2ps}}{1 - a + a\, e^{-2ps}}, \qquad p = 1 - \lambda_2,

    the solution of :math:`du/ds = -2p\,(1 - a u)\,u` with :math:`u = 1` at :math:`s = 0`. The
    clock is :math:`s = \tau L` for averaging and post-norm and :math:`s = \ln(1 + \tau L)` for
    pre-norm. Arguments broadcast.

    Args:
        clock: :math:`s`.
        sharpness: :math:`a` at the start, in :math:`[0, 1)`.
        match_share: :math:`\lambda_2`, in :math:`[0, 1]`.

    Raises:
        ValueError: If ``clock`` or ``sharpness`` is negative or not finite, ``sharpness`` is not
            below 1, or ``match_share`` is not in :math:`[0, 1]`.

    Source: derived in the home section, theorem *One law on two clocks*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_at_least("sharpness", sharpness, 0, fix="content scores must favour like tokens")
    return _logistic(clock, sharpness, match_share)


def cosine_relative_variance(
    clock: int | float | Float[np.ndarray, "*#point"],
    *,
    sharpness: int | float | Float[np.ndarray, "*#point"],
    match_share: int | float | Float[np.ndarray, "*#point"] = 0.0,
) -> float | Float[np.ndarray, "*#point"]:
    r"""Variance relative to its start for cosine scores, at any sharpness.

    .. math:: u \, e^{a (u - 1)} = e^{-2ps}, \qquad u = W\bigl(a\, e^{a - 2ps}\bigr) / a,

    the solution of :math:`du/ds = -2p\,u / (1 + a u)`, with Lambert's function :math:`W`. It holds
    for narrow clouds under pre-norm and post-norm with scores :math:`\beta\cos`.

    Args:
        clock: :math:`s`, as in ``relative_variance``.
        sharpness: :math:`a = \beta \lambda_0` at the start, positive.
        match_share: :math:`\lambda_2`, in :math:`[0, 1]`.

    Raises:
        ValueError: If ``clock`` is negative or not finite, ``sharpness`` is not finite or
            not positive, or ``match_share`` is not in :math:`[0, 1]`.

    Source: derived in the home section, proposition *Cosine scores*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_positive("sharpness", sharpness, fix="relative_variance covers scores of zero")
    require_at_least("clock", clock, 0, fix="count depth from the first layer")
    require_between("match_share", match_share, 0, 1, ends=True, fix="it is a share")
    exponent = np.log(sharpness) + sharpness - 2.0 * (1.0 - match_share) * clock
    return wrightomega(exponent) / sharpness


def relative_covariance(
    covariance: Float[np.ndarray, "width width"],
    *,
    bilinear: Float[np.ndarray, "_ _"],
    clock: int | float,
    match_share: int | float = 0.0,
) -> Float[np.ndarray, "width width"]:
    r"""Covariance of a cloud on the clock of the architecture, for any bilinear form.

    .. math:: \Sigma_s = \Sigma_0^{1/2} \bigl( e^{2ps} (I - K) + K \bigr)^{-1} \Sigma_0^{1/2},
        \qquad K = \Sigma_0^{1/2}\, \tfrac12 (B + B^\top)\, \Sigma_0^{1/2},

    which solves :math:`d\Sigma/ds = -2p\,\Sigma + p\,\Sigma (B + B^\top) \Sigma`. Under pre-norm
    and post-norm it is the covariance of the directions, and :math:`B` compares deviations from
    the mean direction.

    Args:
        covariance: :math:`\Sigma_0`.
        bilinear: :math:`B`.
        clock: :math:`s`, as in ``relative_variance``.
        match_share: :math:`\lambda_2 = 1 - p`, in :math:`[0, 1]`.

    Raises:
        ValueError: If a matrix is not finite or not of the token width, the covariance is not
            symmetric with variances of at least zero, an eigenvalue of :math:`K` is not below 1,
            ``clock`` is negative or not finite, or ``match_share`` is not in :math:`[0, 1]`.

    Source: derived in the home section, theorem *One law on two clocks*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_covariances(len(covariance), covariance=covariance)
    require_square_matrices(len(covariance), bilinear=bilinear)
    root = symmetric_square_root(covariance)
    sharpness, axes = np.linalg.eigh(root @ (bilinear + bilinear.T) @ root / 2.0)
    factor = root @ axes
    return (factor * _logistic(clock, sharpness, match_share)) @ factor.T


def rank_over_depth(
    spread: Float[np.ndarray, "depth _"],
    *,
    sharpness: Float[np.ndarray, "direction"],
    count: int = 32,
) -> list[spectrum.RankProfile]:
    r"""Rank profiles of content attention along a flow whose spread is known.

    The sharpness of direction :math:`k` is :math:`a_k u_k` with :math:`u_k = \delta_k^2`, and the
    closed form of the spectrum does the rest.

    Args:
        spread: :math:`\delta_k` relative to its start, for instance from ``response_law``.
        sharpness: :math:`a_k` at the start, below :math:`1/\sqrt 2` in size.
        count: Number of singular values to list.

    Raises:
        ValueError: If spread and sharpness differ in their number of directions, or some
            :math:`a_k u_k` is beyond the closed form of the spectrum.

    Source: the spectrum is that of *The rank profile in closed form*, theorem *Gaussian spectrum*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    if spread.shape[-1:] != sharpness.shape:
        raise ValueError(
            "spread must have one column for each sharpness; got shapes "
            f"{spread.shape} and {sharpness.shape}: run the law with the same directions."
        )
    return [spectrum.rank_profile(present, count=count) for present in sharpness * spread**2]


def _logistic(clock, sharpness, match_share):
    require_at_least("clock", clock, 0, fix="count depth from the first layer")
    _require_contracting(sharpness)
    require_between("match_share", match_share, 0, 1, ends=True, fix="it is a share")
    remaining = np.exp(-2.0 * (1.0 - match_share) * clock)
    return remaining / (1.0 - sharpness + sharpness * remaining)


def _require_contracting(sharpness: int | float | Float[np.ndarray, "*point"]) -> None:
    if not np.all(np.less(sharpness, 1)):
        raise ValueError(
            f"sharpness must be below 1; got {sharpness}: from 1 on the Gaussian closure grows "
            "where particles do not."
        )

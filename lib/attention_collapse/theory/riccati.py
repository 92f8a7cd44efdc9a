"""The Riccati equation of the closure solved, for heads whose values are multiples of one.

With :math:`V_h = v_h I` and any :math:`B_h` the covariance obeys
:math:`\\dot\\Sigma = \\Sigma G \\Sigma` with :math:`G = \\sum_h v_h (B_h + B_h^\\top)`, so that
:math:`\\Sigma_t^{-1} = \\Sigma_0^{-1} - t G`. The matrices need not commute. The forms used here
take no inverse of :math:`\\Sigma_0`, which may be singular.
"""

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.square_root import symmetric_square_root
from attention_collapse.theory.validation import (
    require_ascending_times,
    require_covariances,
    require_square_matrices,
    require_vectors,
)


def solved_covariance(
    covariance: Float[np.ndarray, "width width"],
    *,
    rates: Float[np.ndarray, "head"],
    bilinears: Float[np.ndarray, "_ _ _"],
    depth_times: Float[np.ndarray, "time"],
) -> Float[np.ndarray, "time width width"]:
    r"""Covariance of the tokens in closed form, for values :math:`V_h = v_h I`.

    .. math:: \Sigma_t = R \, (I - t R G R)^{-1} R, \qquad R = \Sigma_0^{1/2}, \quad
        G = \sum_h v_h (B_h + B_h^\top)

    Args:
        covariance: :math:`\Sigma_0`, singular or not.
        rates: :math:`v_h` of every head, negative where values point back to the mean.
        bilinears: :math:`B_h = W_Q^\top W_K / \sqrt{d_h}` of every head.
        depth_times: Times :math:`t = \tau L`, ascending from zero or later.

    Raises:
        ValueError: If a matrix is not of the token width or not finite, the heads of ``rates``
            and ``bilinears`` differ in number, the covariance is not symmetric with eigenvalues
            of at least zero, the times are negative or do not ascend, or the covariance blows up
            before the last of them.

    Source: derived in the home section, theorem *Riccati equation solved*.
    Home section: *Degenerate diffusion*.
    """
    root, eigenvalues, vectors = _spectral_form(covariance, _growth(covariance, rates, bilinears))
    _require_before(depth_times, _blow_up_time(eigenvalues))
    frame = root @ vectors
    return (frame / (1.0 - depth_times[:, None, None] * eigenvalues)) @ frame.T


def covariance_blow_up_time(
    covariance: Float[np.ndarray, "width width"],
    *,
    rates: Float[np.ndarray, "head"],
    bilinears: Float[np.ndarray, "_ _ _"],
) -> float:
    r"""Depth time at which a variance is infinite; infinity where none ever is.

    .. math:: t_* = \frac{1}{\lambda_{\max}(\Sigma_0^{1/2} G \, \Sigma_0^{1/2})}

    Args:
        covariance: :math:`\Sigma_0`, singular or not.
        rates: :math:`v_h` of every head.
        bilinears: :math:`B_h` of every head.

    Raises:
        ValueError: If a matrix is not of the token width or not finite, the heads of ``rates``
            and ``bilinears`` differ in number, or the covariance is not symmetric with
            eigenvalues of at least zero.

    Source: derived in the home section, theorem *Riccati equation solved*.
    Home section: *Degenerate diffusion*.
    """
    _, eigenvalues, _ = _spectral_form(covariance, _growth(covariance, rates, bilinears))
    return _blow_up_time(eigenvalues)


def characteristics(
    deviations: Float[np.ndarray, "token _"],
    covariance: Float[np.ndarray, "width width"],
    *,
    rates: Float[np.ndarray, "head"],
    bilinears: Float[np.ndarray, "_ _ _"],
    depth_times: Float[np.ndarray, "time"],
) -> Float[np.ndarray, "time token width"]:
    r"""Deviations of tokens from the mean, for :math:`V_h = v_h I` and symmetric :math:`B_h`.

    .. math:: x(t) - m_t = (I - t \, \Sigma_0 G)^{-1/2} (x(0) - m_0)

    The root is the principal one. It is evaluated as
    :math:`I + R \, g(RGR) \, R G` with :math:`g(s) = ((1 - t s)^{-1/2} - 1) / s`, which needs no
    inverse and has no cancellation.

    Args:
        deviations: :math:`x(0) - m_0` of each token.
        covariance: :math:`\Sigma_0`, singular or not. It need not commute with :math:`G`.
        rates: :math:`v_h` of every head; :math:`v = -c` with :math:`G = -2 c B` for one head.
        bilinears: :math:`B_h` of every head, symmetric.
        depth_times: Times :math:`t = \tau L`, ascending from zero or later.

    Raises:
        ValueError: If a matrix or a vector is not of the token width or not finite, the heads of
            ``rates`` and ``bilinears`` differ in number, a bilinear form is not symmetric, the
            covariance is not symmetric with eigenvalues of at least zero, the times are negative
            or do not ascend, or the covariance blows up before the last of them.

    Source: derived in the home section, proposition *Characteristics*.
    Home section: *Degenerate diffusion*.
    """
    growth = _growth(covariance, rates, bilinears)
    require_vectors(len(covariance), deviations=deviations)
    _require_symmetric(bilinears)
    root, eigenvalues, vectors = _spectral_form(covariance, growth)
    _require_before(depth_times, _blow_up_time(eigenvalues))
    times = depth_times[:, None, None]
    remaining = np.sqrt(1.0 - times * eigenvalues)
    gain = times / (remaining * (1.0 + remaining))
    frame = root @ vectors
    return deviations + ((deviations @ growth @ frame) * gain) @ frame.T


def solved_mean(
    mean: Float[np.ndarray, "_"],
    covariance: Float[np.ndarray, "width width"],
    *,
    rates: Float[np.ndarray, "head"],
    bilinears: Float[np.ndarray, "_ _ _"],
    depth_times: Float[np.ndarray, "time"],
) -> Float[np.ndarray, "time width"]:
    r"""Mean of the tokens in closed form, for :math:`V_h = v_h I` and symmetric :math:`B_h`.

    .. math:: m_t = e^{t \sum_h v_h} \, (I - t \, \Sigma_0 G)^{-1/2} m_0

    Args:
        mean: :math:`m_0`.
        covariance: :math:`\Sigma_0`, singular or not. It need not commute with :math:`G`.
        rates: :math:`v_h` of every head.
        bilinears: :math:`B_h` of every head, symmetric.
        depth_times: Times :math:`t = \tau L`, ascending from zero or later.

    Raises:
        ValueError: As ``characteristics`` does.

    Source: derived in the home section, proposition *Characteristics*.
    Home section: *Degenerate diffusion*.
    """
    moved = characteristics(
        mean[None], covariance, rates=rates, bilinears=bilinears, depth_times=depth_times
    )
    return np.exp(rates.sum() * depth_times)[:, None] * moved[:, 0]


def _growth(covariance, rates, bilinears):
    r"""Growth matrix :math:`G` of the heads, their arguments checked."""
    width = len(covariance)
    require_square_matrices(width, bilinears=bilinears)
    require_covariances(width, covariance=covariance)
    if len(rates) != len(bilinears) or bilinears.size == 0:
        raise ValueError(
            "rates and bilinears must have one entry for each head, and a head at least; got "
            f"shapes {rates.shape} and {bilinears.shape}: pass both for the same heads."
        )
    require_vectors(len(bilinears), rates=rates)
    weighted = np.einsum("h,hij->ij", rates, bilinears)
    return weighted + weighted.T


def _spectral_form(covariance, growth):
    r"""Root :math:`R` of the covariance, eigenvalues and eigenvectors of :math:`RGR`."""
    root = symmetric_square_root(covariance)
    eigenvalues, vectors = np.linalg.eigh(root @ growth @ root)
    return root, eigenvalues, vectors


def _blow_up_time(eigenvalues: Float[np.ndarray, "direction"]) -> float:
    """Reciprocal of the largest eigenvalue, where it is above the rounding of the others."""
    rounding = len(eigenvalues) * np.finfo(float).eps * np.abs(eigenvalues).max()
    return float(1.0 / eigenvalues[-1]) if eigenvalues[-1] > rounding else np.inf


def _require_before(depth_times: Float[np.ndarray, "time"], limit: float) -> None:
    require_ascending_times(depth_times)
    if not depth_times[-1] < limit:
        raise ValueError(
            f"depth_times must end before the covariance blows up, at t = {limit:.6g}; got "
            f"{depth_times[-1]:.6g}: ask for earlier times."
        )


def _require_symmetric(bilinears: Float[np.ndarray, "head width width"]) -> None:
    asymmetry = np.abs(bilinears - bilinears.swapaxes(-2, -1)).max()
    if asymmetry > 1e-10 * np.abs(bilinears).max():
        raise ValueError(
            f"bilinears must be symmetric; got an asymmetry of {asymmetry:.3g}: only the "
            "covariance has a closed form then, see solved_covariance."
        )

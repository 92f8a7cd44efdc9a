"""The closed forms of the theory beside measured heads, from what a recorder knows of them."""

import numpy as np
from jaxtyping import Float

from attention_collapse.theory import spectrum


def gaussian_forms(
    sharpness: Float[np.ndarray, "head direction"], score_variance: Float[np.ndarray, "head"]
) -> dict[str, Float[np.ndarray, "head"]]:
    r"""Entropy deficit, singular ratio and stable rank of Gaussian tokens with these covariances.

    The deficit is :math:`s^2/2` with the measured score variance, the others are those of the
    Mehler spectrum at the measured sharpness. Where the largest sharpness is outside the closed
    form, its two results are not a number.

    Args:
        sharpness: :math:`a_k` of every head.
        score_variance: :math:`s^2` of every head.

    Home section: *A thousand frames*.
    """
    inside = sharpness.max(axis=-1) < spectrum.SHARPNESS_LIMIT
    ratio, rank = (np.full(len(sharpness), np.nan) for _ in range(2))
    for head in np.flatnonzero(inside):
        ratio[head] = spectrum.decay_ratio(sharpness[head]).max()
        rank[head] = spectrum.stable_rank(sharpness[head])
    return {
        "predicted_entropy_deficit": score_variance / 2,
        "predicted_singular_ratio": ratio,
        "predicted_stable_rank": rank,
    }


def gaussian_distance_from_rank_one(sharpness: Float[np.ndarray, "direction"]) -> float:
    r"""Distance of attention between independent Gaussian queries and keys from rank one.

    .. math:: 1 - \frac{N \|\pi\|^2}{\|A\|_F^2} \to
        1 - \prod_k \sqrt{\frac{1 - 2 a_k^2}{1 - a_k^4}}, \qquad N \to \infty:

    the mean row is :math:`\pi(y) = \mathbb E_x\, e^{a x y - a^2 x^2 / 2}` in each direction, whose
    mean square over normal :math:`y` is :math:`(1 - a^4)^{-1/2}`.

    Args:
        sharpness: :math:`a_k`, each below the limit of the closed form.

    Raises:
        ValueError: if a sharpness is outside the closed form.

    Source: derived here, from the kernel of theorem *Gaussian spectrum*.
    Home section: *A thousand frames*.
    """
    mean_row = np.exp(-0.5 * np.log1p(-(sharpness**4)).sum())
    return float(1 - mean_row / spectrum.frobenius_squared(sharpness))

"""The rank profile of attention: all its measures of rank, for one law of the tokens."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.spectrum import gaussian, spherical


@dataclass(frozen=True)
class RankProfile:
    r"""Rank of one attention operator.

    Attributes:
        singular_values: Largest singular values, divided by the first, descending.
        singular_ratio: :math:`\sigma_2 / \sigma_1`.
        effective_rank: Roy–Vetterli effective rank, over all singular values.
        stable_rank: :math:`\|A\|_F^2 / \sigma_1^2`, over all singular values.
        entropy_deficit: :math:`\ln N - H`, in nats.

    Home section: *The rank profile in closed form*.
    """

    singular_values: Float[np.ndarray, "value"]
    singular_ratio: float
    effective_rank: float
    stable_rank: float
    entropy_deficit: float


def rank_profile(
    sharpness: Float[np.ndarray, "direction"],
    *,
    count: int = 32,
    mean: Float[np.ndarray, "direction"] | None = None,
) -> RankProfile:
    r"""Rank profile of attention between Gaussian tokens.

    Args:
        sharpness: :math:`a_k`, dimensionless, of any sign.
        count: Number of singular values to list.
        mean: :math:`\mu_k = m_k / \sqrt{\lambda_k}`, the token mean in standard deviations; zero
            by default. It enters the entropy deficit alone.

    Raises:
        ValueError: If ``sharpness`` is outside the Hilbert–Schmidt class, ``count`` is below 1 or
            ``mean`` does not match ``sharpness``.

    Source: derived in the home section, theorem *Gaussian spectrum*.
    Home section: *The rank profile in closed form*.
    """
    values = gaussian.singular_values(sharpness, count)
    return RankProfile(
        singular_values=values / values[0],
        singular_ratio=float(gaussian.decay_ratio(sharpness).max()),
        effective_rank=gaussian.effective_rank(sharpness),
        stable_rank=gaussian.stable_rank(sharpness),
        entropy_deficit=gaussian.entropy_deficit(sharpness, mean),
    )


def spherical_rank_profile(
    concentration: float | int, dimension: int, *, count: int = 32
) -> RankProfile:
    r"""Rank profile of attention between directions that are uniform on a sphere.

    Args:
        concentration: :math:`\kappa`, the score of two equal directions, of any sign.
        dimension: :math:`d` of the space around the sphere, at least 2.
        count: Number of singular values to list.

    Raises:
        ValueError: If ``concentration`` is not finite, ``dimension`` is below 2 or ``count``
            below 1.

    Source: derived in the home section, theorem *Spherical spectrum*.
    Home section: *The rank profile in closed form*.
    """
    values = spherical.spherical_singular_values(concentration, dimension, count)
    return RankProfile(
        singular_values=values,
        singular_ratio=float(spherical.harmonic_values(concentration, dimension, 2)[1]),
        effective_rank=spherical.spherical_effective_rank(concentration, dimension),
        stable_rank=spherical.spherical_stable_rank(concentration, dimension),
        entropy_deficit=spherical.spherical_entropy_deficit(concentration, dimension),
    )

"""Windows of frames that show the same points: how squares of attention change with frames.

Every token has a bounded number of matches, and each other token counts with its mean weight. The
share of the matches falls with the number of frames (``theory.frames``); their squares first gain
and then lose.
"""

import numpy as np
from jaxtyping import Float, Num
from scipy.special import hyp0f1

from attention_collapse.theory.validation import (
    require_at_least,
    require_exponent,
    require_positive,
)


def sphere_weights(match_score: int | float, directions: int) -> tuple[float, float]:
    r"""Mean and mean square of the weight of a point that is drawn evenly on a sphere.

    .. math:: f = \mathbb E\, e^{s_* u^\top v} = {}_0F_1(\tfrac d2; \tfrac{s_*^2}4), \qquad
        f_2 = \mathbb E\, e^{2 s_* u^\top v} = {}_0F_1(\tfrac d2; s_*^2)

    Args:
        match_score: :math:`s_*`, score of two equal points.
        directions: :math:`d` of the space around the sphere.

    Returns:
        The pair :math:`(f, f_2)`.

    Raises:
        ValueError: If ``match_score`` is not positive or above 350, or ``directions`` is below 2.

    Source: derived in *The rank profile in closed form*, theorem *Spherical spectrum*.
    Home section: *A thousand frames*.
    """
    require_positive("match_score", match_score, fix="a match must outscore the others")
    require_exponent("2 match_score", 2 * match_score)
    require_at_least("directions", directions, 2, fix="a sphere needs two directions")
    return tuple(float(hyp0f1(directions / 2, (k * match_score / 2) ** 2)) for k in (1, 2))


def window_energy(
    frames: int | float | Num[np.ndarray, "*point"],
    *,
    matches: int | float,
    tokens_per_frame: int | float,
    match_score: int | float,
    other_weight: int | float = 1.0,
    other_square: int | float = 1.0,
) -> float | Float[np.ndarray, "*point"]:
    r"""Squared Frobenius norm of attention in windows.

    .. math:: \|A\|_F^2 = N\, \frac{M e^{2 s_*} + (N - M) f_2}{(M e^{s_*} + (N - M) f)^2},
        \qquad N = S P

    The part of the matches is largest at :math:`S = S_*`. Where all columns have the same mass,
    the distance from rank one is :math:`1 - 1 / \|A\|_F^2`.

    Args:
        frames: :math:`S`.
        matches: :math:`M`, matches of a token, itself included.
        tokens_per_frame: :math:`P`.
        match_score: :math:`s_*`.
        other_weight: :math:`f`, mean weight of a token that is no match.
        other_square: :math:`f_2`, mean square of that weight, at least :math:`f^2`.

    Raises:
        ValueError: If a count or a weight is not positive, the tokens are fewer than the matches,
            the score is above 350 or a mean square is below the square of its mean.

    Source: derived in the home section, proposition *Windows*.
    Home section: *A thousand frames*.
    """
    require_positive("matches", matches, fix="a token matches at least itself")
    require_positive("tokens_per_frame", tokens_per_frame, fix="count the tokens of one frame")
    require_positive("other_weight", other_weight, fix="a weight is an exponential")
    require_at_least("other_square", other_square, other_weight**2, fix="see sphere_weights")
    require_positive("match_score", match_score, fix="a match must outscore the others")
    require_exponent("2 match_score", 2 * match_score)
    tokens = np.multiply(frames, tokens_per_frame, dtype=np.float64)
    require_at_least("frames * tokens_per_frame", tokens, matches, fix="matches are tokens")
    sums = [
        matches * np.exp(power * match_score) + (tokens - matches) * weight
        for power, weight in ((1, other_weight), (2, other_square))
    ]
    energy = tokens * sums[1] / sums[0] ** 2
    return energy if np.ndim(energy) else float(energy)

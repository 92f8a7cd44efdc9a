"""How the number of frames enters attention: the entropy crossover and the dilution of matches.

A query has a bounded number of true matches, seen in the frames that overlap its own. Every other
frame adds tokens that compete with them. Tokens are counted over all frames, :math:`N = S P` for
:math:`S` frames of :math:`P` tokens.
"""

import math

import numpy as np
from jaxtyping import Float, Num
from scipy.special import expit

from attention_collapse.theory.validation import require_at_least, require_positive

_LARGEST_EXPONENT = 700.0  # e^700 is 1e304, close to the largest float64


def crossover_tokens(score_variance: int | float) -> tuple[float, float]:
    r"""Numbers of tokens between which attention turns from sharp to diffuse.

    Below :math:`e^{s^2/2}` a few tokens hold the mass of a row; from :math:`e^{s^2}` on the row
    is diffuse, with the entropy that ``entropy`` gives.

    Args:
        score_variance: :math:`s^2`, variance over the keys of the scores of one query.

    Returns:
        The pair :math:`(e^{s^2/2}, e^{s^2})`.

    Raises:
        ValueError: If ``score_variance`` is negative, above 700 or not finite.

    Source: random-energy model with Gaussian scores; derivation checked in tests, to appear in
    the theory part.
    Home section: *Notation*.
    """
    _require_score_variance(score_variance)
    _require_exponent("score_variance", score_variance)
    return math.exp(score_variance / 2.0), math.exp(score_variance)


def entropy(tokens: int | float, score_variance: int | float) -> float:
    r"""Entropy of an attention row over many tokens with Gaussian scores, in nats.

    .. math:: H = \ln N - \tfrac12 s^2, \qquad N \ge e^{s^2}.

    It is the limit of many tokens, approached from above. For :math:`s^2 = 1, 4, 9` the mean
    entropy is higher by 0.27, 0.52 and 0.46 nats at :math:`N = e^{s^2}`, and by 0.04, 0.11 and
    0.11 nats at sixteen times as many tokens.

    Args:
        tokens: :math:`N`, number of keys.
        score_variance: :math:`s^2`, variance over the keys of the scores of one query.

    Raises:
        ValueError: If ``tokens`` is below :math:`e^{s^2}`, where the formula is not accurate, or
            ``score_variance`` is negative, above 700 or not finite.

    Source: random-energy model with Gaussian scores; derivation checked in tests, to appear in
    the theory part.
    Home section: *Notation*.
    """
    _, diffuse = crossover_tokens(score_variance)
    if not diffuse <= tokens < math.inf:
        raise ValueError(
            f"tokens must be finite and at least exp(score_variance) = {diffuse:.6g}; got "
            f"{tokens}: below that the row is not diffuse, so measure its entropy instead."
        )
    return math.log(tokens) - score_variance / 2.0


def match_mass(
    tokens: int | float,
    *,
    matches: int | float,
    match_score: int | float,
    score_variance: int | float,
) -> float:
    r"""Share of a query's attention that falls on its true matches.

    .. math:: \pi = \frac{1}{1 + (N/M)\, e^{-(s_* - s^2/2)}}

    for matches of score :math:`s_*` among tokens with Gaussian scores of mean zero and variance
    :math:`s^2`, whose mean weight is :math:`e^{s^2/2}`.

    Args:
        tokens: :math:`N`, number of tokens that are not matches.
        matches: :math:`M`, number of matches.
        match_score: :math:`s_*`, score of a match above the mean score of the others.
        score_variance: :math:`s^2`, variance of the scores of the others.

    Raises:
        ValueError: If a count is not positive, ``match_score`` is not finite, or
            ``score_variance`` is negative or not finite.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *Notation*.
    """
    require_positive("tokens", tokens, fix="count the tokens that compete with the matches")
    require_positive("matches", matches, fix="a query needs at least one match")
    _require_score_variance(score_variance)
    if not math.isfinite(match_score):
        raise ValueError(f"match_score must be finite; got {match_score}: pass the score gap.")
    return float(expit(math.log(matches / tokens) + match_score - score_variance / 2.0))


def dilution_frames(
    matches: int | float,
    tokens_per_frame: int | float,
    score_gap: int | float,
    *,
    other_weight: int | float = 1.0,
) -> float:
    r"""Number of frames at which the second eigenvalue of attention is one half.

    .. math:: S_* = \frac{M}{P} \left( \frac{e^{s}}{f} - 1 \right)

    A weight :math:`f < 1` on the tokens that are not matches acts as a bias :math:`\ln(1/f)` on
    the matches. It raises :math:`S_*` from its value at :math:`f = 1` by the factor
    :math:`(e^{s} - f) / (f (e^{s} - 1))`, which is :math:`1/f` in the limit of large
    :math:`e^{s}` and above it otherwise.

    Args:
        matches: :math:`M`, number of matches of a query, itself included.
        tokens_per_frame: :math:`P`, tokens of one frame.
        score_gap: :math:`s`, score of a match above that of every other token.
        other_weight: :math:`f`, factor on the softmax weight of the tokens that are not matches,
            for instance through a merge that ignores group sizes.

    Raises:
        ValueError: If a count or the weight is not positive, or the gap after weighting,
            :math:`s - \ln f`, is not positive or above 700.

    Source: second eigenvalue of block attention; derivation checked in tests, to appear in the
    theory part.
    Home section: *The phenomenon*.
    """
    require_positive("matches", matches, fix="a query matches at least itself")
    require_positive("tokens_per_frame", tokens_per_frame, fix="count the tokens of one frame")
    require_positive("other_weight", other_weight, fix="1 leaves the other tokens as they are")
    gap = score_gap - math.log(other_weight)
    require_positive("score_gap - ln(other_weight)", gap, fix="a match must outscore the others")
    _require_exponent("score_gap - ln(other_weight)", gap)
    return matches / tokens_per_frame * math.expm1(gap)


def second_eigenvalue(
    frames: int | float | Num[np.ndarray, "*point"], dilution_frames: int | float
) -> float | Float[np.ndarray, "*point"]:
    r"""Second eigenvalue of attention among diluted matches, :math:`S_* / (S + S_*)`.

    It is the share of attention that the matches hold beyond uniform attention. In all they hold
    :math:`\lambda_2 + (1 - \lambda_2) M / N`, with :math:`M` matches among :math:`N` tokens.

    Args:
        frames: :math:`S`, number of frames.
        dilution_frames: :math:`S_*`, see the function of that name.

    Raises:
        ValueError: If ``frames`` is below 1 or ``dilution_frames`` is not positive.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *The phenomenon*.
    """
    _require_frames(frames, dilution_frames)
    return dilution_frames / (frames + dilution_frames)


def collapse_exponent(
    frames: int | float | Num[np.ndarray, "*point"], dilution_frames: int | float
) -> float | Float[np.ndarray, "*point"]:
    r"""Exponent of the decay of the distance to the Dirac with depth, :math:`S / (S + S_*)`.

    Under pre-norm attention the relative deviation along an eigenvector of attention with
    eigenvalue :math:`\lambda` decays like :math:`L^{-(1 - \lambda)}`; the slowest one has
    :math:`\lambda = S_* / (S + S_*)`.

    Args:
        frames: :math:`S`, number of frames.
        dilution_frames: :math:`S_*`, see the function of that name.

    Raises:
        ValueError: If ``frames`` is below 1 or ``dilution_frames`` is not positive.

    Source: derived in the home section, theorem *Landmark flow*.
    Home section: *The phenomenon*.
    """
    _require_frames(frames, dilution_frames)
    return frames / (frames + dilution_frames)


def _require_frames(
    frames: int | float | Num[np.ndarray, "*point"], dilution_frames: int | float
) -> None:
    require_at_least("frames", frames, 1, fix="a sequence has one frame or more")
    require_positive("dilution_frames", dilution_frames, fix="see dilution_frames in this module")


def _require_score_variance(score_variance: int | float) -> None:
    require_at_least("score_variance", score_variance, 0, fix="a variance is not negative")


def _require_exponent(name: str, exponent: int | float) -> None:
    if exponent > _LARGEST_EXPONENT:
        raise ValueError(
            f"{name} must be at most {_LARGEST_EXPONENT:g}, for its exponential to be a float64; "
            f"got {exponent}: take the scores after division by sqrt(d)."
        )

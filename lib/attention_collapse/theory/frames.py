"""How the number of frames enters attention: the dilution of matches and the collapse exponent.

A query has a bounded number of true matches, seen in the frames that overlap its own. Every other
frame adds tokens that compete with them. Tokens are counted over all frames, :math:`N = S P` for
:math:`S` frames of :math:`P` tokens.
"""

import math

import numpy as np
from jaxtyping import Float, Num
from scipy.special import expit, poch, softmax

from attention_collapse.theory.validation import (
    require_at_least,
    require_between,
    require_exponent,
    require_positive,
)


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

    Source: derived in the home section, theorem *Dilution*, with the mean weight
    :math:`f = e^{s^2/2}` on the others.
    Home section: *Depth and frames: one law*.
    """
    require_positive("tokens", tokens, fix="count the tokens that compete with the matches")
    require_positive("matches", matches, fix="a query needs at least one match")
    require_at_least("score_variance", score_variance, 0, fix="a variance is not negative")
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

    Source: derived in the home section, theorem *Dilution*.
    Home section: *Depth and frames: one law*.
    """
    require_positive("matches", matches, fix="a query matches at least itself")
    require_positive("tokens_per_frame", tokens_per_frame, fix="count the tokens of one frame")
    require_positive("other_weight", other_weight, fix="1 leaves the other tokens as they are")
    gap = score_gap - math.log(other_weight)
    require_positive("score_gap - ln(other_weight)", gap, fix="a match must outscore the others")
    require_exponent("score_gap - ln(other_weight)", gap)
    return matches / tokens_per_frame * math.expm1(gap)


def match_attention(
    tokens: int,
    *,
    matches: int,
    score_gap: int | float,
    other_weight: int | float = 1.0,
) -> Float[np.ndarray, "query key"]:
    r"""Attention of tokens that fall into groups of mutual matches.

    .. math:: A_{ij} = \frac{e^{s} \text{ if } j \text{ matches } i \text{, else } f}
        {M e^{s} + f (N - M)}

    Its eigenvalues are one, :math:`\lambda_2` (see ``second_eigenvalue``) with multiplicity
    :math:`N/M - 1`, and zero.

    Args:
        tokens: :math:`N`; a match is in the same run of ``matches`` tokens.
        matches: :math:`M`, matches of a token, itself included.
        score_gap: :math:`s`, score of a match above that of every other token.
        other_weight: :math:`f`, factor on the softmax weight of tokens that are no match.

    Raises:
        ValueError: If ``matches`` is below 1, ``tokens`` is not a multiple of it, the weight is
            not positive or the gap is not finite.

    Source: derived in the home section, theorem *Dilution*.
    Home section: *Depth and frames: one law*.
    """
    require_at_least("matches", matches, 1, fix="a token matches at least itself")
    if tokens < matches or tokens % matches:
        raise ValueError(
            f"tokens must be a positive multiple of matches; got {tokens} and {matches}: "
            "every token is in one group."
        )
    require_positive("other_weight", other_weight, fix="1 leaves the other tokens as they are")
    if not math.isfinite(score_gap):
        raise ValueError(f"score_gap must be finite; got {score_gap}: pass the gap of a match.")
    group = np.arange(tokens) // matches
    scores = np.where(group[:, None] == group, float(score_gap), math.log(other_weight))
    return softmax(scores, axis=-1)


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

    Source: derived in the home section, theorem *Dilution*.
    Home section: *Depth and frames: one law*.
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

    Source: derived in the home section, theorem *Collapse exponent*.
    Home section: *Depth and frames: one law*.
    """
    _require_frames(frames, dilution_frames)
    return frames / (frames + dilution_frames)


def relative_deviation(
    eigenvalue: int | float | Num[np.ndarray, "*point"],
    layers: int | float | Num[np.ndarray, "*point"],
    *,
    step: int | float,
) -> float | Float[np.ndarray, "*point"]:
    r"""Deviation along an eigenvector of attention after some pre-norm layers, over its start.

    .. math:: \frac{\delta_L}{\delta_0} = \prod_{l=0}^{L-1} \frac{1 + \tau (l + \lambda)}
        {1 + \tau (l + 1)} = \frac{\Gamma(L + 1/\tau + \lambda)\, \Gamma(1/\tau + 1)}
        {\Gamma(L + 1/\tau + 1)\, \Gamma(1/\tau + \lambda)}

    It lies between :math:`(1 + \tau L)^{-p}` and
    :math:`(1 + \tau L / (1 + \tau \lambda))^{-p}`, with :math:`p = 1 - \lambda`.

    Args:
        eigenvalue: :math:`\lambda`, of attention that does not change with depth.
        layers: :math:`L`, number of layers.
        step: :math:`\tau`, step of one layer over the initial norm of the tokens.

    Raises:
        ValueError: If an eigenvalue is outside :math:`[0, 1]`, ``layers`` is negative or ``step``
            is not positive.

    Source: derived in the home section, theorem *Collapse exponent*.
    Home section: *Depth and frames: one law*.
    """
    require_between(
        "eigenvalue", eigenvalue, 0, 1, ends=True, fix="the bounds need a share of attention"
    )
    require_at_least("layers", layers, 0, fix="count layers from zero")
    require_positive("step", step, fix="a layer must move the tokens")
    exponent = 1.0 - np.asarray(eigenvalue, dtype=np.float64)
    start = 1.0 / step + eigenvalue
    ratio = poch(start, exponent) / poch(start + layers, exponent)
    return ratio if np.ndim(ratio) else float(ratio)


def _require_frames(
    frames: int | float | Num[np.ndarray, "*point"], dilution_frames: int | float
) -> None:
    require_at_least("frames", frames, 1, fix="a sequence has one frame or more")
    require_positive("dilution_frames", dilution_frames, fix="see dilution_frames in this module")

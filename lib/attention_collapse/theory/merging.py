"""What token merging does to the law of the tokens.

Tokens are cut into groups. Attention runs among the means of the groups, and every member of a
group receives the output of its mean.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from attention_collapse.theory.closed_variance import contracting_variance
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.validation import (
    require_at_least,
    require_exponent,
    require_positive,
    require_tokens,
)


@dataclass(frozen=True)
class CovarianceSplit:
    r"""Covariance of tokens in two parts, :math:`\Sigma = \Sigma_b + \Sigma_w`.

    Attributes:
        between: :math:`\Sigma_b`, covariance of the group means, weighted with the group sizes.
        within: :math:`\Sigma_w`, mean covariance inside a group, with the same weights.

    Home section: *Depth and frames: one law*.
    """

    between: Float[np.ndarray, "width width"]
    within: Float[np.ndarray, "width width"]


def group_means(
    tokens: Float[np.ndarray, "token width"], groups: Int[np.ndarray, "_"]
) -> tuple[Float[np.ndarray, "group width"], Float[np.ndarray, "group"]]:
    """Means and sizes of the groups of tokens.

    Args:
        tokens: The tokens.
        groups: Group of every token, numbered from zero without a gap.

    Raises:
        ValueError: If there is no token, one is not finite, the groups do not fit the tokens or a
            number in their range is not used.

    Source: definition.
    Home section: *Depth and frames: one law*.
    """
    require_tokens("tokens", tokens)
    if len(groups) != len(tokens):
        raise ValueError(
            f"groups must name one group for every token; got {len(groups)} for {len(tokens)} "
            "tokens: pass two arrays of one length."
        )
    sizes = np.bincount(groups) if groups.min() >= 0 else np.zeros(1)
    if not sizes.all():
        raise ValueError(
            f"groups must be numbered 0, 1, … without a gap; got numbers from {groups.min()} to "
            f"{groups.max()}: renumber them, for instance with numpy.unique."
        )
    sums = np.zeros((len(sizes), tokens.shape[1]))
    np.add.at(sums, groups, tokens)
    return sums / sizes[:, None], sizes.astype(np.float64)


def covariance_split(
    tokens: Float[np.ndarray, "token width"], groups: Int[np.ndarray, "_"]
) -> CovarianceSplit:
    r"""Covariance between and within groups, which add up to that of the tokens.

    Args:
        tokens: The tokens.
        groups: Group of every token, numbered from zero without a gap.

    Raises:
        ValueError: If there is no token, one is not finite, the groups do not fit the tokens or a
            number in their range is not used.

    Source: law of total covariance, derived in the home section.
    Home section: *Depth and frames: one law*.
    """
    means, _ = group_means(tokens, groups)
    centred = means[groups] - tokens.mean(axis=0)
    inside = tokens - means[groups]
    count = len(tokens)
    return CovarianceSplit(centred.T @ centred / count, inside.T @ inside / count)


def merged_attention(
    tokens: Float[np.ndarray, "token width"],
    groups: Int[np.ndarray, "_"],
    *,
    bilinear: Float[np.ndarray, "width width"],
    proportional: bool,
) -> Float[np.ndarray, "token width"]:
    r"""Output of attention among group means, copied to the members of each group.

    .. math:: y_g = \frac{\sum_h n_h\, e^{m_g^\top B m_h}\, m_h}{\sum_h n_h\, e^{m_g^\top B m_h}}

    Args:
        tokens: The tokens.
        groups: Group of every token, numbered from zero without a gap.
        bilinear: :math:`B`.
        proportional: Weigh a group :math:`h` with its size :math:`n_h`, which is a bias
            :math:`\ln n_h` on its scores. Otherwise every group weighs the same.

    Raises:
        ValueError: If there is no token, one is not finite, the groups do not fit the tokens, a
            number in their range is not used, or ``bilinear`` does not act on the tokens.

    Source: proportional attention of Bolya et al. (arXiv 2210.09461), section 3.
    Home section: *Depth and frames: one law*.
    """
    means, sizes = group_means(tokens, groups)
    weights = sizes if proportional else None
    return (attention_matrix(means, bilinear=bilinear, weights=weights) @ means)[groups]


def merged_variance(
    between: int | float | Float[np.ndarray, "*direction"],
    within: int | float | Float[np.ndarray, "*direction"],
    *,
    rate: int | float,
    depth_time: int | float | Float[np.ndarray, "*direction"],
) -> float | Float[np.ndarray, "*direction"]:
    r"""Variance along a direction when merged tokens contract.

    .. math:: \lambda(t) = \lambda_w + \frac{\lambda_b}{1 + 2 c b \lambda_b t}

    The groups stay fixed, attention is proportional to their sizes, :math:`V = -c`, and the group
    means are Gaussian. The part within groups does not move.

    Args:
        between: :math:`\lambda_b`, variance of the group means at the start.
        within: :math:`\lambda_w`, mean variance inside a group.
        rate: :math:`c b > 0`, contraction times score coefficient.
        depth_time: :math:`t = \tau L`.

    Raises:
        ValueError: If an argument is negative or not finite, or the rate is zero.

    Source: derived in the home section, proposition *Frozen within groups*.
    Home section: *Depth and frames: one law*.
    """
    require_at_least("between", between, 0, fix="a variance is not negative")
    require_at_least("within", within, 0, fix="a variance is not negative")
    require_positive("rate", rate, fix="values that point away from the mean are not covered")
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    return within + contracting_variance(
        between, contraction=rate, bilinear=1.0, depth_time=depth_time
    )


def effective_coefficient(split: CovarianceSplit) -> float:
    r"""Rate of contraction of merged tokens over that of all tokens, at the start.

    .. math:: \frac{\mathcal D_{\text{eff}}}{\mathcal D} = \frac{\operatorname{tr} \Sigma_b^2}
        {\operatorname{tr} (\Sigma_b + \Sigma_w)^2}

    It is the ratio of the derivatives of the variance :math:`\operatorname{tr} \Sigma` for one
    score coefficient in all directions.

    Args:
        split: Covariance between and within groups.

    Raises:
        ValueError: If all tokens are equal.

    Source: derived in the home section, proposition *Frozen within groups*.
    Home section: *Depth and frames: one law*.
    """
    total = np.sum((split.between + split.within) ** 2)
    require_positive("variance of the tokens", total, fix="equal tokens do not contract")
    return float(np.sum(split.between**2) / total)


def reference_eigenvalue(
    frames: int,
    *,
    points: int,
    score_gap: int | float,
    group_frames: int = 1,
    protected: bool = True,
    proportional: bool = False,
) -> float:
    r"""Second eigenvalue of attention when every token has its match in the reference frame.

    Each of :math:`S` frames shows the same :math:`P` points. A token scores :math:`s` on the token
    of its point in the first frame and 0 on all others. Of every point, :math:`n` frames in a row
    become one key. With the first frame kept apart,

    .. math:: \lambda_2 = \frac{e^{s} - 1}{e^{s} - 1 + P S'}, \qquad
        S' = 1 + \lceil (S - 1) / n \rceil,

    or :math:`S' = S` where keys weigh their sizes. With the first frame merged with the next
    :math:`n - 1`, the gap is :math:`s / n`, and :math:`S' = \lceil S / n \rceil`, or
    :math:`S / n` with sizes.

    Args:
        frames: :math:`S`.
        points: :math:`P`, tokens of one frame.
        score_gap: :math:`s`.
        group_frames: :math:`n`; 1 merges nothing.
        protected: Keep the first frame apart.
        proportional: Weigh a key with the number of its tokens.

    Raises:
        ValueError: If a count is below 1, there are fewer frames than ``group_frames``, or the gap
            is not positive or above 700.

    Source: derived in the home section, theorem *A reference among merged frames*.
    Home section: *Token merging*.
    """
    require_at_least("points", points, 1, fix="a frame has a token")
    require_at_least("group_frames", group_frames, 1, fix="1 merges nothing")
    require_at_least("frames", frames, group_frames, fix="a group cannot have more frames")
    require_positive("score_gap", score_gap, fix="a match must outscore the others")
    require_exponent("score_gap", score_gap)
    if protected:
        gap, apart, merged = score_gap, 1, frames - 1
    else:
        gap, apart, merged = score_gap / group_frames, 0, frames
    keys = apart + math.ceil(merged / group_frames)
    weighed = apart + merged / (1 if protected else group_frames)
    seen = weighed if proportional else keys
    return math.expm1(gap) / (math.expm1(gap) + points * seen)

"""Attention that the other frames pay to the first one, without writing the attention down."""

import torch
from jaxtyping import Float
from torch import Tensor

SCORES_AT_ONCE = 2**26
"""Scores that are held at a time."""


def reference_mass(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    *,
    tokens_per_frame: int,
    bias: float = 0.0,
    rows: int | None = None,
) -> Float[Tensor, "head"]:
    r"""Mean attention mass that tokens of later frames put on the first frame.

    .. math:: \frac1n \sum_{i} \frac{\sum_{j \le P} e^{s_{ij} + b}}
        {\sum_{j \le P} e^{s_{ij} + b} + \sum_{j > P} e^{s_{ij}}},
        \qquad s_{ij} = q_i^\top k_j / \sqrt d

    It is :math:`1/S` if all frames get the same.

    Args:
        query: :math:`q_i` of all tokens, after norm and rotation, the first frame's first.
        key: :math:`k_j`.
        tokens_per_frame: :math:`P`.
        bias: :math:`b`, added to the scores of the first frame's keys.
        rows: Number of evenly spaced queries of later frames to average over, at most; ``None``
            takes all.

    Raises:
        ValueError: There is no later frame, or no row.

    Home section: *What fails*.
    """
    later = query.shape[1] - tokens_per_frame
    if min(later, tokens_per_frame, 1 if rows is None else rows) < 1:
        raise ValueError(
            "the mass on the first frame needs one later token and one row, got "
            f"{query.shape[1]} tokens, {tokens_per_frame} of a frame, and rows {rows}"
        )
    count = later if rows is None else min(rows, later)
    chosen = tokens_per_frame + torch.arange(count, device=query.device) * later // count
    dtype = torch.promote_types(query.dtype, torch.float32)
    asking = query[:, chosen].to(dtype) / query.shape[-1] ** 0.5
    keys = key.to(dtype).mT
    step = max(1, SCORES_AT_ONCE // (len(key) * key.shape[1]))
    shares = [_share(part @ keys, tokens_per_frame, bias) for part in asking.split(step, dim=1)]
    return torch.cat(shares, dim=1).double().mean(1)


def _share(
    scores: Float[Tensor, "head query key"], first: int, bias: float
) -> Float[Tensor, "head query"]:
    odds = scores[..., :first].logsumexp(-1) + bias - scores[..., first:].logsumexp(-1)
    return odds.sigmoid()

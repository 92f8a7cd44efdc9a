"""Scores with a bias for each key, where scores are products of 16-bit numbers."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attention_collapse.vggt.reduction import Heads

PIECES = 3
"""Short numbers that add up to one bias: three of bfloat16 hold the 24 bits of a float32."""

ALIGNMENT = 8
"""The fused kernels take dimensions that are multiples of this."""


def with_key_bias(heads: Heads, key_bias: Float[Tensor, "batch key"]) -> Heads:
    r"""Heads whose scores :math:`q^\top k / \sqrt d` have the bias of the key in them.

    The mask of a fused kernel has the type of the queries: a bias of 9.2 in bfloat16 is off by up
    to 0.03. Here the bias becomes further dimensions instead. Those of the query are one, and those
    of the key are :math:`\sqrt d\, b` as a sum of short numbers, the rest of each in the next one.
    Products are summed in float32, so that the bias is as good as the scores. The scale stays that
    of :math:`d` dimensions.

    Args:
        heads: Query, key and value; the value is unchanged.
        key_bias: :math:`b`, in float32 or float64.

    Source: derived in the book. Home section: *Notation*.
    """
    query, key, value = heads
    rest = key_bias.double() * query.shape[-1] ** 0.5
    pieces = []
    for _ in range(PIECES):
        pieces.append(rest.to(key.dtype))
        # An infinite bias has no rest.
        rest = torch.where(rest.isinf(), 0, rest - pieces[-1].double())
    added = torch.stack(pieces, -1)[:, None].expand(*key.shape[:-1], PIECES)
    filling = -(query.shape[-1] + PIECES) % ALIGNMENT
    ones = query.new_ones(1).expand(*query.shape[:-1], PIECES)
    return Heads(
        F.pad(torch.cat((query, ones), -1), (0, filling)),
        F.pad(torch.cat((key, added), -1), (0, filling)),
        value,
    )

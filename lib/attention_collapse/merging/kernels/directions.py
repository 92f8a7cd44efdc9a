"""Directions of some tokens, in half precision."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int64
from torch import Tensor

LONGEST = 8192
"""Longest features that a program holds."""


@triton.jit
@no_type_check
def _direction_kernel(
    features, rows, out, lengths, row_count, batch_stride, token_stride, width,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    """Normalise one token; its length over the largest entry is no number if one entry is none."""
    number, entry = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    start = entry * batch_stride + tl.load(rows + number) * token_stride
    row = tl.load(features + start + column, mask=column < width, other=0.0).to(tl.float32)
    largest = tl.max(tl.abs(row), 0)
    scaled = row / tl.where(largest > 0, largest, 1.0)
    norm = tl.sqrt(tl.sum(scaled * scaled, 0))
    direction = scaled / tl.where(norm > 0, norm, 1.0)
    at = entry * row_count + number
    tl.store(out + at * width + column, direction.to(tl.float16), mask=column < width)
    tl.store(lengths + at, norm)


def half_directions(
    features: Float[Tensor, "batch token width"], rows: Int64[Tensor, "row"]
) -> tuple[Float[Tensor, "batch row width"], Float[Tensor, "batch row"]]:
    r"""Features of some tokens over their norms in float16, and lengths that tell of bad ones.

    An entry of a direction is at most one, so that float16 rounds it less than bfloat16 would: a
    cosine of features of 1024 numbers is good to about :math:`10^{-5}`. The lengths are in units of
    the largest entry, and not a number where a feature is infinite or none.

    Args:
        features: What the tokens are compared by, of at most 8192 numbers.
        rows: Tokens.

    Source: derived in the book. Home section: *Token merging*.
    """
    if features.stride(-1) != 1:
        features = features.contiguous()
    batch, _, width = features.shape
    out = features.new_empty(batch, len(rows), width, dtype=torch.float16)
    lengths = features.new_empty(batch, len(rows), dtype=torch.float32)
    _direction_kernel[(len(rows), batch)](
        features,
        rows,
        out,
        lengths,
        len(rows),
        features.stride(0),
        features.stride(1),
        width,
        COLUMNS=triton.next_power_of_2(width),
        num_warps=4,
    )
    return out, lengths

"""Means of groups and copies to tokens: one pass over the tokens in the order of their groups."""

from collections.abc import Sequence
from typing import no_type_check

import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from attention_collapse.merging.kernels.tiles import Tiles
from attention_collapse.merging.members import Members

TOGETHER = 3
"""Tensors whose means one launch takes at most: query, key and value."""


@triton.jit(do_not_specialize=["token_count", "group_count"])
@no_type_check
def _mean_kernel(
    first, second, third, first_out, second_out, third_out, order, starts, token_count,
    group_count, batch_stride, axis_stride, token_stride, entries, BLOCKS: tl.constexpr,
    WIDTH: tl.constexpr, MEMBERS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Add the members of one group in ascending order, some at a time, and divide by the size."""
    group, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    tensor, block = tl.program_id(1) // BLOCKS, tl.program_id(1) % BLOCKS
    tokens, out = first, first_out
    if tensor == 1:
        tokens, out = second, second_out
    if tensor == 2:
        tokens, out = third, third_out
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    axis, within = (column // WIDTH).to(tl.int64), column % WIDTH
    place = tokens + batch * batch_stride + axis * axis_stride + within
    bounds = starts + batch * (group_count + 1) + group
    start, end = tl.load(bounds), tl.load(bounds + 1)
    order += batch * token_count
    total = tl.zeros([COLUMNS], tl.float32)
    for begin in range(start, end, MEMBERS):
        member = begin + tl.arange(0, MEMBERS)
        token = tl.load(order + member, mask=member < end, other=0).to(tl.int64)
        inside = (member < end)[:, None] & (column < entries)[None, :]
        rows = tl.load(place[None, :] + (token * token_stride)[:, None], mask=inside, other=0.0)
        total += tl.sum(rows.to(tl.float32), 0)
    mean = total / (end - start).to(tl.float32)
    at = ((batch * (entries // WIDTH) + axis) * group_count + group) * WIDTH + within
    tl.store(out + at, mean.to(out.dtype.element_ty), mask=column < entries)


@triton.jit(do_not_specialize=["token_count", "group_count"])
@no_type_check
def _copy_kernel(
    rows, order, groups, out, token_count, group_count, batch_stride, axis_stride, row_stride,
    entries, WIDTH: tl.constexpr, TOKENS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Copy rows to tokens that follow each other in the order of the groups: few rows are new."""
    batch = tl.program_id(2).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    axis, within = (column // WIDTH).to(tl.int64), column % WIDTH
    number = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    known = number < token_count
    group = tl.load(groups + batch * token_count + number, mask=known, other=0).to(tl.int64)
    token = tl.load(order + batch * token_count + number, mask=known, other=0).to(tl.int64)
    inside = known[:, None] & (column < entries)[None, :]
    place = rows + batch * batch_stride + axis * axis_stride + within
    row = tl.load(place[None, :] + (group * row_stride)[:, None], mask=inside, other=0.0)
    start = (batch * (entries // WIDTH) + axis) * token_count * WIDTH + within
    place = out + start[None, :] + (token * WIDTH)[:, None]
    # Nobody reads them soon: they need not push rows out of the cache.
    tl.store(place, row, mask=inside, cache_modifier=".cs")


def segment_means(
    tokens: Sequence[Float[Tensor, "batch axis token width"]], members: Members, *, tiles: Tiles
) -> list[Float[Tensor, "batch axis group width"]]:
    """Means of the groups, summed in single precision, always in the same order.

    One program sums a group, all heads side by side; a group of many thousands takes as long as it
    has members. One launch takes all tensors.

    Args:
        tokens: Rows of the tokens, in up to ``TOGETHER`` tensors of one shape, type and stride,
            with the last axis in one piece.
        members: Members of the groups.
        tiles: Members that are read at a time, and their columns.

    Source: derived in the book. Home section: *Token merging*.
    """
    batch, axes, count, width = tokens[0].shape
    out = [each.new_empty(batch, axes, members.count, width) for each in tokens]
    blocks, unused = triton.cdiv(axes * width, tiles.width), TOGETHER - len(tokens)
    _mean_kernel[(members.count, len(tokens) * blocks, batch)](
        *tokens,
        *tokens[:1] * unused,
        *out,
        *out[:1] * unused,
        members.order,
        members.starts,
        count,
        members.count,
        *tokens[0].stride()[:3],
        axes * width,
        BLOCKS=blocks,
        WIDTH=width,
        MEMBERS=tiles.streamed,
        COLUMNS=tiles.width,
        **tiles.options(),
    )
    return out


def segment_copies(
    rows: Float[Tensor, "batch axis group width"], members: Members, *, tiles: Tiles
) -> Float[Tensor, "batch axis token width"]:
    """The row of its group for every token.

    Args:
        rows: Rows of the groups, with the last axis in one piece.
        members: Members of the groups.
        tiles: Tokens that a program writes, and their columns.

    Source: derived in the book. Home section: *Token merging*.
    """
    (batch, axes, _, width), count = rows.shape, members.assignment.shape[1]
    out = rows.new_empty(batch, axes, count, width)
    _copy_kernel[(triton.cdiv(count, tiles.kept), triton.cdiv(axes * width, tiles.width), batch)](
        rows,
        members.order,
        members.sorted_groups,
        out,
        count,
        members.count,
        *rows.stride()[:3],
        axes * width,
        WIDTH=width,
        TOKENS=tiles.kept,
        COLUMNS=tiles.width,
        **tiles.options(),
    )
    return out

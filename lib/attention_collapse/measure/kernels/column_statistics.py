"""Sums over the queries, for every key, once the normaliser of each query is known."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.kernels.exponential import instructions, power_of_two
from attention_collapse.measure.kernels.tiles import (
    CHUNK,
    Tiles,
    base_two,
    base_two_scale,
    descriptor,
)
from attention_collapse.measure.streaming.backend import ColumnStatistics

# Frames whose sums over the queries are held at a time, for every key.
FRAME_GROUP = 64

# The bias of a query that does not count.
_MASKED = tl.constexpr(-1.0e30)


@triton.jit(
    do_not_specialize=["query_count", "key_count", "origin", "segment", "segments", "out_stride"]
)
@no_type_check
def _column_kernel(
    queries, keys, bias_pointer, out_pointer, query_count, key_count, origin, segment, segments,
    scale, out_stride, QUERIES: tl.constexpr, KEYS: tl.constexpr, INSTRUCTIONS: tl.constexpr,
):  # fmt: skip
    """Write the sum of each of ``segments`` runs of ``segment`` queries, for every key."""
    head = tl.program_id(1)
    first = tl.program_id(0) * KEYS
    column = first + tl.arange(0, KEYS)
    bias_pointer += head.to(tl.int64) * query_count
    out_pointer += head.to(tl.int64) * key_count + column

    key = keys.load([head * key_count + first, 0])
    # A thread of a tensor-core tile holds rows r and r + 8: it adds them and waits for nobody.
    total = tl.zeros([QUERIES // 16, 8, KEYS], tl.float32)
    offset = 0
    for _ in tl.range(0, segments * tl.cdiv(segment, QUERIES)):
        within = offset + tl.arange(0, QUERIES)
        row = origin + within
        inside = (within < segment) & (row < query_count)
        score = tl.dot(queries.load([head * query_count + origin + offset, 0]), key.T)
        bias = tl.load(bias_pointer + row, mask=inside, other=_MASKED)
        weight = power_of_two(score * scale + bias[:, None], INSTRUCTIONS)
        total += tl.sum(tl.reshape(weight, [QUERIES // 16, 2, 8, KEYS]), 1)
        offset += QUERIES
        if offset >= segment:
            tl.store(out_pointer, tl.sum(tl.sum(total, 0), 0), mask=column < key_count)
            out_pointer += out_stride
            total = tl.zeros([QUERIES // 16, 8, KEYS], tl.float32)
            origin += segment
            offset = 0


def column_statistics(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    log_sum_exp: Float[Tensor, "head query"],
    *,
    tokens_per_frame: int | None = None,
    tiles: Tiles,
    chunk: int = CHUNK,
) -> ColumnStatistics:
    r"""Column sums :math:`c_j = \sum_i e^{S_{ij} - l_i}` and the mass between frames.

    The queries of one frame, or of one chunk, are summed in single precision, the sums of frames
    and chunks in double precision. For the mass, what 64 frames of queries give to every key is
    held at a time.

    Args:
        query: Queries after norm and rotation.
        key: Keys after norm and rotation.
        log_sum_exp: Normalisers of the rows.
        tokens_per_frame: Tokens of a frame; without it there is no mass between frames.
        tiles: Sizes of the kernel's tiles; it keeps keys and streams queries.
        chunk: Queries summed in one launch without frames.

    Source: derived in the book.

    Home section: *Measuring collapse*.
    """
    (heads, queries, _), keys = query.shape, key.shape[1]
    bias = -base_two(log_sum_exp)
    sums = torch.zeros(heads, keys, dtype=torch.float64, device=query.device)
    segment, group = (tokens_per_frame, FRAME_GROUP) if tokens_per_frame else (chunk, 1)
    mass = []
    for origin in range(0, queries, segment * group):
        segments = min(group, triton.cdiv(queries - origin, segment))
        partial = torch.empty(segments, heads, keys, device=query.device)
        _launch(query, key, bias, partial, origin=origin, segment=segment, tiles=tiles)
        sums += partial.sum(0, dtype=torch.float64)
        if tokens_per_frame:
            # One query frame at a time: a double-precision copy of the group would not fit.
            by_frame = (sums_of_keys.unflatten(1, (-1, segment)) for sums_of_keys in partial)
            mass.append(torch.stack([one.sum(2, dtype=torch.float64) for one in by_frame], 1))
    frame_mass = torch.cat(mass, 1).float() if tokens_per_frame else None
    return ColumnStatistics(sums.float(), frame_mass)


def _launch(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    bias: Float[Tensor, "head query"],
    partial: Float[Tensor, "segment head key"],
    *,
    origin: int,
    segment: int,
    tiles: Tiles,
) -> None:
    """Fill ``partial`` with the sums of the segments of queries that start at ``origin``."""
    (heads, queries, _), keys = query.shape, key.shape[1]
    _column_kernel[(triton.cdiv(keys, tiles.kept), heads)](
        descriptor(query, tiles.streamed),
        descriptor(key, tiles.kept),
        bias,
        partial,
        queries,
        keys,
        origin,
        min(segment, queries - origin),
        len(partial),
        base_two_scale(query),
        partial.stride(0),
        QUERIES=tiles.streamed,
        KEYS=tiles.kept,
        INSTRUCTIONS=instructions(tiles.polynomials, 5),
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )

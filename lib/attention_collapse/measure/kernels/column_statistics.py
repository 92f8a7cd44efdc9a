"""Sums over the queries, for every key, once the normaliser of each query is known."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attention_collapse.measure.kernels.exponential import instructions, power_of_two
from attention_collapse.measure.kernels.tiles import (
    CHUNK,
    Tiles,
    base_two,
    base_two_scale,
    descriptor,
    row_descriptor,
)
from attention_collapse.measure.streaming.backend import ColumnStatistics

# Frames whose sums over the queries are held at a time, for every key.
FRAME_GROUP = 64

# Chunks of one launch: at the end of each launch multiprocessors stand idle.
CHUNK_GROUP = 4

# The bias of a query that does not count: a power of two that is zero.
_MASKED = -1.0e30

# Partial sums of a key. A thread of a tensor-core tile holds whole residues modulo 8 of the
# queries, so that no thread waits for another inside the loop.
_LANES = tl.constexpr(8)


@triton.jit(
    do_not_specialize=[
        "query_count", "key_count", "bias_count", "segment", "first_segment", "out_stride",
    ]
)  # fmt: skip
@no_type_check
def _column_kernel(
    queries, keys, biases, out_pointer, query_count, key_count, bias_count, segment, first_segment,
    scale, out_stride, QUERIES: tl.constexpr, KEYS: tl.constexpr, STAGES: tl.constexpr,
    INSTRUCTIONS: tl.constexpr,
):  # fmt: skip
    """Write the sums over one segment of queries for one tile of keys."""
    head, first = tl.program_id(1), tl.program_id(0) * KEYS
    number = first_segment + tl.program_id(2)
    head_row = head * query_count + number * segment
    segments = tl.cdiv(query_count, segment)
    head_bias = (head * segments + number) * bias_count
    end = tl.minimum(segment, query_count - number * segment)

    key = keys.load([head * key_count + first, 0])
    total = tl.zeros([KEYS, _LANES], tl.float32)
    tl.assume(end > 0)
    # A loop without stages of its own reads ahead for its products alone, and awaits each bias.
    for tile in tl.range(0, end, QUERIES, num_stages=STAGES):
        score = tl.dot(key, queries.load([head_row + tile, 0]).T)
        bias = biases.load([head_bias + tile])
        weight = power_of_two(score * scale + bias[None, :], INSTRUCTIONS)
        total += tl.sum(tl.reshape(weight, [KEYS, QUERIES // _LANES, _LANES]), 1)
    column = first + tl.arange(0, KEYS)
    out_pointer += tl.program_id(2).to(tl.int64) * out_stride
    out_pointer += head.to(tl.int64) * key_count + column
    tl.store(out_pointer, tl.sum(total, 1), mask=column < key_count)


def column_statistics(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    log_sum_exp: Float[Tensor, "head query"],
    *,
    tokens_per_frame: int | None = None,
    tiles: Tiles,
    chunk: int = CHUNK,
    frames_at_once: int = FRAME_GROUP,
) -> ColumnStatistics:
    r"""Column sums :math:`c_j = \sum_i e^{S_{ij} - l_i}` and the mass between frames.

    The queries of one frame, or of one chunk, are summed in single precision, the sums of frames
    and chunks in double precision. For the mass, what some frames of queries give to every key is
    held at a time.

    Args:
        query: Queries after norm and rotation.
        key: Keys after norm and rotation.
        log_sum_exp: Normalisers of the rows.
        tokens_per_frame: Tokens of a frame; without it there is no mass between frames.
        tiles: Sizes of the kernel's tiles; it keeps keys and streams queries.
        chunk: Queries summed in single precision without frames.
        frames_at_once: Frames whose sums for every key are held at a time.

    Source: derived in the book.

    Home section: *Measuring collapse*.
    """
    (heads, queries, _), keys = query.shape, key.shape[1]
    sums = torch.zeros(heads, keys, dtype=torch.float64, device=query.device)
    segment = tokens_per_frame or min(chunk, queries)
    group = frames_at_once if tokens_per_frame else CHUNK_GROUP
    bias = _bias(base_two(log_sum_exp, dim=query.shape[-1]), segment, tiles.streamed)
    mass = []
    for first in range(0, bias.shape[1], group):
        segments = min(group, bias.shape[1] - first)
        partial = torch.empty(segments, heads, keys, device=query.device)
        _launch(query, key, bias, partial, first=first, segment=segment, tiles=tiles)
        sums += partial.sum(0, dtype=torch.float64)
        if tokens_per_frame:
            # One query frame at a time: a double-precision copy of the group would not fit.
            by_frame = (sums_of_keys.unflatten(1, (-1, segment)) for sums_of_keys in partial)
            mass.append(torch.stack([one.sum(2, dtype=torch.float64) for one in by_frame], 1))
    frame_mass = torch.cat(mass, 1).float() if tokens_per_frame else None
    return ColumnStatistics(sums.float(), frame_mass)


def _bias(
    normaliser: Float[Tensor, "head query"], segment: int, tile: int
) -> Float[Tensor, "head segment padded"]:
    """What a query adds to its powers of two; what fills a segment up to whole tiles is masked."""
    missing = -normaliser.shape[1] % segment
    bias = pad(-normaliser, (0, missing), value=_MASKED).unflatten(1, (-1, segment))
    return pad(bias, (0, -segment % tile), value=_MASKED)


def _launch(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    bias: Float[Tensor, "head segment padded"],
    partial: Float[Tensor, "part head key"],
    *,
    first: int,
    segment: int,
    tiles: Tiles,
) -> None:
    """Fill ``partial`` with the sums of the segments of queries from the first on."""
    (heads, queries, _), keys = query.shape, key.shape[1]
    _column_kernel[(triton.cdiv(keys, tiles.kept), heads, len(partial))](
        descriptor(query, tiles.streamed),
        descriptor(key, tiles.kept),
        row_descriptor(bias.flatten(1), tiles.streamed),
        partial,
        queries,
        keys,
        bias.shape[2],
        segment,
        first,
        base_two_scale(query.shape[-1]),
        partial.stride(0),
        QUERIES=tiles.streamed,
        KEYS=tiles.kept,
        STAGES=tiles.stages,
        INSTRUCTIONS=instructions(tiles.polynomials, 5),
        **tiles.options(),
    )

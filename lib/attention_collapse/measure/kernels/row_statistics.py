"""Normaliser, entropy and energy of every row of the attention in one pass over the scores."""

import math
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
    base_two_scale,
    descriptor,
    powers_per_nat,
)
from attention_collapse.measure.streaming.backend import RowStatistics
from attention_collapse.measure.streaming.precision import full_precision

# Partial sums of a row. A thread of a tensor-core tile holds whole residues modulo 8 of the
# columns, so that no thread waits for another inside the loop.
_LANES = tl.constexpr(8)

# A masked score, and a shift that no score is below; their difference is a power of zero.
_MASKED = tl.constexpr(-1.0e30)
_LOWEST_SHIFT = -1.0e20

# Keys whose scores show where a row's largest score lies: so many of the longest, and so many at
# equal distances.
REPRESENTATIVES = 32

# Powers of two by which a row's largest score may exceed a fixed shift. The sum of 4^x overflows
# first: 4^48 for each of 2^31 keys is 2^127, and single precision ends at 2^128.
LARGEST_EXCESS = 48.0

# Powers of two by which it may fall short. The energy is then at least 4^-40, and the squares lost
# below 2^-126, the smallest normal number, are at most 2^-46 of it for each key: 2^-25 for 2^21.
LARGEST_SHORTFALL = 40.0


@triton.jit
@no_type_check
def _accumulate(
    score, start, end, scale, shift, total, moment, energy, KEYS: tl.constexpr,
    FIXED: tl.constexpr, MASKED: tl.constexpr, INSTRUCTIONS: tl.constexpr,
):  # fmt: skip
    """Add one tile of keys to the sums of ``2^x``, ``x 2^x`` and ``4^x``, x = score - shift."""
    if MASKED:
        inside = start + tl.arange(0, KEYS) < end
        score = tl.where(inside[None, :], score, _MASKED)
    score = tl.reshape(score, [score.shape[0], KEYS // _LANES, _LANES])
    if not FIXED:
        raised = tl.maximum(shift, tl.max(score, 1) * scale)
        factor = tl.math.exp2(shift - raised)
        moment = factor * (moment + (shift - raised) * total)
        total = factor * total
        energy = factor * factor * energy
        shift = raised
    exponent = score * scale - shift[:, None, :]
    weight = tl.math.exp2(exponent) if MASKED else power_of_two(exponent, INSTRUCTIONS)
    total += tl.sum(weight, 1)
    moment += tl.sum(weight * exponent, 1)
    energy += tl.sum(weight * weight, 1)
    return shift, total, moment, energy


@triton.jit(do_not_specialize=["query_count", "key_count", "start", "end", "sums_stride"])
@no_type_check
def _row_kernel(
    queries, keys, shift_pointer, sums_pointer, query_count, key_count, start, end, scale,
    sums_stride, QUERIES: tl.constexpr, KEYS: tl.constexpr, FIXED: tl.constexpr,
    INSTRUCTIONS: tl.constexpr,
):  # fmt: skip
    """Add the keys of one chunk to the sums of every row, all of them relative to its shift."""
    head = tl.program_id(1)
    first = tl.program_id(0) * QUERIES
    head_row = head * key_count
    row = first + tl.arange(0, QUERIES)
    inside = row < query_count
    shift_pointer += head.to(tl.int64) * query_count + row
    sums_pointer += head.to(tl.int64) * query_count + row

    query = queries.load([head * query_count + first, 0])
    earlier = tl.load(shift_pointer, mask=inside, other=0.0)
    shift = tl.broadcast_to(earlier[:, None], [QUERIES, _LANES])
    total = tl.zeros([QUERIES, _LANES], tl.float32)
    moment = tl.zeros([QUERIES, _LANES], tl.float32)
    energy = tl.zeros([QUERIES, _LANES], tl.float32)
    full = start + (end - start) // KEYS * KEYS
    for tile in tl.range(start, full, KEYS):
        score = tl.dot(query, keys.load([head_row + tile, 0]).T)
        shift, total, moment, energy = _accumulate(
            score, tile, end, scale, shift, total, moment, energy, KEYS, FIXED, False,
            INSTRUCTIONS,
        )  # fmt: skip
    if full < end:
        score = tl.dot(query, keys.load([head_row + full, 0]).T)
        shift, total, moment, energy = _accumulate(
            score, full, end, scale, shift, total, moment, energy, KEYS, FIXED, True,
            INSTRUCTIONS,
        )  # fmt: skip

    # Bring the partial sums, and those of earlier chunks, to one shift.
    highest = tl.max(shift, 1)
    step = shift - highest[:, None]
    factor = tl.math.exp2(step)
    moment = tl.sum(factor * (moment + step * total), 1)
    total = tl.sum(factor * total, 1)
    energy = tl.sum(factor * factor * energy, 1)
    step = earlier - highest
    factor = tl.math.exp2(step)
    before = tl.load(sums_pointer, mask=inside, other=0.0)
    before_moment = tl.load(sums_pointer + sums_stride, mask=inside, other=0.0)
    before_energy = tl.load(sums_pointer + 2 * sums_stride, mask=inside, other=0.0)
    moment += factor * (before_moment + step * before)
    tl.store(shift_pointer, highest, mask=inside)
    tl.store(sums_pointer, total + factor * before, mask=inside)
    tl.store(sums_pointer + sums_stride, moment, mask=inside)
    tl.store(sums_pointer + 2 * sums_stride, energy + factor * factor * before_energy, mask=inside)


def row_statistics(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    *,
    tiles: Tiles,
    chunk: int = CHUNK,
) -> RowStatistics:
    r"""Log-sum-exp, entropy and energy of every row by one product of queries and keys.

    With a shift :math:`m_i` and powers of two, :math:`x_{ij} = S_{ij} \log_2 e - m_i`, the sums
    :math:`L = \sum_j 2^{x_{ij}}`, :math:`T = \sum_j x_{ij} 2^{x_{ij}}` and
    :math:`W = \sum_j 4^{x_{ij}}` give

    .. math::

        l_i = (m_i + \log_2 L) \ln 2, \qquad H_i = (\log_2 L - T / L) \ln 2, \qquad
        \sum_j A_{ij}^2 = W / L^2.

    The shift is fixed where one is provably near enough to the row's largest score, and otherwise
    the running maximum. Chunks of keys are summed apart and then added.

    Args:
        query: Queries after norm and rotation.
        key: Keys after norm and rotation.
        tiles: Sizes of the kernel's tiles; it keeps queries and streams keys.
        chunk: Keys summed in one launch.

    Source: derived in the book; running maximum after Milakov and Gimelshein, 2018.

    Home section: *Measuring collapse*.
    """
    (heads, queries, _), keys = query.shape, key.shape[1]
    shift = fixed_shift(query, key)
    fixed = shift is not None
    if not fixed:
        shift = torch.full((heads, queries), _LOWEST_SHIFT, device=query.device)
    sums = torch.zeros(3, heads, queries, device=query.device)
    for start in range(0, keys, chunk):
        _row_kernel[(triton.cdiv(queries, tiles.kept), heads)](
            descriptor(query, tiles.kept),
            descriptor(key, tiles.streamed),
            shift,
            sums,
            queries,
            keys,
            start,
            min(start + chunk, keys),
            base_two_scale(query.shape[-1]),
            sums.stride(0),
            QUERIES=tiles.kept,
            KEYS=tiles.streamed,
            FIXED=fixed,
            INSTRUCTIONS=instructions(tiles.polynomials, 5),
            **tiles.options(),
        )
    total, moment, energy = sums.double()
    logarithm = total.log2()
    return RowStatistics(
        log_sum_exp=((shift + logarithm) / powers_per_nat(query.shape[-1])).float(),
        entropy=((logarithm - moment / total) * math.log(2)).float(),
        energy=(energy / total.square()).float(),
    )


@full_precision()
def fixed_shift(
    query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
) -> Float[Tensor, "head query"] | None:
    r"""A shift near the largest score of every row, or ``None`` where that is not certain.

    A row's largest score is at least the largest with a few keys: the 32 longest, sink keys among
    them, and as many at equal distances. It is at most the larger of that and the bound of Cauchy
    and Schwarz for the other keys, none of which is longer than the shortest of the 32. The shift
    is the lower bound, raised where it lies more than 48 powers of two below the upper one; a
    raise by more than 40 is refused.

    Home section: *Measuring collapse*.
    """
    scale = base_two_scale(query.shape[-1])
    lengths = torch.linalg.vector_norm(key, dim=-1, dtype=torch.float32)
    longest, representatives = lengths.topk(min(REPRESENTATIVES, key.shape[1]))
    step = triton.cdiv(key.shape[1], REPRESENTATIVES)
    few = torch.cat([key.take_along_dim(representatives[..., None], 1), key[:, ::step]], 1)
    # One head at a time: in single precision all queries would take twice their memory.
    largest = [(q.float() @ k.float().mT).amax(-1) for q, k in zip(query, few, strict=True)]
    lower = scale * torch.stack(largest)
    length = torch.linalg.vector_norm(query, dim=-1, dtype=torch.float32)
    upper = torch.maximum(lower, scale * length * longest[:, -1:])
    shift = torch.maximum(lower, upper - LARGEST_EXCESS)
    return shift if bool((shift - lower).amax() <= LARGEST_SHORTFALL) else None

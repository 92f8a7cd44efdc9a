r"""Attention with a bias for each key, added to the scores in single precision.

A softmax may be shifted by any number for each row. Where all scores are known to lie in a band
that single precision holds, the shift is one number for a head: it goes into the bias of the keys,
and a weight is one multiply-add and one power of two. Elsewhere the running maximum of each row is
the shift.
"""

import math
from typing import no_type_check

import numpy as np
import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from attention_collapse.merging.kernels.tiles import Tiles, descriptor

BANDS = {torch.bfloat16: (96.0, 0.0), torch.float16: (10.0, 15.0)}
"""By the type of the weights, the widest band of exponents that one shift serves, and its top.

The largest weight of a row is then :math:`2^{-96}` at least in bfloat16 and :math:`2^5` in float16,
and weights down to :math:`2^{-30}` and :math:`2^{-19}` of it are normal numbers.
"""

_LOG2_E = math.log2(math.e)
_MASKED = -1.0e30
_LOWEST = tl.constexpr(-1.0e30)
# Partial sums of a row, so that no thread waits for another inside the loop.
_LANES = tl.constexpr(8)


@triton.jit(do_not_specialize=["query_count", "key_count", "bias_count", "heads"])
@no_type_check
def _attention_kernel(
    queries, keys, values, biases, out, query_count, key_count, bias_count, heads, scale,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, WIDTH: tl.constexpr, SHIFTED: tl.constexpr,
):  # fmt: skip
    """Write one tile of queries of one head; what fills the keys up to whole tiles is masked."""
    head, first = tl.program_id(1), tl.program_id(0) * QUERIES
    head_row, head_bias = head * key_count, head * bias_count
    query = queries.load([head * query_count + first, 0])
    total = tl.zeros([QUERIES, WIDTH], tl.float32)
    weights = tl.zeros([QUERIES, _LANES], tl.float32)
    largest = tl.full([QUERIES], _LOWEST, tl.float32)
    tl.assume(key_count > 0)
    for tile in tl.range(0, key_count, KEYS):
        score = tl.dot(query, keys.load([head_row + tile, 0]).T)
        exponent = score * scale + biases.load([head_bias + tile])[None, :]
        if not SHIFTED:
            larger = tl.maximum(largest, tl.max(exponent, 1))
            shrunk = tl.math.exp2(largest - larger)[:, None]
            total, weights, largest = total * shrunk, weights * shrunk, larger
            exponent -= larger[:, None]
        weight = tl.math.exp2(exponent)
        weights += tl.sum(tl.reshape(weight, [QUERIES, KEYS // _LANES, _LANES]), 1)
        value = values.load([head_row + tile, 0])
        total = tl.dot(weight.to(value.dtype), value, total)
    mean = total / tl.sum(weights, 1)[:, None]
    row, column = first + tl.arange(0, QUERIES), tl.arange(0, WIDTH)
    # Heads of a query side by side, as the next linear map reads them.
    token = ((head // heads).to(tl.int64) * query_count + row) * heads + head % heads
    place = out + token[:, None] * WIDTH + column[None, :]
    tl.store(place, mean.to(out.dtype.element_ty), mask=(row < query_count)[:, None])


def biased_attention(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key value_dim"],
    bias: Float[Tensor, "batch key"] | None,
    *,
    tiles: Tiles,
    running_tiles: Tiles,
) -> Float[Tensor, "batch head query value_dim"]:
    r"""Attention :math:`\operatorname{softmax}(Q K^\top / \sqrt d + b)\, V`.

    Scores are products of 16-bit numbers, summed in single precision; the bias is single precision,
    and weights are rounded to the type of the values. In memory, the heads of a query lie side by
    side.

    Args:
        query: Queries, 16 bits.
        key: Keys of the same type.
        value: Values of the same type.
        bias: :math:`b`, or ``None``.
        tiles: Sizes of the kernel's tiles with one shift for a head; it keeps queries.
        running_tiles: The same with a running maximum.

    Source: derived in the book; the running maximum as in FlashAttention (arXiv 2205.14135).
    Home section: *Token merging*.
    """
    (batch, heads, count, dim), keys, width = query.shape, key.shape[2], value.shape[-1]
    exponents, shifted = _exponents(query, key, bias)
    tiles = tiles if shifted else running_tiles
    exponents = F.pad(exponents, (0, -keys % tiles.streamed), value=_MASKED)
    out = value.new_empty(batch, count, heads, width)
    _attention_kernel[(triton.cdiv(count, tiles.kept), batch * heads)](
        descriptor(query.flatten(0, 1).contiguous(), tiles.kept),
        descriptor(key.flatten(0, 1).contiguous(), tiles.streamed),
        descriptor(value.flatten(0, 1).contiguous(), tiles.streamed),
        TensorDescriptor.from_tensor(exponents.flatten(), [tiles.streamed]),
        out,
        count,
        keys,
        exponents.shape[-1],
        heads,
        _scale(dim),
        QUERIES=tiles.kept,
        KEYS=tiles.streamed,
        WIDTH=width,
        SHIFTED=shifted,
        **tiles.options(),
    )
    return out.transpose(1, 2)


def _exponents(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    bias: Float[Tensor, "batch key"] | None,
) -> tuple[Float[Tensor, "batch head key"], bool]:
    """What a key adds to its powers of two, and whether the shift of the rows is in it."""
    batch, heads, keys = key.shape[:3]
    powers = key.new_zeros(batch, keys, dtype=torch.float32) if bias is None else bias * _LOG2_E
    bound = _longest(query) * _longest(key) * _scale(query.shape[-1])
    band = 2 * bound.amax() + (powers.amax() - powers.amin())
    powers = powers.float()[:, None].expand(-1, heads, -1)
    # The one number that is read back from the device.
    widest, top = BANDS[key.dtype]
    if not band <= widest:
        return powers, False
    return powers - (bound + powers.amax(-1) - top)[..., None], True


def _longest(rows: Float[Tensor, "batch head row dim"]) -> Float[Tensor, "batch head"]:
    return torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float32).amax(-1)


def _scale(dim: int) -> float:
    """The factor from a product to a power of two, in single precision as the kernel reads it."""
    return float(np.float32(_LOG2_E * dim**-0.5))

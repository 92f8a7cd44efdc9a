r"""The products :math:`A \, \Omega` and :math:`A^\top Y` with known normalisers of the rows."""

from collections.abc import Iterator
from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attention_collapse.measure.kernels.exponential import instructions, power_of_two
from attention_collapse.measure.kernels.tiles import (
    ALIGNMENT,
    CHUNK,
    Tiles,
    base_two,
    base_two_scale,
    descriptor,
    row_descriptor,
)

# Columns that one launch multiplies.
WIDTH = 64

# Weights are stored in half precision times 2^12: one of 1e-6 keeps all its digits.
_WEIGHT_POWER = 12

# The largest entry of each column is brought between 2^14 and 2^15, below the largest half.
_ENTRY_POWER = 15

# Columns below this power of two count as zero: their factor must stay finite.
_LARGEST_POWER = 120

_MASKED = tl.constexpr(-1.0e30)


@triton.jit(
    do_not_specialize=["kept_count", "streamed_count", "out_count", "bias_count", "start", "end"]
)
@no_type_check
def _product_kernel(
    kept_rows, streamed_rows, columns, out, biases, kept_count, streamed_count,
    out_count, bias_count, start, end, scale, KEPT: tl.constexpr, STREAMED: tl.constexpr,
    WIDTH: tl.constexpr, TRANSPOSED: tl.constexpr, MASKED: tl.constexpr,
    INSTRUCTIONS: tl.constexpr,
):  # fmt: skip
    """Add the product over the streamed rows from start to end; queries own the bias."""
    head = tl.program_id(1)
    first = tl.program_id(0) * KEPT
    head_row = head * streamed_count
    kept = kept_rows.load([head * kept_count + first, 0])
    if not TRANSPOSED:
        bias = biases.load([head * bias_count + first])[:, None]
    total = tl.zeros([KEPT, WIDTH], tl.float32)
    # A loop that might not run keeps the assembler from overlapping the matrix products.
    tl.assume(start < end)
    for tile in tl.range(start, end, STREAMED):
        score = tl.dot(kept, streamed_rows.load([head_row + tile, 0]).T)
        if TRANSPOSED:
            bias = biases.load([head * bias_count + tile])[None, :]
        exponent = score * scale + bias
        if MASKED:
            inside = tile + tl.arange(0, STREAMED) < end
            exponent = tl.where(inside[None, :], exponent, _MASKED)
        weight = power_of_two(exponent, INSTRUCTIONS).to(tl.float16)
        total = tl.dot(weight, columns.load([head_row + tile, 0]), total)

    # Sums of chunks are added apart from the sums within one.
    entry = head * out_count + first
    out.store([entry, 0], out.load([entry, 0]) + total)


def apply_attention(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    log_sum_exp: Float[Tensor, "head query"],
    columns: Float[Tensor, "head key column"],
    *,
    tiles: Tiles,
    chunk: int = CHUNK,
) -> Float[Tensor, "head query column"]:
    r"""The product :math:`\sum_j e^{S_{ij} - l_i} \Omega_{jr}`, in single precision.

    Weights and columns are rounded to half precision, which leaves a relative error of about
    :math:`2 \cdot 10^{-4}`; each column is scaled to the range of that format first.

    Args:
        query: Queries after norm and rotation.
        key: Keys after norm and rotation.
        log_sum_exp: Normalisers of the rows.
        columns: The matrix to multiply, any number of columns.
        tiles: Sizes of the kernel's tiles; it keeps queries and streams keys.
        chunk: Keys summed in one launch.

    Source: derived in the book.

    Home section: *Measuring collapse*.
    """
    bias = _bias(log_sum_exp, dim=query.shape[-1])
    products = [
        _multiply(query, key, bias, group, transposed=False, tiles=tiles, chunk=chunk)
        for group in columns.split(WIDTH, -1)
    ]
    return _joined(products)


def apply_attention_transposed(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    log_sum_exp: Float[Tensor, "head query"],
    columns: Float[Tensor, "head query column"],
    *,
    tiles: Tiles,
    chunk: int = CHUNK,
) -> Float[Tensor, "head key column"]:
    r"""The product :math:`\sum_i e^{S_{ij} - l_i} Y_{ir}`, in single precision.

    Precision and arguments are those of ``apply_attention``; the kernel keeps keys and streams
    queries.

    Source: derived in the book.

    Home section: *Measuring collapse*.
    """
    bias = _bias(log_sum_exp, dim=query.shape[-1])
    products = [
        _multiply(key, query, bias, group, transposed=True, tiles=tiles, chunk=chunk)
        for group in columns.split(WIDTH, -1)
    ]
    return _joined(products)


def _bias(log_sum_exp: Float[Tensor, "head query"], *, dim: int) -> Float[Tensor, "head padded"]:
    """What a query adds to its powers of two; every head's row starts at an aligned address."""
    bias = _WEIGHT_POWER - base_two(log_sum_exp, dim=dim)
    return pad(bias, (0, -log_sum_exp.shape[1] % ALIGNMENT))


def _joined(products: list[Tensor]) -> Tensor:
    return products[0] if len(products) == 1 else torch.cat(products, -1)


def _multiply(
    kept: Float[Tensor, "head kept dim"],
    streamed: Float[Tensor, "head streamed dim"],
    bias: Float[Tensor, "head padded"],
    columns: Float[Tensor, "head streamed column"],
    *,
    transposed: bool,
    tiles: Tiles,
    chunk: int,
) -> Float[Tensor, "head kept column"]:
    """The product with at most 64 columns; the bias is that of the queries."""
    (heads, rows, _), count = kept.shape, streamed.shape[1]
    entries, power = _half_precision(columns)
    # Whole tiles for every head: a store past the last row would reach the next head.
    padded = triton.cdiv(rows, tiles.kept) * tiles.kept
    out = torch.zeros(heads, padded, entries.shape[-1], device=kept.device)
    for start, end in _whole_tiles_apart(count, chunk, tiles.streamed):
        _product_kernel[(triton.cdiv(rows, tiles.kept), heads)](
            descriptor(kept, tiles.kept),
            descriptor(streamed, tiles.streamed),
            descriptor(entries, tiles.streamed),
            descriptor(out, tiles.kept),
            row_descriptor(bias, tiles.streamed if transposed else tiles.kept),
            rows,
            count,
            padded,
            bias.shape[1],
            start,
            end,
            base_two_scale(kept.shape[-1]),
            KEPT=tiles.kept,
            STREAMED=tiles.streamed,
            WIDTH=entries.shape[-1],
            TRANSPOSED=transposed,
            MASKED=(end - start) % tiles.streamed > 0,
            INSTRUCTIONS=instructions(tiles.polynomials, 3),
            **tiles.options(),
        )
    return out[:, :rows, : columns.shape[-1]].mul_(torch.exp2(power - _WEIGHT_POWER))


def _half_precision(
    columns: Float[Tensor, "head streamed column"],
) -> tuple[Float[Tensor, "head streamed padded"], Float[Tensor, "head 1 column"]]:
    """Columns as halves, padded to a width that the tensor cores take, and their powers of two."""
    largest = torch.linalg.vector_norm(columns, torch.inf, dim=1, keepdim=True)
    power = (largest.frexp().exponent - _ENTRY_POWER).clamp_min(-_LARGEST_POWER).float()
    width = max(16, triton.next_power_of_2(columns.shape[-1]))
    entries = columns.new_zeros(*columns.shape[:2], width, dtype=torch.float16)
    # Written in place: a scaled copy in single precision would double the memory.
    torch.mul(columns, torch.exp2(-power), out=entries[..., : columns.shape[-1]])
    return entries, power


def _whole_tiles_apart(count: int, chunk: int, tile: int) -> Iterator[tuple[int, int]]:
    """Chunks of rows, what is left after the whole tiles of each on its own.

    A mask inside the loop over whole tiles would cost a twentieth of its time.
    """
    for start in range(0, count, chunk):
        end = min(start + chunk, count)
        whole = end - (end - start) % tile
        yield from ((a, b) for a, b in ((start, whole), (whole, end)) if a < b)

"""The destination of the largest product, without the matrix of products."""

from typing import no_type_check

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from attention_collapse.merging.backend import Nearest
from attention_collapse.merging.kernels.tiles import Tiles, descriptor

SHORT = 128
"""Longest features of which a program keeps its sources whole."""

ALIGNMENT = 8
"""Features are a multiple of this many 16-bit numbers: a row starts at 16 bytes."""

_LOWEST = tl.constexpr(-3.0e38)


@triton.jit
@no_type_check
def _keep_larger(product, largest, first, best, place, COLUMNS: tl.constexpr):
    """The larger of the best so far and a tile of products; of equal ones the first in order."""
    column = tl.arange(0, COLUMNS)[None, :]
    found = tl.min(tl.where(product == largest[:, None], column, COLUMNS), 1)
    place = tl.where(largest > best, first + found, place)
    return tl.maximum(best, largest), place


@triton.jit
@no_type_check
def _store(out_products, out_places, best, place, row, count):
    inside = row < count
    at = tl.program_id(1).to(tl.int64) * count + row
    tl.store(out_products + at, best, mask=inside)
    tl.store(out_places + at, place.to(tl.int64), mask=inside)


@triton.jit(do_not_specialize=["source_count", "destination_count"])
@no_type_check
def _nearest_kernel(
    sources, destinations, out_products, out_places, source_count, destination_count,
    STEPS: tl.constexpr, SOURCES: tl.constexpr, DESTINATIONS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One loop over tiles of destinations and of the width: the reads never wait for a tile."""
    entry, first_row = tl.program_id(1), tl.program_id(0) * SOURCES
    source_row, entry_row = entry * source_count + first_row, entry * destination_count
    best = tl.full([SOURCES], _LOWEST, tl.float32)
    place = tl.zeros([SOURCES], tl.int32)
    product = tl.zeros([SOURCES, DESTINATIONS], tl.float32)
    steps = tl.cdiv(destination_count, DESTINATIONS) * STEPS
    tl.assume(steps > 0)
    for step in tl.range(0, steps):
        # The last tile ends with the last destination, and sees some for the second time.
        first = tl.minimum(step // STEPS * DESTINATIONS, destination_count - DESTINATIONS)
        column = step % STEPS * WIDTH
        source = sources.load([source_row, column])
        product = tl.dot(source, destinations.load([entry_row + first, column]).T, product)
        if step % STEPS == STEPS - 1:
            # Always: a branch in this branch would make the assembler keep a copy of the products.
            largest = tl.max(product, 1)
            best, place = _keep_larger(product, largest, first, best, place, DESTINATIONS)
            product = tl.zeros([SOURCES, DESTINATIONS], tl.float32)
    row = first_row + tl.arange(0, SOURCES)
    _store(out_products, out_places, best, place, row, source_count)


@triton.jit(do_not_specialize=["source_count", "destination_count"])
@no_type_check
def _short_kernel(
    sources, destinations, out_products, out_places, source_count, destination_count,
    SOURCES: tl.constexpr, DESTINATIONS: tl.constexpr,
):  # fmt: skip
    """Sources stay on the chip; one product a tile of destinations."""
    entry, first_row = tl.program_id(1), tl.program_id(0) * SOURCES
    entry_row = entry * destination_count
    source = sources.load([entry * source_count + first_row, 0])
    best = tl.full([SOURCES], _LOWEST, tl.float32)
    place = tl.zeros([SOURCES], tl.int32)
    tl.assume(destination_count > 0)
    for tile in tl.range(0, destination_count, DESTINATIONS):
        first = tl.minimum(tile, destination_count - DESTINATIONS)
        product = tl.dot(source, destinations.load([entry_row + first, 0]).T)
        largest = tl.max(product, 1)
        # The later a tile, the rarer a row whose best is in it: only then is its column needed.
        if tl.max((largest > best).to(tl.int32), 0) > 0:
            best, place = _keep_larger(product, largest, first, best, place, DESTINATIONS)
    row = first_row + tl.arange(0, SOURCES)
    _store(out_products, out_places, best, place, row, source_count)


def nearest(
    sources: Float[Tensor, "batch source width"],
    destinations: Float[Tensor, "batch destination width"],
    *,
    tiles: Tiles,
    short_tiles: Tiles,
) -> Nearest:
    r"""The destination of the largest product for every source, :math:`\arg\max_j a_i \cdot b_j`.

    Products of 16-bit numbers are summed and compared in single precision; of equal products the
    first destination wins. Neither a product nor a column is packed into the bits of the other.

    Args:
        sources: :math:`a_i`, 16 bits.
        destinations: :math:`b_j`, of the same type.
        tiles: Sizes of the kernel's tiles; it keeps sources and streams destinations.
        short_tiles: The same for features of up to 128 numbers.

    Source: derived in the book. Home section: *Token merging*.
    """
    batch, count, _ = sources.shape
    sources, destinations = _aligned(sources), _aligned(destinations)
    width, short = sources.shape[-1], sources.shape[-1] <= SHORT
    tiles = short_tiles if short else tiles
    destinations = _at_least(destinations, tiles.streamed)
    products = sources.new_empty(batch, count, dtype=torch.float32)
    places = sources.new_empty(batch, count, dtype=torch.int64)
    columns = max(16, triton.next_power_of_2(width)) if short else tiles.width
    options = {} if short else {"WIDTH": columns, "STEPS": triton.cdiv(width, columns)}
    kernel = _short_kernel if short else _nearest_kernel
    kernel[(triton.cdiv(count, tiles.kept), batch)](
        descriptor(sources, tiles.kept, columns),
        descriptor(destinations, tiles.streamed, columns),
        products,
        places,
        count,
        destinations.shape[1],
        SOURCES=tiles.kept,
        DESTINATIONS=tiles.streamed,
        **options,
        **tiles.options(),
    )
    return Nearest(places, products)


def _aligned(rows: Float[Tensor, "batch row width"]) -> Float[Tensor, "batch row padded"]:
    """Rows one after another, filled up with zeros to whole reads."""
    return F.pad(rows, (0, -rows.shape[-1] % ALIGNMENT)).contiguous()


def _at_least(
    destinations: Float[Tensor, "batch destination width"], tile: int
) -> Float[Tensor, "batch filled width"]:
    """A whole tile at least; the first destination stands for those that are missing."""
    missing = max(0, tile - destinations.shape[1])
    return torch.cat((destinations, destinations[:, :1].expand(-1, missing, -1)), dim=1)

"""The operations of merging by Triton kernels on a CUDA device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.merging.backend import Nearest
from attention_collapse.merging.kernels.attention import biased_attention
from attention_collapse.merging.kernels.directions import LONGEST, half_directions
from attention_collapse.merging.kernels.nearest import nearest
from attention_collapse.merging.kernels.rows import TOGETHER, segment_copies, segment_means
from attention_collapse.merging.kernels.tiles import TILES, Tiles
from attention_collapse.merging.members import Members
from attention_collapse.merging.portable import PortableBackend, check_finite, directions

STORAGE = (torch.bfloat16, torch.float16)

DIMENSIONS = (16, 32, 64, 128)
"""Dimensions of a head that the tiles of attention are made for."""

# Tile coordinates are 32-bit, over all batch entries and heads.
MOST_ROWS = 2**30

_PORTABLE = PortableBackend()


@dataclass(frozen=True)
class TritonBackend:
    """The operations on the tensor cores of an Ampere or Hopper device, without a gradient.

    Directions are float16 and their products float32. What the kernels do not take, such as tokens
    of more than 16 bits or heads of another dimension, goes to the portable backend.

    Attributes:
        tiles: Tile sizes by kernel, as in ``TILES``.

    Raises:
        ValueError: A kernel has no tiles.

    Home section: *Token merging*.
    """

    tiles: Mapping[str, Tiles] = field(default_factory=lambda: TILES)

    name: ClassVar[str] = "triton"

    def __post_init__(self) -> None:
        if missing := set(TILES) - set(self.tiles):
            raise ValueError(
                f"tiles must hold every kernel, got none for {sorted(missing)}: start from a copy "
                "of TILES"
            )

    def directions(
        self, features: Float[Tensor, "batch token width"], rows: Int64[Tensor, "row"]
    ) -> Float[Tensor, "batch row width"]:
        """Directions in float16."""
        if not 1 <= features.shape[-1] <= LONGEST or len(rows) == 0:
            return directions(features[:, rows]).half()
        found, lengths = half_directions(features, rows)
        check_finite(lengths)
        return found

    def nearest(
        self,
        sources: Float[Tensor, "batch source width"],
        destinations: Float[Tensor, "batch destination width"],
    ) -> Nearest:
        """A tile of destinations at a time, of which the best is kept."""
        if not _short(sources, destinations) or len(sources) * _rows(destinations) >= MOST_ROWS:
            return _PORTABLE.nearest(sources, destinations)
        tiles, short = self.tiles["nearest"], self.tiles["nearest_short"]
        return nearest(sources, destinations, tiles=tiles, short_tiles=short)

    def means(
        self, tokens: Sequence[Float[Tensor, "batch *axes token width"]], members: Members
    ) -> list[Float[Tensor, "batch *axes group width"]]:
        """Sums of each group in the order of its members, over the size."""
        if not _short(*tokens):
            return _PORTABLE.means(tokens, members)
        rows, found = [_four_axes(each) for each in tokens], []
        alike = all(_layout(each) == _layout(rows[0]) for each in rows)
        together = TOGETHER if alike else 1
        for part in (rows[at : at + together] for at in range(0, len(rows), together)):
            found += segment_means(part, members, tiles=self.tiles["means"])
        return [
            mean.view(*each.shape[:-2], *mean.shape[-2:])
            for each, mean in zip(tokens, found, strict=True)
        ]

    def copies(
        self, rows: Float[Tensor, "batch *axes group width"], members: Members
    ) -> Float[Tensor, "batch *axes token width"]:
        """Copies in the order of the groups, so that each row is read once."""
        if not _short(rows):
            return _PORTABLE.copies(rows, members)
        found = segment_copies(_four_axes(rows), members, tiles=self.tiles["copies"])
        return found.view(*rows.shape[:-2], *found.shape[-2:])

    def attend(
        self,
        query: Float[Tensor, "batch head query dim"],
        key: Float[Tensor, "batch head key dim"],
        value: Float[Tensor, "batch head key value_dim"],
        bias: Float[Tensor, "batch key"] | None,
    ) -> Float[Tensor, "batch head query value_dim"]:
        """A tile of queries at a time, over all keys."""
        served = {query.shape[-1], value.shape[-1]} <= set(DIMENSIONS)
        rows = len(query) * query.shape[1] * max(_rows(query), _rows(key))
        if not served or not _short(query, key, value) or rows >= MOST_ROWS:
            return _PORTABLE.attend(query, key, value, bias)
        tiles, running = self.tiles["attend"], self.tiles["attend_running"]
        return biased_attention(query, key, value, bias, tiles=tiles, running_tiles=running)


def _short(*tensors: Tensor) -> bool:
    """Whether all have the same type of 16 bits."""
    first = tensors[0].dtype
    return first in STORAGE and all(tensor.dtype == first for tensor in tensors)


def _layout(tensor: Tensor) -> tuple[torch.Size, tuple[int, ...]]:
    return tensor.shape, tensor.stride()


def _rows(tensor: Tensor) -> int:
    return tensor.shape[-2]


def _four_axes(tokens: Float[Tensor, "batch *axes token width"]) -> Tensor:
    """One axis between the batch and the tokens, and the last axis in one piece."""
    rows = tokens.unsqueeze(1) if tokens.ndim == 3 else tokens.flatten(1, -3)
    return rows if rows.stride(-1) == 1 else rows.contiguous()

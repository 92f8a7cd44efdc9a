"""From the features of a scene to groups of its tokens: the choices of a merging method."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import group, match, random_projection
from attention_collapse.merging.partition import (
    Partition,
    grid_partition,
    protected_patches,
)
from attention_collapse.tokens import TokenLayout


@runtime_checkable
class Grouping(Protocol):
    """Groups of the tokens of a scene in one layer.

    Home section: *Token merging*.
    """

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups.

        Args:
            features: What the tokens are compared by.
            layer: The layer, counted from 0.
            layout: Where each token of a scene sits.
        """
        ...


@dataclass(frozen=True)
class GridGrouping:
    """Patches join the most similar destination, one of which every cell of the grid has.

    Args:
        cell: Rows and columns of a cell.
        ratio: Share of all tokens to remove, honoured or refused; ``None`` merges every source.
        reference: Role of the patches of the first frame, as in ``grid_partition``.
        protected_share: Share of the patches that stay as they are.
        window: Largest distance in frames between a patch and its destination.
        dimensions: Dimensions of a random projection of the features; ``None`` compares them
            whole.
        seed: Seed of the draws; ``None`` takes the first patch of a cell and protects evenly
            spaced patches.
        redraw: Draw destinations and protected patches anew in every layer.
        chunk: Sources at a time that are compared with all destinations.

    Raises:
        ValueError: ``redraw`` or ``dimensions`` without a seed; and, when it is called, where
            ``grid_partition``, ``protected_patches``, ``match`` or ``Partition.merged_tokens`` do.

    Source: FastVGGT (arXiv 2509.02560), section 3. Home section: *Token merging*.
    """

    cell: tuple[int, int] = (2, 2)
    ratio: float | None = None
    reference: str = "destination"
    protected_share: float = 0.0
    window: int | None = None
    dimensions: int | None = None
    seed: int | None = None
    redraw: bool = False
    chunk: int = 4096

    def __post_init__(self) -> None:
        if self.seed is None and (self.redraw or self.dimensions is not None):
            raise ValueError(
                "redraw and dimensions need a seed, got none; pass one to make the draws repeatable"
            )

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups, by the cosine of the features."""
        partition = self.partition(layout, layer=layer, device=features.device)
        merged = partition.merged_tokens(self.ratio)
        if merged == 0:
            return Groups.singletons(*features.shape[:2], device=features.device)
        if self.dimensions is not None:
            # The second of two sources: the draw of a partition takes the first.
            generator = self._generator(layer, stream=1)
            features = random_projection(features, dim=self.dimensions, generator=generator)
        found = match(features, partition, window=self.window, chunk=self.chunk)
        return group(partition, found, merged=merged)

    def partition(
        self, layout: TokenLayout, *, layer: int = 0, device: torch.device | str = "cpu"
    ) -> Partition:
        """The roles of the tokens in a layer; the same in all of them without ``redraw``."""
        generator = self._generator(layer, stream=0)
        protected = protected_patches(layout, share=self.protected_share, generator=generator)
        return grid_partition(
            layout,
            cell=self.cell,
            reference=self.reference,
            protected=protected,
            generator=generator,
            device=device,
        )

    def _generator(self, layer: int, *, stream: int) -> torch.Generator | None:
        if self.seed is None:
            return None
        drawn = 2 * layer + stream if self.redraw else stream
        return torch.Generator().manual_seed(self.seed + 1_000_003 * drawn)


FASTVGGT = GridGrouping(protected_share=0.1, seed=33)
"""FastVGGT's idea with the faults of its release removed; attention weighs the sizes."""


@dataclass
class ReusedGrouping:
    """Groups made in every few layers and used again in the layers between.

    One object serves one forward at a time, from a layer at which groups are made onwards; it
    remembers the last groups. Any other order is refused.

    Args:
        grouping: Makes the groups.
        every: Layers that share groups; layers 0, ``every``, 2 ``every``, … make them.

    Raises:
        ValueError: ``every`` is below 1.

    Source: derived in the book. Home section: *Token merging*.
    """

    grouping: Grouping
    every: int
    _last: tuple[int, TokenLayout, Groups] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1 layer, got {self.every}; 1 matches in each")

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups of the last layer that makes them.

        Raises:
            ValueError: That layer was not seen, or not with this layout and batch.
        """
        first = layer - layer % self.every
        if layer == first:
            self._last = (first, layout, self.grouping(features, layer=layer, layout=layout))
        if self._last is None or self._last[:2] != (first, layout):
            seen = "nothing" if self._last is None else f"layer {self._last[0]}, {self._last[1]}"
            raise ValueError(
                f"layer {layer} uses the groups of layer {first} of {layout}, got {seen}; use one "
                "ReusedGrouping for each forward"
            )
        groups = self._last[2]
        if groups.assignment.shape != features.shape[:2]:
            raise ValueError(
                f"groups of layer {first} are of shape {tuple(groups.assignment.shape)}, got "
                f"features of {tuple(features.shape[:2])}; use one ReusedGrouping for each forward"
            )
        return groups

"""From the features of a scene to groups of its tokens: the choices of a merging method."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import group, match, random_basis
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
        balanced: Make all cells alike where the grid is no multiple of them, as in
            ``grid_partition``.
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
        backend: As the name in ``choose_backend``, which sees the features.

    Raises:
        ValueError: ``redraw`` or ``dimensions`` without a seed; and, when it is called, where
            ``grid_partition``, ``protected_patches``, ``match`` or ``Partition.merged_tokens`` do.

    Source: FastVGGT (arXiv 2509.02560), section 3. Home section: *Token merging*.
    """

    cell: tuple[int, int] = (2, 2)
    balanced: bool = False
    ratio: float | None = None
    reference: str = "destination"
    protected_share: float = 0.0
    window: int | None = None
    dimensions: int | None = None
    seed: int | None = None
    redraw: bool = False
    chunk: int = 4096
    backend: str | None = None

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
            features = features @ self.projection(features, layer=layer)
        options = {"window": self.window, "chunk": self.chunk, "backend": self.backend}
        found = match(features, partition, **options)
        return group(partition, found, merged=merged)

    def projection(
        self, features: Float[Tensor, "batch token width"], *, layer: int = 0
    ) -> Float[Tensor, "width dim"] | None:
        """The map of the features to those that are compared; ``None`` without ``dimensions``.

        Those that were made last are kept: a draw takes longer than the product with it.
        """
        if self.dimensions is None:
            return None
        key = (features.shape[-1], layer if self.redraw else 0, features.dtype, features.device)
        return _projection(self, *key)

    def partition(
        self, layout: TokenLayout, *, layer: int = 0, device: torch.device | str = "cpu"
    ) -> Partition:
        """The roles of the tokens in a layer; the same in all of them without ``redraw``.

        Those that were made last are kept: a draw for a long scene takes longer than its match.
        """
        return _partition(self, layout, layer if self.redraw else 0, torch.device(device))

    def _draw(self, layout: TokenLayout, layer: int, device: torch.device) -> Partition:
        generator = self._generator(layer, stream=0)
        protected = protected_patches(layout, share=self.protected_share, generator=generator)
        return grid_partition(
            layout,
            cell=self.cell,
            balanced=self.balanced,
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


@lru_cache(maxsize=4)
def _projection(
    grouping: GridGrouping, width: int, layer: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "width dim"]:
    # The second of two sources: the draw of a partition takes the first.
    generator = grouping._generator(layer, stream=1)
    basis = random_basis(width, dim=grouping.dimensions, generator=generator)
    return basis.to(device, dtype)


@lru_cache(maxsize=4)
def _partition(
    grouping: GridGrouping, layout: TokenLayout, layer: int, device: torch.device
) -> Partition:
    return grouping._draw(layout, layer, device)


FASTVGGT = GridGrouping(protected_share=0.1, seed=33)
"""FastVGGT's idea with the faults of its release removed; attention weighs the sizes."""


@dataclass(frozen=True)
class ReusedGrouping:
    """Groups made in every few layers and used again in the layers between.

    It holds nothing of a forward: ``for_forward`` gives a grouping that remembers the groups of
    one. ``MergeReducer.for_forward`` does so for a reducer, and the network asks the reducer.

    Args:
        grouping: Makes the groups.
        every: Layers that share groups; layers 0, ``every``, 2 ``every``, … make them.

    Raises:
        ValueError: ``every`` is below 1.

    Source: derived in the book. Home section: *Token merging*.
    """

    grouping: Grouping
    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1 layer, got {self.every}; 1 matches in each")

    def for_forward(self) -> "GroupingOfForward":
        """A grouping for the layers of one forward, in their order."""
        return GroupingOfForward(self)

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups of a layer that makes them.

        Raises:
            ValueError: The layer uses those of another.
        """
        if layer % self.every:
            raise ValueError(
                f"layer {layer} uses the groups of layer {layer - layer % self.every}, got no "
                "forward that made them; take the grouping that for_forward gives"
            )
        return self.grouping(features, layer=layer, layout=layout)


class GroupingOfForward:
    """The groups of one forward, made in some layers and used again in those that follow.

    Args:
        reused: Which layers make groups, and how.

    Home section: *Token merging*.
    """

    def __init__(self, reused: ReusedGrouping) -> None:
        self._reused = reused
        self._last: tuple[int, TokenLayout, Groups] | None = None

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups of the last layer that makes them.

        Raises:
            ValueError: That layer was not seen, or not with this layout and batch.
        """
        first = layer - layer % self._reused.every
        if layer == first:
            self._last = (first, layout, self._reused(features, layer=layer, layout=layout))
        if self._last is None or self._last[:2] != (first, layout):
            seen = "nothing" if self._last is None else f"layer {self._last[0]}, {self._last[1]}"
            raise ValueError(
                f"layer {layer} uses the groups of layer {first} of {layout}, got {seen}; call "
                "for_forward once for each forward, and then layer by layer"
            )
        groups = self._last[2]
        if groups.assignment.shape != features.shape[:2]:
            raise ValueError(
                f"groups of layer {first} are of shape {tuple(groups.assignment.shape)}, got "
                f"features of {tuple(features.shape[:2])}; call for_forward once for each forward"
            )
        return groups

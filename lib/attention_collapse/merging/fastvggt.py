r"""FastVGGT's merging as released, its faults named, and the same idea without them.

The first frame and the special tokens are destinations, as is one patch of every cell of the other
frames; the remaining patches are sources. A tenth of all tokens is protected. The release departs
from that idea in these ways, each of which a test shows:

- *The ratio does not bind.* It asks for 0.9 of the tokens and removes every source, about 0.65.
- *Protected tokens count twice.* One that is also a destination enters attention as itself and in
  the mean of its group, so that merging and its way back are no projection.
- *Cells shear.* Where the columns are no multiple of the cell, the pattern of the cells is written
  in rows that are too short for the grid, and the last patches of a frame are never destinations.
- *No draw, no destination.* With the random draw switched off no patch is a destination outside
  the first frame, instead of the first patch of each cell.
- *One match for all.* With protection on, the match of the first batch entry serves all entries.
- *Special tokens absorb patches.* They are destinations like any other.
- *Sizes are dropped.* A group of many tokens weighs in attention as one.
- *Cosines are rounded.* Products are made in bfloat16, whatever the features' type.
- *A zero feature is not a number.* Its norm divides it.
- *One frame, or fewer than ten tokens, end in an error* of another kind; here they are refused.

``grouping.FASTVGGT`` is the idea without them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.tokens import SPECIAL_TOKENS, TokenLayout

PROTECTED_SHARE = 0.1
"""Share of tokens that the release protects."""
RATIO = 0.9
"""Share of tokens that the release asks to remove."""
SEED = 33
"""Seed of the release's draw, the same in every layer."""


@dataclass(frozen=True)
class ReleasedPartition:
    """Destinations, sources and protected tokens of the release; the last are among the others.

    Attributes:
        destinations: Flat indices, in the order in which the release uses them.
        sources: Flat indices of all other tokens.
        protected: Flat indices of tokens that stay, some of them destinations.
        tokens: Number of tokens.

    Source: released code of FastVGGT (arXiv 2509.02560). Home section: *Token merging*.
    """

    destinations: Int64[Tensor, "destination"]
    sources: Int64[Tensor, "source"]
    protected: Int64[Tensor, "protected"]
    tokens: int


def released_partition(
    layout: TokenLayout,
    *,
    cell: tuple[int, int] = (2, 2),
    protect: bool = True,
    generator: torch.Generator | None,
    device: torch.device | str = "cpu",
) -> ReleasedPartition:
    """The partition of the release, in ascending order.

    Args:
        layout: Where each token sits.
        cell: Rows and columns of a cell.
        protect: Protect a tenth of all tokens, at a fixed stride from the first on.
        generator: Source of one draw for each whole cell, on the CPU; the release seeds it with
            ``SEED``. ``None`` switches the draw off, and with it all destinations of the cells.
        device: Where the partition is used.

    Raises:
        ValueError: The layout has other than five special tokens or a single frame, a side of the
            cell is below 1, or fewer than ten tokens are to be protected.

    Source: released code of FastVGGT (arXiv 2509.02560). Home section: *Token merging*.
    """
    _check_layout(layout, cell, protect)
    frames = torch.zeros(layout.frames, layout.per_frame, dtype=torch.bool)
    frames[0] = True
    frames[:, : layout.special] = True
    if generator is not None:
        pattern = _drawn_cells(layout, cell, generator)
        # The rows of the pattern follow each other without the columns that no cell covers.
        frames[1:, layout.special : layout.special + pattern.shape[1]] = pattern
    chosen = frames.flatten()
    protected = _protected(layout.count) if protect else torch.empty(0, dtype=torch.int64)
    parts = (chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0], protected)
    return ReleasedPartition(*(part.to(device) for part in parts), tokens=layout.count)


@dataclass(frozen=True)
class ReleasedMerge:
    """The match of the release, with its merging and its way back.

    Attributes:
        partition: The partition.
        destination: Best destination of every source, as a position among the destinations.
        similarity: Cosine with it, a product of bfloat16 numbers.
        unmerged: Positions among the sources that stay, best first; one row for all batch entries
            where tokens are protected.
        merged: Positions among the sources that join, best first.
        joined: Positions among the destinations that they join.

    Source: released code of FastVGGT (arXiv 2509.02560). Home section: *Token merging*.
    """

    partition: ReleasedPartition
    destination: Int64[Tensor, "batch source"]
    similarity: Float[Tensor, "batch source"]
    unmerged: Int64[Tensor, "entry unmerged"]
    merged: Int64[Tensor, "entry merged"]
    joined: Int64[Tensor, "entry merged"]

    def merge(
        self, tokens: Float[Tensor, "batch *axes token width"]
    ) -> Float[Tensor, "batch *axes row width"]:
        """Rows of the unmerged sources, the means of the destinations, and the protected tokens.

        Raises:
            ValueError: The tokens are not those of the partition.
        """
        count = self.partition.tokens
        if tokens.shape[-2] != count:
            raise ValueError(
                f"tokens must number {count}, got {tokens.shape[-2]}; merge those that were matched"
            )
        sources = tokens[..., self.partition.sources, :]
        joining = _take(sources, self.merged)
        means = tokens[..., self.partition.destinations, :].scatter_reduce(
            -2, _index(self.joined, joining), joining, "mean"
        )
        protected = tokens[..., self.partition.protected, :]
        return torch.cat((_take(sources, self.unmerged), means, protected), dim=-2)

    def unmerge(
        self, rows: Float[Tensor, "batch *axes row width"]
    ) -> Float[Tensor, "batch *axes token width"]:
        """Every token's row; of a token that has two, that of the protected one.

        Raises:
            ValueError: The rows are not those that ``merge`` gives.
        """
        partition = self.partition
        lengths = (
            self.unmerged.shape[1],
            len(partition.destinations),
            len(partition.protected),
        )
        if rows.shape[-2] != sum(lengths):
            raise ValueError(
                f"rows must number {sum(lengths)}, got {rows.shape[-2]}; put back what was merged"
            )
        unmerged, means, protected = rows.split(lengths, dim=-2)
        tokens = rows.new_zeros(*rows.shape[:-2], partition.tokens, rows.shape[-1])
        tokens[..., partition.destinations, :] = means
        for positions, part in (
            (self.unmerged, unmerged),
            (self.merged, _take(means, self.joined)),
        ):
            tokens = tokens.scatter(-2, _index(partition.sources[positions], part), part)
        tokens[..., partition.protected, :] = protected
        return tokens


def released_match(
    features: Float[Tensor, "batch token width"],
    partition: ReleasedPartition,
    *,
    merged: int | None = None,
) -> ReleasedMerge:
    """The match of the release.

    Args:
        features: What the tokens are compared by: the normalised tokens of the block.
        partition: The partition.
        merged: Number of tokens to remove, cut in silence to the sources that are not protected;
            ``None`` asks for the share ``RATIO``.

    Raises:
        ValueError: The tokens are not those of the partition, a feature is zero or not finite, or
            ``merged`` is below 1.

    Source: released code of FastVGGT (arXiv 2509.02560). Home section: *Token merging*.
    """
    merged = int(partition.tokens * RATIO) if merged is None else merged
    _check_match(features, partition, merged)
    units = (features / features.norm(dim=-1, keepdim=True)).bfloat16()
    sources, destinations = units[:, partition.sources], units[:, partition.destinations]
    best = [(part @ destinations.mT).max(-1) for part in sources.split(5000, dim=1)]
    similarity = torch.cat([part.values for part in best], dim=1).float()
    destination = torch.cat([part.indices for part in best], dim=1)
    ranked = similarity.argsort(dim=1, descending=True)
    if len(partition.protected):
        stays = torch.isin(partition.sources[ranked[:1]], partition.protected)
        ranked = ranked[:1][~stays][None]
    unmerged, joining = ranked[:, merged:], ranked[:, :merged]
    joined = destination[: len(ranked)].gather(1, joining)
    return ReleasedMerge(partition, destination, similarity, unmerged, joining, joined)


def _protected(tokens: int) -> Int64[Tensor, "protected"]:
    count = int(tokens * PROTECTED_SHARE)
    return torch.arange(0, tokens, tokens // count)[:count]


def _drawn_cells(layout: TokenLayout, cell: tuple[int, int], generator: torch.Generator) -> Tensor:
    """One patch of every whole cell, by row of the covered grid, for every frame but the first."""
    down, across = layout.rows // cell[0], layout.columns // cell[1]
    inside = cell[0] * cell[1]
    drawn = torch.randint(inside, (layout.frames - 1, down, across), generator=generator)
    chosen = (drawn[..., None] == torch.arange(inside)).unflatten(-1, cell)
    return chosen.transpose(2, 3).flatten(1)


def _take(tokens: Tensor, positions: Int64[Tensor, "entry position"]) -> Tensor:
    """Tokens at positions that each batch entry, or all of them, have."""
    shape = (*tokens.shape[:-2], positions.shape[1], tokens.shape[-1])
    return tokens.gather(-2, _index(positions, tokens, shape))


def _index(
    positions: Int64[Tensor, "entry position"], tokens: Tensor, shape: tuple[int, ...] | None = None
) -> Tensor:
    """The positions along the tokens, repeated over all other axes."""
    axes = [1] * (tokens.ndim - 3)
    return positions.view(len(positions), *axes, -1, 1).expand(shape or tokens.shape)


def _check_layout(layout: TokenLayout, cell: tuple[int, int], protect: bool) -> None:
    if layout.special != SPECIAL_TOKENS or layout.frames < 2 or min(cell) < 1:
        raise ValueError(
            f"the release needs {SPECIAL_TOKENS} special tokens, at least 2 frames and a cell of "
            f"at least 1 x 1, got {layout.special}, {layout.frames} and {cell}; "
            "grid_partition takes any"
        )
    if protect and layout.count < 1 / PROTECTED_SHARE:
        raise ValueError(
            f"the release protects a tenth of at least 10 tokens, got {layout.count}; switch "
            "protection off"
        )


def _check_match(features: Tensor, partition: ReleasedPartition, merged: int) -> None:
    if features.shape[1] != partition.tokens or merged < 1:
        raise ValueError(
            f"the release matches {partition.tokens} tokens and removes at least 1, got "
            f"{features.shape[1]} and {merged}; pass the tokens of the partition"
        )
    norms = features.norm(dim=-1)
    if not (norms.isfinite() & (norms > 0)).all():
        raise ValueError(
            "features must be finite and not zero, got norms from "
            f"{norms.min():.3g} to {norms.max():.3g}; the release divides by them"
        )

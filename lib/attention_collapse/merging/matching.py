"""Which destination each source joins: the one of the largest cosine."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.merging.choice import choose_backend
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.partition import Partition
from attention_collapse.merging.portable import PortableBackend, directions

__all__ = [
    "Match",
    "directions",
    "group",
    "match",
    "mean_over_heads",
    "nearest",
    "random_basis",
    "random_projection",
]


@dataclass(frozen=True)
class Match:
    """The best destination of every source.

    Attributes:
        destination: Position among the destinations.
        similarity: Cosine with it, in the type that the match was computed in.

    Home section: *Token merging*.
    """

    destination: Int64[Tensor, "batch source"]
    similarity: Float[Tensor, "batch source"]


def nearest(
    sources: Float[Tensor, "batch source width"],
    destinations: Float[Tensor, "batch destination width"],
    *,
    chunk: int = 4096,
) -> Match:
    r"""The destination of the largest product for every source, :math:`\arg\max_j a_i \cdot b_j`.

    Of equal products the first destination wins.

    Args:
        sources: :math:`a_i`, with norm one for cosines.
        destinations: :math:`b_j`.
        chunk: Sources at a time; their products with all destinations are held.

    Raises:
        ValueError: There is no destination, or the chunk is below 1.

    Source: greedy matching as in Bolya et al. (arXiv 2210.09461), section 3.
    Home section: *Token merging*.
    """
    _check_destinations(destinations)
    return Match(*PortableBackend(chunk=chunk).nearest(sources, destinations))


def match(
    features: Float[Tensor, "batch token width"],
    partition: Partition,
    *,
    window: int | None = None,
    chunk: int = 4096,
    backend: str | None = None,
) -> Match:
    """The destination of the largest cosine for every source of a partition.

    Args:
        features: What the tokens are compared by.
        partition: Sources and destinations.
        window: Largest distance in frames between a source and its destination; ``None`` takes
            the destinations of all frames.
        chunk: Sources at a time, where their products are held.
        backend: As the name in ``choose_backend``, which sees the features.

    Raises:
        ValueError: A feature is not finite, the token count is not the layout's, there is no
            source, the window is negative, or no destination is in the window of a source.

    Source: derived in the book. Home section: *Token merging*.
    """
    _check_features(features, partition)
    chosen = choose_backend(features, name=backend)
    if chosen.name == "portable":
        chosen = PortableBackend(chunk=chunk)
    sources = chosen.directions(features, partition.sources)
    destinations = chosen.directions(features, partition.destinations)
    if window is None:
        return Match(*chosen.nearest(sources, destinations))
    best, similarity = [], []
    for rows, columns in _windows(partition, window):
        found = chosen.nearest(sources[:, rows], destinations[:, columns])
        best.append(found.position + columns.start)
        similarity.append(found.product)
    return Match(torch.cat(best, dim=1), torch.cat(similarity, dim=1))


def group(partition: Partition, found: Match, *, merged: int) -> Groups:
    """Groups after the sources of the largest cosine have joined their destinations.

    The groups are numbered in the order of the tokens that they stand for: a destination, a source
    that did not join, or a kept token. So merged tokens follow the order of the frames.

    Args:
        partition: Sources and destinations.
        found: Best destination of every source.
        merged: Number of sources that join; of equal cosines the first do.

    Raises:
        ValueError: ``merged`` is negative or more than the sources, or the match is not of them.

    Home section: *Token merging*.
    """
    batch, sources = found.destination.shape
    if sources != len(partition.sources) or not 0 <= merged <= sources:
        raise ValueError(
            f"at least 0 and at most all {len(partition.sources)} sources can join, got {merged} "
            f"with a match of {sources}; see Partition.merged_tokens"
        )
    joining, joined = partition.sources.expand(batch, -1), found.destination
    if merged < sources:
        ranked = found.similarity.argsort(dim=1, descending=True, stable=True)[:, :merged]
        joining, joined = partition.sources[ranked], joined.gather(1, ranked)
    target = partition.destinations[joined]
    stands = torch.ones(batch, partition.layout.count, dtype=torch.bool, device=joining.device)
    number = stands.scatter(1, joining, False).cumsum(1) - 1
    assignment = number.scatter(1, joining, number.gather(1, target))
    return Groups(assignment, partition.layout.count - merged, validate=False)


def mean_over_heads(
    heads: Float[Tensor, "batch head token dim"],
) -> Float[Tensor, "batch token dim"]:
    """Keys averaged over the heads: a feature as narrow as one head.

    Source: Bolya et al. (arXiv 2210.09461), section 3. Home section: *Token merging*.
    """
    return heads.mean(1)


def random_projection(
    features: Float[Tensor, "batch token width"], *, dim: int, generator: torch.Generator
) -> Float[Tensor, "batch token {dim}"]:
    r"""Features in a random subspace, of any orientation with equal probability.

    A cosine of unrelated features moves by about :math:`1 / \sqrt{\text{dim}}`, and not at all
    where ``dim`` is the width.

    Args:
        features: Features.
        dim: Dimensions of the subspace.
        generator: Source of the subspace, on the CPU.

    Raises:
        ValueError: ``dim`` is below 1 or above the width.

    Source: Johnson and Lindenstrauss (1984). Home section: *Token merging*.
    """
    return features @ random_basis(features.shape[-1], dim=dim, generator=generator).to(features)


def random_basis(
    width: int, *, dim: int, generator: torch.Generator
) -> Float[Tensor, "{width} {dim}"]:
    """Orthonormal directions that span a random subspace, in float64.

    Args:
        width: Width of the features.
        dim: As in ``random_projection``.
        generator: As in ``random_projection``.

    Raises:
        ValueError: ``dim`` is below 1 or above the width.

    Home section: *Token merging*.
    """
    if not 1 <= dim <= width:
        raise ValueError(
            f"a projection must keep at least 1 and at most all {width} dimensions, got {dim}; "
            "128 is enough for features of 1024"
        )
    drawn = torch.randn(width, dim, dtype=torch.float64, generator=generator)
    return torch.linalg.qr(drawn).Q


def _check_destinations(destinations: Float[Tensor, "batch destination width"]) -> None:
    if destinations.shape[1] == 0:
        raise ValueError("sources need a destination to join, got none; name at least one")


def _check_features(features: Float[Tensor, "batch token width"], partition: Partition) -> None:
    if features.shape[1] != partition.layout.count:
        raise ValueError(
            f"features must be of the {partition.layout.count} tokens of the layout, got "
            f"{features.shape[1]}; pass all tokens of a scene"
        )
    if len(partition.sources) == 0:
        raise ValueError(
            "a match needs a source, got a partition without one; a single frame that is all "
            "destinations has none to merge"
        )


def _windows(partition: Partition, window: int) -> list[tuple[slice, slice]]:
    """By frame, its sources and the destinations in the window, as ranges of positions."""
    if window < 0:
        raise ValueError(f"the window must be at least 0 frames, got {window}; None takes all")
    sources = _starts(partition.sources, partition)
    destinations = _starts(partition.destinations, partition)
    ranges = []
    for frame in range(partition.layout.frames):
        rows = slice(sources[frame], sources[frame + 1])
        last = min(frame + window, partition.layout.frames - 1)
        columns = slice(destinations[max(frame - window, 0)], destinations[last + 1])
        if rows.start < rows.stop:
            _check_window(frame, window, columns)
            ranges.append((rows, columns))
    return ranges


def _starts(tokens: Int64[Tensor, "token"], partition: Partition) -> list[int]:
    """Positions among ascending tokens at which the frames start, and their end."""
    bounds = torch.arange(partition.layout.frames + 1) * partition.layout.per_frame
    return torch.searchsorted(tokens.cpu(), bounds).tolist()


def _check_window(frame: int, window: int, columns: slice) -> None:
    if columns.start == columns.stop:
        raise ValueError(
            f"a source must have a destination within its window, got none within {window} frames "
            f"of frame {frame}; widen the window"
        )

"""Work done a few tokens at a time, where the result does not depend on it."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

Results = TypeVar("Results", Tensor, tuple[Tensor, ...])

FRAME_CHUNK = 32
"""Frames at a time by default: enough to fill a large GPU, few enough for a small one."""


def check_query_chunk(query_chunk: int | None) -> None:
    """Refuse a number of queries at a time below 1.

    Raises:
        ValueError: ``query_chunk`` is below 1.

    Home section: *Notation*.
    """
    if query_chunk is not None and query_chunk < 1:
        raise ValueError(
            f"query_chunk must be at least 1 query, got {query_chunk}; pass None for all at once"
        )


def has_gradients(network: nn.Module, x: Tensor) -> bool:
    """Whether what the network makes of ``x`` is held for gradients.

    Home section: *Notation*.
    """
    tensors = itertools.chain((x,), network.parameters())
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def even_chunk(count: int, largest: int) -> int:
    """The entries at a time that cut ``count`` into as few parts as ``largest`` does, all alike.

    A short last part would leave a device half idle.

    Home section: *Notation*.
    """
    parts = math.ceil(count / largest)
    return math.ceil(count / parts)


def in_chunks(
    compute: Callable[..., Tensor], *tensors: Tensor, chunk: int | None, dim: int
) -> Tensor:
    """What ``compute`` makes of the tensors, at most ``chunk`` entries along ``dim`` at a time.

    It bounds what ``compute`` holds in between. Each entry along ``dim`` must be treated apart
    from the others; then the result is the same up to the rounding of products of another size.

    Args:
        compute: Takes a part of every tensor and keeps the number of entries along ``dim``.
        tensors: As many entries along ``dim`` each.
        chunk: Entries at a time; ``None`` takes all at once.
        dim: The axis to cut.

    Home section: *Notation*.
    """
    count = tensors[0].shape[dim]
    if chunk is None or count <= chunk:
        return compute(*tensors)
    parts = (compute(*cut) for cut in _cuts(tensors, chunk, dim))
    if torch.is_grad_enabled():
        return torch.cat(tuple(parts), dim)
    return _joined(parts, count, dim)


def write_in_chunks(
    compute: Callable[..., Results],
    *tensors: Tensor,
    places: Results,
    chunk: int,
    dim: int,
    place_dim: int,
) -> Results:
    """As ``in_chunks``, each part of the results written into its place by ``compute`` itself.

    It saves the copy that joins the parts, and knows no gradients.

    Args:
        compute: Takes a part of every tensor, and as ``out`` that part of ``places`` to fill.
        tensors: As in ``in_chunks``.
        places: Where the results go: one tensor, or a named tuple of several.
        chunk: Entries at a time.
        dim: The axis to cut.
        place_dim: Where that axis is in every result.

    Home section: *Notation*.
    """
    whole = (places,) if isinstance(places, Tensor) else places
    cuts = zip(_cuts(tensors, chunk, dim), _cuts(whole, chunk, place_dim), strict=True)
    for cut, out in cuts:
        compute(*cut, out=out[0] if isinstance(places, Tensor) else type(places)(*out))
    return places


def _cuts(tensors: Sequence[Tensor], chunk: int, dim: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(chunk, dim) for tensor in tensors), strict=True)


def _joined(parts: Iterator[Tensor], count: int, dim: int) -> Tensor:
    """The parts end to end, each copied into its place as it comes: none waits for the others."""
    whole, filled = None, 0
    for part in parts:
        whole = _empty(part, count, dim) if whole is None else whole
        size = part.shape[dim]
        whole.narrow(dim, filled, size).copy_(part)
        filled += size
    return whole


def _empty(part: Tensor, count: int, dim: int) -> Tensor:
    shape = list(part.shape)
    shape[dim] = count
    return part.new_empty(shape)

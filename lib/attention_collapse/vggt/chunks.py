"""Work done a few tokens at a time, where the result does not depend on it."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


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

    def alone(*parts: Tensor) -> tuple[Tensor]:
        return (compute(*parts),)

    return several_in_chunks(alone, *tensors, chunk=chunk, dim=dim, result_dim=dim)[0]


def several_in_chunks(
    compute: Callable[..., tuple[Tensor, ...]],
    *tensors: Tensor,
    chunk: int | None,
    dim: int,
    result_dim: int,
) -> tuple[Tensor, ...]:
    """As ``in_chunks``, for several results.

    Args:
        compute: Keeps the number of entries in every result.
        tensors: As in ``in_chunks``.
        chunk: As in ``in_chunks``.
        dim: The axis to cut.
        result_dim: Where that axis is in every result.

    Home section: *Notation*.
    """
    count = tensors[0].shape[dim]
    if chunk is None or count <= chunk:
        return compute(*tensors)
    cuts = zip(*(tensor.split(chunk, dim) for tensor in tensors), strict=True)
    parts = (compute(*cut) for cut in cuts)
    if torch.is_grad_enabled():
        return tuple(torch.cat(part, result_dim) for part in zip(*parts, strict=True))
    return _joined(parts, count, result_dim)


def _joined(parts: Iterator[tuple[Tensor, ...]], count: int, dim: int) -> tuple[Tensor, ...]:
    """The parts end to end, each copied into its place as it comes: none waits for the others."""
    wholes, filled = (), 0
    for part in parts:
        wholes = wholes or tuple(_empty(tensor, count, dim) for tensor in part)
        size = part[0].shape[dim]
        for whole, tensor in zip(wholes, part, strict=True):
            whole.narrow(dim, filled, size).copy_(tensor)
        filled += size
    return wholes


def _empty(part: Tensor, count: int, dim: int) -> Tensor:
    shape = list(part.shape)
    shape[dim] = count
    return part.new_empty(shape)

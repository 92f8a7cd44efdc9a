"""Work done a few tokens at a time, where the result does not depend on it."""

from collections.abc import Callable

import torch
from torch import Tensor


def in_chunks(
    compute: Callable[[Tensor], Tensor], tokens: Tensor, chunk: int | None, *, dim: int
) -> Tensor:
    """What ``compute`` makes of the tokens, at most ``chunk`` of them along ``dim`` at a time.

    It bounds what ``compute`` holds in between. Each entry along ``dim`` must be treated apart
    from the others; then the result is the same up to the rounding of products of another size.

    Args:
        compute: Keeps the number of entries along ``dim``.
        tokens: Any tensor.
        chunk: Entries at a time; ``None`` takes all at once.
        dim: The axis to cut.

    Home section: *Notation*.
    """
    if chunk is None or tokens.shape[dim] <= chunk:
        return compute(tokens)
    return torch.cat([compute(part) for part in tokens.split(chunk, dim)], dim)

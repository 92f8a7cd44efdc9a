"""Memory that runs out, explained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# What torch says where the CPU has no more; it has no type of its own there.
_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


@contextmanager
def explain_out_of_memory(what: str, *, needed: int, remedy: str) -> Iterator[None]:
    """Turn exhausted memory into an error that names the size needed and what to choose.

    Args:
        what: What must be held beside the queries and keys.
        needed: Its size, bytes.
        remedy: What makes it smaller.

    Raises:
        MemoryError: If the memory of a device runs out inside.

    Home section: *Measuring collapse*.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_exhaustion(error):
            raise
        raise MemoryError(
            f"the device must hold {what}, {needed / 2**20:.0f} MiB, beside the queries and keys: "
            f"{remedy}."
        ) from error


def _is_exhaustion(error: RuntimeError) -> bool:
    message = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(m in message for m in _CPU_MESSAGES)

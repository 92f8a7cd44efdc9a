"""Parts that compute in float32 or wider, whatever surrounds them."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

NARROWEST_BITS = 32


def full_precision(device: torch.device) -> AbstractContextManager:
    """A context in which autocast shortens nothing on ``device``.

    On CUDA torch may still multiply float32 numbers in TF32, as its own settings say: by default
    in convolutions, not in matrix products.

    Home section: *Notation*.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def require_full_precision(weight: Tensor, part: str) -> None:
    """Refuse weights in a number format of less than 32 bits.

    Args:
        weight: Any weight of the part.
        part: The part's name, for the message.

    Raises:
        ValueError: The weight is shorter than float32.

    Home section: *Notation*.
    """
    if torch.finfo(weight.dtype).bits < NARROWEST_BITS:
        raise ValueError(
            f"the {part} computes in float32 or wider, its weights are {weight.dtype}; "
            "call float() on it, only the aggregator may store shorter numbers"
        )

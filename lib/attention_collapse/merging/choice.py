"""Which backend the tokens are given."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from attention_collapse.merging.backend import Backend
from attention_collapse.merging.portable import PortableBackend

NAMES = ("portable", "triton")
# Capability of the Ampere class, the first with bfloat16 tensor cores.
TRITON_CAPABILITY = (8, 0)


def choose_backend(tokens: Tensor, *, name: str | None = None) -> Backend:
    """The fastest backend that can run on some tokens, or the one that is named.

    The Triton backend is chosen for tokens of 16 bits on CUDA devices of capability 8.0 and above
    where Triton is installed, unless their gradient is recorded; the portable one otherwise.

    Args:
        tokens: What is merged or compared.
        name: ``"portable"`` or ``"triton"`` overrides the choice; the latter rounds the features
            that it compares to float16, whatever their type.

    Raises:
        ValueError: The name is unknown, or ``"triton"`` without Triton or a CUDA device.

    Home section: *Token merging*.
    """
    if name not in (None, *NAMES):
        raise ValueError(f"backend must be one of {', '.join(NAMES)}; got {name!r}")
    if (name or ("triton" if _suits_triton(tokens) else "portable")) == "portable":
        return PortableBackend()
    if tokens.device.type != "cuda" or not _has_triton():
        raise ValueError(
            "the triton backend needs a CUDA device and the triton package; got device "
            f"{tokens.device}: take 'portable'."
        )
    return _triton_backend()


def _triton_backend() -> Backend:
    # Triton is absent from most machines; its kernels are imported where they run.
    from attention_collapse.merging.kernels import TritonBackend

    return TritonBackend()


def _suits_triton(tokens: Tensor) -> bool:
    return (
        tokens.device.type == "cuda"
        and tokens.dtype in (torch.float16, torch.bfloat16)
        and not (torch.is_grad_enabled() and tokens.requires_grad)
        and torch.cuda.get_device_capability(tokens.device) >= TRITON_CAPABILITY
        and _has_triton()
    )


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None

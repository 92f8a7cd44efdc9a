"""Which backend a device is given."""

from importlib.util import find_spec

import torch

from attention_collapse.measure.streaming.backend import Backend
from attention_collapse.measure.streaming.dense import DenseBackend
from attention_collapse.measure.streaming.portable import PortableBackend

NAMES = ("dense", "portable", "triton")
# Capability of the Ampere class, the first with bfloat16 tensor cores.
TRITON_CAPABILITY = (8, 0)
# Dimensions of a head that its tiles are made for.
TRITON_DIMENSIONS = (16, 32, 64, 128)


def choose_backend(
    device: torch.device, dtype: torch.dtype, dim: int, *, name: str | None = None
) -> Backend:
    """The fastest backend that a device can run, or the one that is named.

    The Triton backend is chosen for queries of 16 bits and of one
    of ``TRITON_DIMENSIONS`` on CUDA devices of capability 8.0 and
    above where Triton is installed, and the portable one otherwise; the latter computes in float64
    if the queries are float64.

    Args:
        device: Where queries and keys are.
        dtype: Their type.
        dim: Their dimension.
        name: ``"dense"``, ``"portable"`` or ``"triton"`` overrides the choice.

    Raises:
        ValueError: If the name is unknown, or ``"triton"`` without Triton or a CUDA device.

    Home section: *Measuring collapse*.
    """
    if name not in (None, *NAMES):
        raise ValueError(
            f"backend must be one of {', '.join(NAMES)}; got {name!r}: None chooses by the device"
        )
    name = name or ("triton" if _suits_triton(device, dtype, dim) else "portable")
    if name == "dense":
        return DenseBackend()
    if name == "portable":
        double = dtype == torch.float64
        return PortableBackend(dtype=torch.float64 if double else torch.float32)
    if device.type != "cuda" or find_spec("triton") is None:
        raise ValueError(
            f"the triton backend needs a CUDA device and the triton package; got device {device}: "
            "take 'portable'."
        )
    return _triton_backend()


def _triton_backend() -> Backend:
    # Triton is absent from most machines; its kernels are imported where they run.
    from attention_collapse.measure.kernels import TritonBackend

    return TritonBackend()


def _suits_triton(device: torch.device, dtype: torch.dtype, dim: int) -> bool:
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and dim in TRITON_DIMENSIONS
        and torch.cuda.get_device_capability(device) >= TRITON_CAPABILITY
        and find_spec("triton") is not None
    )

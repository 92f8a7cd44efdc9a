"""The number format in which the aggregator multiplies matrices."""

import torch
from torch import nn

BFLOAT16_CAPABILITY = 8
"""First major compute capability whose matrix units take bfloat16."""

FLOAT16_CAPABILITY = 7
"""First major compute capability with matrix units, which take float16."""


def compute_dtype(device: torch.device | str) -> torch.dtype:
    """The format in which ``device`` multiplies matrices fast and VGGT keeps its accuracy.

    On CUDA it is bfloat16 from compute capability 8 on, float16 on 7.x and float32 before;
    everywhere else it is float32.

    Home section: *Notation*.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return torch.float32
    major, _ = torch.cuda.get_device_capability(device)
    if major >= BFLOAT16_CAPABILITY:
        return torch.bfloat16
    return torch.float16 if major >= FLOAT16_CAPABILITY else torch.float32


def cast_linear_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Store the weights of linear maps and convolutions in ``dtype``, in place.

    Norms, residual scales, tokens and positions keep their type, and with them the residual
    stream. Each map converts its input to the type of its weights, so every device computes what
    autocast computes on CUDA, at half the memory of the weights. Meant for the aggregator: the
    heads refuse weights shorter than float32.

    Args:
        network: The part to convert.
        dtype: A floating-point type.

    Raises:
        ValueError: ``dtype`` is not a floating-point type.

    Home section: *Notation*.
    """
    if not dtype.is_floating_point:
        raise ValueError(
            f"weights must be floating-point numbers, got {dtype}; use torch.bfloat16, "
            "torch.float16 or torch.float32"
        )
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.to(dtype)

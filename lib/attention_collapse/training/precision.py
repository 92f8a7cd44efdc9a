"""The number format of matrix products in training."""

import torch

from attention_collapse.vggt import compute_dtype


def product_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 where the device multiplies it fast, else float32.

    Weights, residuals, heads and gradients are in float32 in either case. float16 is not used: it
    has no room for small gradients.
    Home section: *mini-VGGT*.
    """
    short = compute_dtype(device) is torch.bfloat16
    return torch.bfloat16 if short else torch.float32

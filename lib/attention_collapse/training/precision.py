"""The number format of matrix products in training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from attention_collapse.vggt import compute_dtype


def product_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 where the device multiplies it fast, else float32.

    Weights, residuals and gradients are in float32 in either case. float16 is not used: it has no
    room for small gradients.
    Home section: *mini-VGGT*.
    """
    short = compute_dtype(device) is torch.bfloat16
    return torch.bfloat16 if short else torch.float32


def has_tf32(device: torch.device | str) -> bool:
    """Whether a device multiplies in TF32 where it may.

    Home section: *mini-VGGT*.
    """
    on_cuda = torch.device(device).type == "cuda"
    return on_cuda and torch.cuda.get_device_capability(device) >= (8, 0)


@contextmanager
def tf32_products() -> Iterator[None]:
    """Inside, CUDA devices round the factors of float32 products to TF32, good to 5e-4 each.

    Those of the heads took 4 % of a step in full. One setting holds for a whole run: programs are
    compiled for it, and one that is used in another thread would be compiled again.
    Home section: *mini-VGGT*.
    """
    library = torch.backends.cuda.matmul
    chosen = library.fp32_precision
    library.fp32_precision = "tf32"
    try:
        yield
    finally:
        library.fp32_precision = chosen

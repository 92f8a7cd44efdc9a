"""Products of float32 matrices in float32, whatever the program allows elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Inside, no product of float32 matrices is rounded to TF32 or bfloat16.

    ``torch.set_float32_matmul_precision("high")`` makes such products 10 to 20 times faster and
    good to 1e-3 only, where sums are promised to 1e-6. What was set holds again afterwards.

    Home section: *Measuring collapse*.
    """
    libraries = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    chosen = [library.fp32_precision for library in libraries]
    try:
        for library in libraries:
            library.fp32_precision = "ieee"
        yield
    finally:
        for library, precision in zip(libraries, chosen, strict=True):
            library.fp32_precision = precision

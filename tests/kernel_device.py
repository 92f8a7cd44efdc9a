"""Where the tests of kernels run: on a CUDA device, or in Triton's interpreter on the CPU."""

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
# Number formats of the kernels; the interpreter's bfloat16 is wrong.
STORAGES = [torch.float16] if INTERPRETED else [torch.float16, torch.bfloat16]
MARKS = [
    pytest.mark.gpu,
    # The interpreter computes past the end with numpy, which warns of what nobody reads.
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
]


def skip_without_kernels() -> None:
    """Skip the module that calls this where no kernel runs."""
    pytest.importorskip("triton")
    if not INTERPRETED and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, or TRITON_INTERPRET=1", allow_module_level=True)

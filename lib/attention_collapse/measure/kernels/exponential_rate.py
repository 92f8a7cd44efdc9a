"""How many exponentials a second a CUDA device can make: the ceiling of passes over the scores."""

from typing import no_type_check

import torch
import triton
import triton.language as tl

from attention_collapse.measure.kernels.exponential import instructions, power_of_two

# Enough programs for every multiprocessor to be full for all but the end of a run.
_PROGRAMS = 8192
_SIZE = 1024
_STEPS = 4096


@triton.jit
@no_type_check
def _chain_kernel(out_pointer, STEPS: tl.constexpr, SIZE: tl.constexpr, INSTRUCTIONS: tl.constexpr):
    """Raise two to a power again and again; eight chains of a thread do not wait for each other."""
    index = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    value = index.to(tl.float32) * 1e-9 - 0.3
    for _ in tl.range(0, STEPS):
        value = power_of_two(value * 0.25 - 1.0, INSTRUCTIONS)
    tl.store(out_pointer + index, value)


def compute_exponentials(device: str, *, polynomials: int) -> int:
    """Compute many exponentials from registers alone and return how many.

    Args:
        device: A CUDA device.
        polynomials: Of every 8, those on the multiply-add units.

    Home section: *Measuring collapse*.
    """
    out = torch.empty(_PROGRAMS * _SIZE, device=device)
    code = instructions(polynomials, 5)
    _chain_kernel[(_PROGRAMS,)](out, STEPS=_STEPS, SIZE=_SIZE, INSTRUCTIONS=code, num_warps=4)
    return _PROGRAMS * _SIZE * _STEPS

"""What an operation costs on a device: time, memory, and the rate the device can reach."""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_collapse.records import Timing

Mark = float | torch.cuda.Event
"""A moment: seconds, or an event of a CUDA device."""

# An operation that takes longer is not repeated: warming up no longer matters.
LONG_RUN = 20.0

# The kernels of attention from fastest to slowest where all can run.
ATTENTION_KERNELS = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def fastest_attention(device: str) -> AbstractContextManager:
    """While it is open, attention on CUDA runs in the first of ``ATTENTION_KERNELS`` that can.

    Home section: *VGGT in one chapter*.
    """
    if torch.device(device).type != "cuda":
        return nullcontext()
    return sdpa_kernel(ATTENTION_KERNELS, set_priority=True)


def timing(operation: Callable[[], object], *, repeats: int, device: str) -> Timing:
    """Seconds of an operation over repeats, the first of which is left out.

    A first run of more than 20 s counts as the only one. The median is what records quote. What
    the operation returns is released after the clock stops and before the next run, which finds
    the memory claimed already.

    Args:
        operation: Runs the operation once.
        repeats: Number of runs after the first.
        device: The device to wait for.

    Home section: *The phenomenon*.
    """
    first = seconds(operation, device)
    if first > LONG_RUN:
        return Timing(1, first, first, first)
    runs = [seconds(operation, device) for _ in range(repeats)]
    return Timing(repeats, min(runs), statistics.median(runs), max(runs))


def seconds(operation: Callable[[], object], device: str) -> float:
    """Seconds of one run of an operation, between two waits for the device.

    What it returns is released after the clock stops.

    Args:
        operation: Runs the operation once.
        device: The device to wait for.

    Home section: *The phenomenon*.
    """
    wait(device)
    start = time.perf_counter()
    result = operation()
    wait(device)
    taken = time.perf_counter() - start
    del result
    return taken


def mark(device: str) -> Mark:
    """A moment on the device's own clock, after all work that it has been given so far.

    Args:
        device: A CUDA device; elsewhere it is the processor's clock.

    Home section: *Token merging*.
    """
    if not _is_cuda(device):
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def between(begin: Mark, end: Mark) -> float:
    """Seconds from one moment to another, both of which have come.

    Home section: *Token merging*.
    """
    return end - begin if isinstance(begin, float) else begin.elapsed_time(end) / 1e3


def reset_peak(device: str) -> None:
    """Forget the largest memory seen so far on a CUDA device; nothing elsewhere.

    Home section: *The phenomenon*.
    """
    if _is_cuda(device):
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: str) -> float:
    """The largest number of bytes that tensors held since ``reset_peak``; NaN without CUDA.

    Home section: *The phenomenon*.
    """
    return float(torch.cuda.max_memory_allocated(device)) if _is_cuda(device) else float("nan")


def matmul_rate(size: int, *, dtype: torch.dtype, device: str, repeats: int) -> float:
    """Operations per second of the fastest of some products of two square matrices.

    Args:
        size: Side of the matrices.
        dtype: Their number format.
        device: Where they are multiplied.
        repeats: Number of products after the first.

    Home section: *The phenomenon*.
    """
    generator = torch.Generator(device).manual_seed(0)
    left, right = torch.randn(2, size, size, generator=generator, device=device).to(dtype)
    product = timing(lambda: left @ right, repeats=repeats, device=device)
    return 2 * size**3 / product.minimum


def copy_rate(size: int, *, device: str, repeats: int) -> float:
    """Bytes per second, read and written, of the fastest of some copies on the device.

    Args:
        size: Bytes of what is copied.
        device: Where it is.
        repeats: Number of copies after the first.

    Home section: *Token merging*.
    """
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = timing(lambda: target.copy_(source), repeats=repeats, device=device)
    return 2 * size / copied.minimum


def wait(device: str) -> None:
    """Wait until a CUDA device has done what it was given; nothing elsewhere.

    Home section: *The phenomenon*.
    """
    if _is_cuda(device):
        torch.cuda.synchronize(device)


def _is_cuda(device: str) -> bool:
    return torch.device(device).type == "cuda"

"""The memory that an operation takes on the CPU, in a process of its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

_PROCESS = Path("/proc/self")
# Written to ``clear_refs`` it makes the resident memory of now the largest so far.
_RESET = "5"


def taken_memory(prepare: Callable[..., Callable[[], object]], *arguments: object) -> float:
    """The largest resident memory of an operation beyond what was there before, bytes.

    The operation runs in a fresh process, where nothing that was freed earlier is used again.

    Args:
        prepare: A function that another process can import; it makes the operation.
        arguments: What it is called with.

    Raises:
        ValueError: If the system does not tell: it must be Linux.

    Home section: *Measuring collapse*.
    """
    if not (_PROCESS / "clear_refs").exists():
        raise ValueError(
            f"the memory of a process is read below {_PROCESS}, got a system without it: measure "
            "on Linux, or leave the memory out"
        )
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_taken, prepare, arguments).result()


def _taken(prepare: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> float:
    operation = prepare(*arguments)
    (_PROCESS / "clear_refs").write_text(_RESET)
    before = _resident("VmRSS")
    result = operation()
    taken = _resident("VmHWM") - before
    del result
    return taken


def _resident(name: str) -> float:
    lines = (_PROCESS / "status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return 1024.0 * int(kibibytes)

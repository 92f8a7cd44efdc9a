"""How a long measurement tells how far it is."""

import time
from io import TextIOBase
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called with the name of what runs, the steps done and their number.

    Home section: *Measuring collapse*.
    """

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note of one more step."""
        ...


def silent(task: str, done: int, total: int) -> None:
    """Report nothing.

    Home section: *Measuring collapse*.
    """


class TextBar:
    """A bar of text, drawn over itself once a task has taken ``patience`` seconds.

    Used as a context, it ends the line of a bar that an error or an interrupt left unfinished.

    Args:
        stream: Where to draw, for example ``sys.stderr``.
        patience: Seconds before the first drawing: short tasks leave no trace.
        width: Characters of the bar.

    Home section: *Measuring collapse*.
    """

    def __init__(self, stream: TextIOBase, *, patience: float = 2.0, width: int = 30) -> None:
        self._stream = stream
        self._patience = patience
        self._width = width
        self._task = ""
        self._start = 0.0
        self._drawn = False

    def __call__(self, task: str, done: int, total: int) -> None:
        """Draw the bar, and end its line with the last step."""
        if task != self._task:
            self.end()
            self._task, self._start, self._drawn = task, time.monotonic(), False
        seconds = time.monotonic() - self._start
        if seconds >= self._patience or self._drawn:
            filled = self._width * done // total
            bar = "#" * filled + "." * (self._width - filled)
            self._stream.write(f"\r{task} [{bar}] {done}/{total}, {seconds:.0f} s")
            self._drawn = True
        if done >= total:
            self.end()
            self._task = ""
        self._stream.flush()

    def end(self) -> None:
        """End the line of the bar, if one is drawn; another step of its task draws it anew."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
        self._drawn = False

    def __enter__(self) -> "TextBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

"""Rows of the tables of published results."""

import csv
import dataclasses
import math
from pathlib import Path

DATA = Path(__file__).parent / "data"
RELIABILITY = ("paper", "two transcriptions", "one transcription")
"""How a number was read, the surest first."""


@dataclasses.dataclass(frozen=True)
class PublishedResult:
    """One number that others have published.

    Attributes:
        source: Authors, year and identifier.
        table: Table or figure in it.
        dataset: What was measured on.
        method: What was measured.
        frames: Number of frames.
        metric: Name of the quantity; ATE is the absolute trajectory error, CD the Chamfer distance.
        value: The number.
        unit: Its unit, ``"1"`` where none is printed.
        reliability: One of ``RELIABILITY``.
        note: What else must be known.

    Raises:
        ValueError: if the value is not finite, the reliability is unknown, or there are no frames.

    Home section: *Token merging*.
    """

    source: str
    table: str
    dataset: str
    method: str
    frames: int
    metric: str
    value: float
    unit: str
    reliability: str
    note: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or self.frames < 1:
            raise ValueError(
                "a published result has a finite value and 1 frame or more, got "
                f"{self.value} at {self.frames} frames: leave out what is not a number"
            )
        if self.reliability not in RELIABILITY:
            raise ValueError(f"reliability must be one of {RELIABILITY}, got {self.reliability!r}")


def results(
    name: str, *, table: str, metric: str, folder: Path = DATA
) -> tuple[PublishedResult, ...]:
    """The results of one table for one metric, in the order of the file.

    Args:
        name: File of ``folder``, without its ending.
        table: As in the file, such as ``Table 6``.
        metric: As in the file, such as ``ATE``.
        folder: Where the files lie.

    Raises:
        LookupError: if there is no such file, or no such result in it; the message lists what
            there is.

    Home section: *Token merging*.
    """
    path = folder / f"{name}.csv"
    if not path.exists():
        known = sorted(each.stem for each in folder.glob("*.csv"))
        raise LookupError(f"no published results {name!r}; there are: {', '.join(known)}")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [_result(row) for row in csv.DictReader(lines)]
    found = tuple(row for row in rows if (row.table, row.metric) == (table, metric))
    if not found:
        known = sorted({f"{row.table} {row.metric}" for row in rows})
        raise LookupError(f"no {metric} of {table} in {name}; there are: {', '.join(known)}")
    return found


def _result(row: dict[str, str]) -> PublishedResult:
    typed = row | {"frames": int(row["frames"]), "value": float(row["value"])}
    return PublishedResult(**typed)

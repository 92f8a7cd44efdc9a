"""What a record holds, and the rules it must satisfy."""

import dataclasses
import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Timing:
    """Repeated timings of one operation, in seconds.

    Attributes:
        repeats: how often the operation ran after warming up.
        minimum: fastest run, s.
        median: middle run, s.
        maximum: slowest run, s.

    Raises:
        ValueError: if the repeats are fewer than one or the three figures are out of order.

    Home section: *The phenomenon*.
    """

    repeats: int
    minimum: float
    median: float
    maximum: float

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(
                f"a timing needs at least one repeat, got {self.repeats}: run it again"
            )
        if not 0 <= self.minimum <= self.median <= self.maximum:
            raise ValueError(
                "a timing needs 0 <= minimum <= median <= maximum, got "
                f"{self.minimum}, {self.median}, {self.maximum}: summarise the repeats again"
            )


@dataclasses.dataclass(frozen=True)
class Canary:
    """The same experiment at laptop size, in float64 on the CPU.

    The test suite recomputes every canary. If a change to the code moves one of
    these numbers, the record no longer describes what the code does.

    Attributes:
        config: settings of the small run.
        values: its results, one number per name.
        relative_tolerance: allowed difference from ``values``, relative to ``1 + |value|``.

    Raises:
        ValueError: if there are no values, one is not finite, or the tolerance is not in (0, 1).

    Home section: *The phenomenon*.
    """

    config: Mapping[str, Any]
    values: Mapping[str, float]
    relative_tolerance: float

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a canary needs at least one value, got none: name what it checks")
        for name, value in self.values.items():
            if not math.isfinite(value):
                raise ValueError(f"canary values must be finite, got {name} = {value}")
        if not 0 < self.relative_tolerance < 1:
            raise ValueError(
                f"a canary's tolerance lies between 0 and 1, got {self.relative_tolerance}"
            )

    def differences(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values that moved: name to difference relative to ``1 + |recorded value|``.

        A name that only one side has counts as moved by infinity.
        """
        moved = {}
        for name in sorted(set(self.values) | set(values)):
            if name not in values or name not in self.values:
                moved[name] = math.inf
                continue
            recorded = self.values[name]
            difference = abs(values[name] - recorded) / (1 + abs(recorded))
            if not difference <= self.relative_tolerance:
                moved[name] = difference
        return moved


@dataclasses.dataclass(frozen=True)
class Record:
    """One measurement with everything needed to trust it and to take it again.

    Attributes:
        experiment: name of the module in ``attention_collapse.experiments``.
        what: which setting of the experiment this is.
        revision: the experiment's ``REVISION`` when it ran; raised when its meaning changes.
        config: settings of the run.
        command: command line that took the record.
        time: UTC time in ISO 8601, to the second.
        device: name, memory in bytes, driver and count of the device.
        versions: of Python and of the libraries that computed.
        numerics: compute and storage dtypes, tf32, seeds.
        source_digest: SHA-256 of the package's Python files at the time.
        axes: for each array, the names of its axes.
        units: for each array, its unit (``"1"`` for a pure number).
        arrays: the results.
        timings: for anything timed, its repeats.
        canary: the same experiment at laptop size.

    Raises:
        ValueError: if a name is not lower-case words joined by underscores, the time is not UTC,
            an array has no unit or its axes do not match its shape, or an array holds objects.

    Home section: *The phenomenon*.
    """

    experiment: str
    what: str
    revision: int
    config: Mapping[str, Any]
    command: str
    time: str
    device: Mapping[str, Any]
    versions: Mapping[str, str]
    numerics: Mapping[str, Any]
    source_digest: str
    axes: Mapping[str, Sequence[str]]
    units: Mapping[str, str]
    arrays: Mapping[str, np.ndarray]
    timings: Mapping[str, Timing]
    canary: Canary

    def __post_init__(self) -> None:
        for field in ("experiment", "what"):
            check_name(field, getattr(self, field))
        _check_time(self.time)
        for field in ("name", "memory", "driver", "count"):
            if field not in self.device:
                raise ValueError(f"a record states the device's {field}, got {dict(self.device)}")
        for field in ("compute_dtype", "storage_dtype", "tf32", "seeds"):
            if field not in self.numerics:
                raise ValueError(f"a record states {field}, got numerics {dict(self.numerics)}")
        if set(self.axes) != set(self.arrays) or set(self.units) != set(self.arrays):
            raise ValueError(
                "every array has axes and a unit, got arrays "
                f"{sorted(self.arrays)}, axes {sorted(self.axes)}, units {sorted(self.units)}"
            )
        for name, array in self.arrays.items():
            _check_array(name, array, self.axes[name])

    @property
    def stem(self) -> str:
        """File name without ending: ``<what>__<device>__<dtype>__torch<version>``."""
        device = re.sub(r"[^a-z0-9]+", "-", str(self.device["name"]).lower()).strip("-")
        torch = self.versions.get("torch", "none").split("+")[0]
        return f"{self.what}__{device}__{self.numerics['compute_dtype']}__torch{torch}"


def check_name(field: str, name: str) -> None:
    """Refuse a ``name`` that could not be part of a record's path.

    Raises:
        ValueError: unless ``name`` is lower-case words joined by underscores.

    Home section: *The phenomenon*.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a record's {field} is lower-case words joined by underscores, got {name!r}"
        )


def _check_time(time: str) -> None:
    try:
        offset = datetime.datetime.fromisoformat(time).utcoffset()
    except ValueError:
        offset = None
    if offset != datetime.timedelta(0):
        raise ValueError(
            f"a record's time is UTC, written as in 2026-01-31T12:00:00+00:00, got {time!r}"
        )


def _check_array(name: str, array: np.ndarray, axes: Sequence[str]) -> None:
    if array.dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects; store numbers, without pickling")
    if array.ndim != len(axes):
        raise ValueError(
            f"array {name!r} has shape {array.shape} but axes {tuple(axes)}: name every axis"
        )

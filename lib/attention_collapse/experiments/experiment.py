"""What every experiment provides, and where to find each one."""

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from attention_collapse.records import Timing

Report = Callable[[str], None]


def silent(message: str) -> None:
    """Report nothing.

    Home section: *The phenomenon*.
    """


EXPERIMENTS = (
    "attention_cost",
    "closure_ladder",
    "collapse_surface",
    "depth_skip",
    "duplicates_error",
    "fixed_range_error",
    "foreign_frames",
    "forward_cost",
    "frame_count",
    "heat_maps",
    "iterated_depth",
    "knock_out",
    "landmark_flow",
    "merging_cost",
    "merging_depth",
    "merging_exponent",
    "orbit_error",
    "orbit_frames",
    "photograph_copies",
    "photographs",
    "random_weights",
    "rank_profile",
    "remedies",
    "sharded_cost",
    "train_range",
    "trained_merging",
    "training",
    "walk_error",
    "walk_frames",
)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one run of an experiment gives.

    Attributes:
        arrays: results by name.
        axes: names of the axes of each array.
        units: unit of each array, ``"1"`` for a pure number.
        numerics: compute and storage dtypes, tf32 and seeds of the run.
        timings: repeats of anything timed.

    Home section: *The phenomenon*.
    """

    arrays: Mapping[str, np.ndarray]
    axes: Mapping[str, Sequence[str]]
    units: Mapping[str, str]
    numerics: Mapping[str, Any]
    timings: Mapping[str, Timing] = dataclasses.field(default_factory=dict)


@runtime_checkable
class Experiment(Protocol):
    """A module of this package that measures something.

    Attributes:
        REVISION: raised whenever the meaning of a result changes.
        Config: frozen dataclass of settings; its defaults run on a laptop.
        CANARY: settings of the small run that checks a record.
        CANARY_TOLERANCE: relative tolerance of the canary, with its reason in a comment.

    Home section: *The phenomenon*.
    """

    REVISION: int
    Config: type
    CANARY: Any
    CANARY_TOLERANCE: float

    def run(self, config: Any, *, device: str, report: Report = silent) -> Measurement:
        """Measure with ``config`` on ``device`` and say how far along it is."""
        ...

    def canary_values(self, measurement: Measurement) -> dict[str, float]:
        """The numbers of a small run that must not move."""
        ...


def find_experiment(name: str) -> Experiment:
    """The experiment called ``name``.

    Raises:
        ValueError: if there is none; the message lists the names.

    Home section: *The phenomenon*.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}")
    return importlib.import_module(f"attention_collapse.experiments.{name}")


def configure(experiment: Experiment, settings: Mapping[str, Any]) -> Any:
    """The experiment's configuration with ``settings`` in place of its defaults.

    Raises:
        ValueError: if a setting does not exist, or its value is not of the default's type.

    Home section: *The phenomenon*.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(experiment.Config)}
    unknown = sorted(set(settings) - set(defaults))
    if unknown:
        raise ValueError(f"no setting {', '.join(unknown)}; there are: {', '.join(defaults)}")
    values = {name: _typed(name, value, defaults[name]) for name, value in settings.items()}
    return experiment.Config(**values)


def _typed(name: str, value: Any, default: Any) -> Any:
    """``value`` in the type of ``default``: a number for a number, a list for a tuple."""
    if isinstance(default, tuple) and isinstance(value, list | tuple) and value:
        return tuple(_typed(name, entry, default[0]) for entry in value)
    kinds = {bool: bool, int: int, float: int | float, str: str}.get(type(default))
    if kinds is None or not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool):
        example = json.dumps(default)
        raise ValueError(
            f"{name} must have a value like {example}, got {value!r}: write it as JSON"
        )
    return type(default)(value)


def recompute_canary(experiment: Experiment, settings: Mapping[str, Any]) -> dict[str, float]:
    """The canary's numbers as today's code gives them, in float64 on the CPU.

    Home section: *The phenomenon*.
    """
    config = configure(experiment, settings)
    return experiment.canary_values(experiment.run(config, device="cpu"))

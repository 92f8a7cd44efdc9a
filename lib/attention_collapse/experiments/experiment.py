"""What every experiment provides, and where to find each one."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from attention_collapse.records import Timing

Report = Callable[[str], None]


def silent(message: str) -> None:
    """Report nothing."""


EXPERIMENTS = ("landmark_flow", "random_weights")


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
        ValueError: if a setting does not exist; the message lists those that do.

    Home section: *The phenomenon*.
    """
    known = [field.name for field in dataclasses.fields(experiment.Config)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f"no setting {', '.join(unknown)}; there are: {', '.join(known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return experiment.Config(**values)


def recompute_canary(experiment: Experiment, settings: Mapping[str, Any]) -> dict[str, float]:
    """The canary's numbers as today's code gives them, in float64 on the CPU.

    Home section: *The phenomenon*.
    """
    config = configure(experiment, settings)
    return experiment.canary_values(experiment.run(config, device="cpu"))

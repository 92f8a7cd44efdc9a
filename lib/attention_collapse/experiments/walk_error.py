"""Errors of a trained network along a walk without end, where only near frames overlap.

Frames and range grow together; ``fixed_range_error`` is the control that grows the frames alone.
Chained chunks are the classical remedy, with its own drift.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from attention_collapse.experiments.error_scenes import walk_scene
from attention_collapse.experiments.error_study import (
    STUDY_TOLERANCE,
    TINY_STUDY,
    StudyConfig,
    measure_errors,
    study_means,
)
from attention_collapse.experiments.experiment import Measurement, Report, silent

REVISION = 1


@dataclasses.dataclass(frozen=True)
class Config(StudyConfig):
    """Settings of the experiment: those of ``StudyConfig``.

    Home section: *What fails*.
    """

    frames: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    treatments: tuple[str, ...] = ("none", "bias", "chained:8:4")


CANARY = Config(**TINY_STUDY | {"frames": (3, 4), "treatments": ("none", "chained:3:2")})
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    return measure_errors(config, walk_scene, device=device, report=report)


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: errors over frames, and how fast they grow.

    Home section: *What fails*.
    """
    from attention_collapse.figures.many_frame_errors import error_growth_png

    return error_growth_png(arrays)

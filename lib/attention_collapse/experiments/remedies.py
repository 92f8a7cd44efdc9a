"""Errors of a trained network on overlapping frames, under every remedy that needs no training.

The reference bias, sharper scores by a factor or by the logarithm of the tokens, and chunks of few
frames, with the reference frame in each or chained by similarities.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from attention_collapse.experiments.error_scenes import orbit_scene
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

    frames: tuple[int, ...] = (8, 16, 32, 64)
    treatments: tuple[str, ...] = (
        "none",
        "bias",
        "scale:0.85",
        "scale:1.15",
        "scale:1.3",
        "scale:1.6",
        "length",
        "bias+scale:1.15",
        "chunks:8",
        "chained:8:4",
    )


CANARY = Config(
    **TINY_STUDY
    | {"frames": (3, 4), "treatments": ("none", "bias", "length", "chunks:2", "chained:3:2")}
)
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    return measure_errors(config, orbit_scene, device=device, report=report)


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: treatments in the order of their errors.

    Home section: *What fails*.
    """
    from attention_collapse.figures.many_frame_errors import remedies_png

    return remedies_png(arrays)

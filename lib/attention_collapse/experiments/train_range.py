"""Errors on overlapping frames of networks trained on different numbers of frames.

Networks trained with the same settings but for the frames of a scene, each beside the reference
bias for its own range.
"""

import dataclasses

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

    frames: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    weights: tuple[str, ...] = ("seed:0", "seed:1")
    trained_frames: tuple[int, ...] = (8, 24)


CANARY = Config(
    **TINY_STUDY | {"frames": (3, 4), "weights": ("seed:0", "seed:1"), "trained_frames": (2, 3)}
)
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    return measure_errors(config, orbit_scene, device=device, report=report)

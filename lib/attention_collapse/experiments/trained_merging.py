"""Errors of a trained network under token merging, and under the bias that stands for it.

A share of the tokens merges before global attention, with or without sizes, the reference frame
kept apart or not. Merging without sizes weighs the later frames less, by the factor :math:`f` of
keys that it leaves; ``match`` adds :math:`\\ln(1/f)` to the reference frame's keys instead.
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

    frames: tuple[int, ...] = (8, 16, 32, 64)
    treatments: tuple[str, ...] = (
        "none",
        "bias",
        *(f"merge:{ratio}{rule}" for ratio in (0.3, 0.6) for rule in ("", "+sized", "+open")),
        *(f"match:{ratio}" for ratio in (0.3, 0.6)),
        "bias+merge:0.6+sized",
    )


CANARY = Config(
    **TINY_STUDY
    | {
        "frames": (4, 5),
        "treatments": ("none", "merge:0.3", "merge:0.3+sized", "merge:0.3+open", "match:0.3"),
    }
)
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    return measure_errors(config, orbit_scene, device=device, report=report)

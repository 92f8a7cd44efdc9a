"""Errors of a trained network as frames are added inside a fixed length of corridor.

The camera stays within an extent and fills it ever more densely: more frames add no range. What
grows along an endless walk and not here comes with range, or with the loss of overlap.
"""

import dataclasses
import functools
import math

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
    """Settings of the experiment: those of ``StudyConfig`` and one more.

    Attributes:
        extent: length of corridor to stay in, in units of length.

    Raises:
        ValueError: if the extent is not a positive length, or as in ``StudyConfig``.

    Home section: *What fails*.
    """

    frames: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    extent: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.extent < math.inf:
            raise ValueError(
                f"extent must be a positive length, got {self.extent}: use for example 2.5"
            )


CANARY = Config(**TINY_STUDY | {"frames": (2, 3), "extent": 2.5})
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    film = functools.partial(walk_scene, extent=config.extent)
    return measure_errors(config, film, device=device, report=report)

"""Errors of a trained network whose frames are shown again and again.

Copies bring neither views nor range: they only dilute the attention paid to the reference frame.
The bias here is the logarithm of the number of copies, under which attention is that of one copy.
"""

import dataclasses
import functools
import math

from attention_collapse.experiments.error_scenes import duplicate_scene
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
        distinct: number of views, the reference included; later frames show the others in turn.

    Raises:
        ValueError: if there are fewer than two views, or as in ``StudyConfig``.

    Home section: *What fails*.
    """

    frames: tuple[int, ...] = (8, 15, 29, 57)
    distinct: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distinct < 2 or any((count - 1) % (self.distinct - 1) for count in self.frames):
            raise ValueError(
                "distinct must be at least 2 and frames be 1 + m (distinct - 1), so that every "
                f"view but the reference is shown m times, got {self.distinct} and {self.frames}: "
                "use for example 8 and (8, 15, 29)"
            )

    def reference_bias(self, frames: int, trained_frames: int) -> float:
        """The logarithm of the number of copies, whatever the training."""
        return math.log((frames - 1) / (self.distinct - 1))


CANARY = Config(**TINY_STUDY | {"frames": (3, 5), "distinct": 3})
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    film = functools.partial(duplicate_scene, distinct=config.distinct)
    return measure_errors(config, film, device=device, report=report)

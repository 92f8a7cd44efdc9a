"""Errors of a trained network on the same first frames, as frames of another room are added.

Only the first frames are judged. What is added has nothing to say about them: an ideal
reconstruction would not change.
"""

import dataclasses
import functools

from attention_collapse.experiments.error_scenes import foreign_scene
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
        related: number of frames of the room that is judged, two or more.

    Raises:
        ValueError: if there are fewer than two related frames or fewer frames than those, or as in
            ``StudyConfig``.

    Home section: *What fails*.
    """

    frames: tuple[int, ...] = (8, 9, 16, 32, 64)
    treatments: tuple[str, ...] = ("none", "bias", "scale:1.3")
    related: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.related <= min(self.frames):
            raise ValueError(
                f"related must be from 2 to {min(self.frames)}, the fewest frames, got "
                f"{self.related}: use for example 8"
            )


CANARY = Config(**TINY_STUDY | {"frames": (2, 3), "related": 2})
CANARY_TOLERANCE = STUDY_TOLERANCE
canary_values = study_means


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Home section: *What fails*.
    """
    film = functools.partial(foreign_scene, related=config.related)
    return measure_errors(config, film, device=device, report=report)

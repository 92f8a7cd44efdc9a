"""Frames along a walk, where only near ones overlap, in a trained network, and a control.

A walk without end adds frames and range at once. With an extent the camera stays within that length
of the corridor, and frames are added at a fixed range: what then still changes is due to their
number. Every global layer and head is measured as in ``orbit_frames``.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attention_collapse import scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.trained_profile import (
    ProfileConfig,
    canary_means,
    measure_profile,
)
from attention_collapse.measure import streaming

REVISION = 1


@dataclasses.dataclass(frozen=True)
class Config(ProfileConfig):
    """Settings of the experiment: those of ``ProfileConfig`` and one more.

    Attributes:
        extent: length of corridor to stay in, in units of length; 0 walks on.

    Raises:
        ValueError: if the extent is negative or not finite, or as in ``ProfileConfig``.

    Home section: *Does it collapse?*.
    """

    extent: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.extent < math.inf:
            raise ValueError(
                f"extent must be a length, or 0 for a walk without end, got {self.extent}: use for "
                "example 2.5"
            )


CANARY = Config(
    frames=(2, 3),
    weights="seed:0",
    preset="tiny",
    scene_seeds=(0,),
    storage="float64",
    singular_values=4,
    extent=2.5,
)
# As in ``orbit_frames``.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every layer of every walk; arguments as in ``trained_profile.measure_profile``.

    Home section: *Does it collapse?*.
    """
    return measure_profile(
        config,
        functools.partial(scenes.walk, extent=config.extent or None),
        task="walks, layers",
        revision=REVISION,
        device=device,
        report=report,
        progress=progress,
        scratch=scratch,
    )


canary_values = canary_means


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: quantities over frames, by layer.

    Home section: *Does it collapse?*.
    """
    from attention_collapse.figures.trained_profiles import frame_means_png

    return frame_means_png(arrays)

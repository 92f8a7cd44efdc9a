"""Frames that all overlap, two of them to hundreds, in a trained network.

Every global layer and head of the small network that the book trains, on orbits that training has
not seen: entropy, spectrum, distance from rank one, mass on the reference frame, and the geometry
of the tokens, scene by scene. Only the number of frames changes: a scene of few frames is the
beginning of that of many.
"""

import dataclasses
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
    """Settings of the experiment, those of ``ProfileConfig``.

    Home section: *Does it collapse?*.
    """


CANARY = Config(
    frames=(2, 3),
    weights="seed:0",
    preset="tiny",
    scene_seeds=(0, 1),
    storage="float64",
    singular_values=4,
)
# Float64 sums in another order through three blocks; the participation ratio and the search of
# singular values amplify the rounding most.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every layer of every orbit; arguments as in ``trained_profile.measure_profile``.

    Home section: *Does it collapse?*.
    """
    return measure_profile(
        config,
        scenes.orbit,
        task="orbits, layers",
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

"""Depth with and without skip connections, in a trained network.

Without the skip around attention every layer replaces the tokens by averages of them, and rank
falls with depth at any number of frames. All four settings run through the same weights: the skips
kept, that of the MLP removed, that of attention removed, and both, in frame blocks and global
blocks alike.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attention_collapse import scenes
from attention_collapse.experiments.block_parts import PartialSteps, Parts
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.trained_profile import (
    ProfileConfig,
    Route,
    canary_means,
    measure_profile,
    with_lists,
)
from attention_collapse.measure import streaming

REVISION = 1

SETTINGS = {
    "skips": Parts(),
    "no_mlp_skip": Parts(mlp_skip=False),
    "no_attention_skip": Parts(attention_skip=False),
    "no_skip": Parts(attention_skip=False, mlp_skip=False),
}
"""The settings of every record, in order."""


@dataclasses.dataclass(frozen=True)
class Config(ProfileConfig):
    """Settings of the experiment, those of ``ProfileConfig``.

    Collapsed tokens differ by less than float32 resolves, so float64 is the default.

    Home section: *Does it collapse?*.
    """

    storage: str = "float64"


CANARY = Config(frames=(2,), weights="seed:0", preset="tiny", scene_seeds=(0,), singular_values=4)
# Float64 sums in another order; where tokens collapse, their geometry and the later singular values
# are differences of nearly equal numbers.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every layer in every setting; arguments as in ``trained_profile.measure_profile``.

    Home section: *Does it collapse?*.
    """
    measurement = measure_profile(
        config,
        scenes.orbit,
        routes={
            name: Route(functools.partial(PartialSteps, parts=parts), config.depth)
            for name, parts in SETTINGS.items()
        },
        axes={"setting": len(SETTINGS)},
        task="skips, layers",
        revision=REVISION,
        device=device,
        report=report,
        progress=progress,
        scratch=scratch,
    )
    return with_lists(measurement, {"settings": ("setting", tuple(SETTINGS))})


canary_values = canary_means


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: quantities over layers, by setting.

    Home section: *Does it collapse?*.
    """
    from attention_collapse.figures.trained_profiles import skip_means_png

    return skip_means_png(arrays)

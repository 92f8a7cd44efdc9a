"""One trained global block applied again and again to the tokens that enter it.

The iteration of attention that theory speaks of, on weights that were trained for something else:
attention alone at first, without positions, MLP or frame attention; then frame attention, the MLP
and the rotation by position are added one by one. Every number of applications gives what
``orbit_frames`` measures of a layer.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attention_collapse import scenes
from attention_collapse.experiments.block_parts import IteratedSteps, Parts
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
    "attention": Parts(frame_blocks=False, mlp=False, rotary=False),
    "frame_attention": Parts(mlp=False, rotary=False),
    "mlp": Parts(rotary=False),
    "rotary": Parts(),
}
"""What acts, by the name of what was added last, in order."""


@dataclasses.dataclass(frozen=True)
class Config(ProfileConfig):
    """Settings of the experiment: those of ``ProfileConfig`` and two more.

    Attributes:
        blocks: global blocks that are iterated, counted from 0.
        applications: ascending numbers of applications after which is measured.

    Raises:
        ValueError: if a block does not exist, the numbers do not ascend from 1 or more, or as in
            ``ProfileConfig``.

    Home section: *Does it collapse?*.
    """

    storage: str = "float64"
    blocks: tuple[int, ...] = (0, 1)
    applications: tuple[int, ...] = (1, 2, 5, 10)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, lowest, numbers in (
            ("blocks", 0, self.blocks),
            ("applications", 1, self.applications),
        ):
            ascending = sorted(set(numbers)) == list(numbers)
            if not numbers or not ascending or numbers[0] < lowest:
                raise ValueError(
                    f"{name} must ascend from {lowest} or more, got {numbers}: use for example "
                    f"{(lowest, lowest + 1)}"
                )
        if self.blocks[-1] >= self.depth:
            raise ValueError(
                f"blocks must be among the {self.depth} of the network, got {self.blocks}: count "
                "them from 0"
            )


CANARY = Config(
    frames=(2,),
    weights="seed:0",
    preset="tiny",
    scene_seeds=(0,),
    singular_values=4,
    applications=(1, 3),
)
# Float64 sums in another order through three applications.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every number of applications; arguments as in ``trained_profile.measure_profile``.

    Along the axis ``layer`` of the arrays are the numbers of ``applications``.

    Home section: *Does it collapse?*.
    """
    routes = {
        f"{name}_block_{block:02d}": Route(
            functools.partial(IteratedSteps, parts=parts, layer=block, counts=config.applications),
            len(config.applications),
        )
        for name, parts in SETTINGS.items()
        for block in config.blocks
    }
    measurement = measure_profile(
        config,
        scenes.orbit,
        routes=routes,
        axes={"setting": len(SETTINGS), "block": len(config.blocks)},
        task="iterations, measured",
        revision=REVISION,
        device=device,
        report=report,
        progress=progress,
        scratch=scratch,
    )
    lists = {
        "settings": ("setting", tuple(SETTINGS)),
        "blocks": ("block", config.blocks),
        "applications": ("layer", config.applications),
    }
    return with_lists(measurement, lists)


canary_values = canary_means


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: quantities over applications, by block.

    Home section: *Does it collapse?*.
    """
    from attention_collapse.figures.trained_profiles import iteration_means_png

    return iteration_means_png(arrays)

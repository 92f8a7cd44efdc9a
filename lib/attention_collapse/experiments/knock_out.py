"""Errors of a trained network without one head of its global attention, one layer, or all of it.

What is removed adds nothing to the stream; frame attention and MLPs stay. Whether a head near rank
one is a defect or has a task shows in what its loss costs.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from attention_collapse.experiments.error_scenes import ErrorScene, SceneSettings, orbit_scene
from attention_collapse.experiments.error_study import QUANTITIES, judge
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.trained_network import (
    SIZES,
    check_network,
    image_size,
    load_network,
    numerics,
)
from attention_collapse.measure.reconstruction_errors import Geometry
from attention_collapse.vggt import VGGT, Aggregator

REVISION = 1

KEPT = ("points", "aligned_points", "depth", "rotation", "centre", "pose_accuracy")
"""Quantities of ``error_study`` that a record keeps."""

_SCENE = ("scene", "frame_count")
REMOVED = {
    "": _SCENE,
    "_without_all": _SCENE,
    "_without_layer": ("layer", *_SCENE),
    "_without_head": ("layer", "head", *_SCENE),
}
"""What is removed, as the ending of an array's name, and the axes of the array."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        frames: numbers of frames, each the first frames of every orbit, two or more.
        weights: ``packaged``, ``seed:0`` or a file, as in ``trained_network.load_network``.
        preset: name of the network's sizes.
        scene_seeds: one for each scene; training uses none below 2**30.
        storage: ``float64``, ``float32``, or ``bfloat16`` for the linear maps, queries and keys.

    Raises:
        ValueError: if a number is out of range or a name is unknown.

    Home section: *Does it collapse?*.
    """

    frames: tuple[int, ...] = (8,)
    weights: str = "packaged"
    preset: str = "mini"
    scene_seeds: tuple[int, ...] = (0, 1)
    storage: str = "float32"

    def __post_init__(self) -> None:
        check_network(self.weights, self.preset, self.storage)
        if min(self.frames, default=0) < 2 or not self.scene_seeds:
            raise ValueError(
                "frames must be at least 2 and scene_seeds name a scene, got "
                f"{self.frames} and {self.scene_seeds}: use for example (8,) and (0, 1)"
            )


CANARY = Config(frames=(3,), weights="seed:0", preset="tiny", scene_seeds=(0,), storage="float64")
# Float64 sums in another order through three blocks; angles near zero are roots of rounding.
CANARY_TOLERANCE = 1e-6


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the errors with everything, and without each part in turn.

    Home section: *Does it collapse?*.
    """
    sizes = SIZES[config.preset].aggregator
    network = load_network(config.weights, config.preset, storage=config.storage, device=device)
    lengths = {
        "layer": sizes.depth,
        "head": sizes.heads,
        "scene": len(config.scene_seeds),
        "frame_count": len(config.frames),
    }
    arrays = {
        name + ending: np.full([lengths[axis] for axis in axes], np.nan)
        for ending, axes in REMOVED.items()
        for name in KEPT
    }
    dtype = torch.float64 if config.storage == "float64" else torch.float32
    settings = SceneSettings(image_size(config.preset), device, dtype)
    for number, seed in enumerate(config.scene_seeds):
        report(f"scene {number + 1} of {len(config.scene_seeds)}")
        scene = orbit_scene(max(config.frames), seed, settings)
        for ending, place, layers, heads in _removals(sizes.depth, sizes.heads):
            with without(network.aggregator, layers, heads):
                for index, frames in enumerate(config.frames):
                    for name, value in _errors(network, scene, frames).items():
                        arrays[name + ending][*place, number, index] = value
    return _measurement(config, arrays)


@contextmanager
def without(
    network: Aggregator, layers: Sequence[int], heads: Sequence[int] | None
) -> Iterator[None]:
    """The network without the output of some heads of its global attention, while inside.

    Args:
        network: Its weights are restored at the end.
        layers: Global layers, counted from 0.
        heads: Which heads of each; ``None`` for all, and the bias of their joint output.

    Home section: *Does it collapse?*.
    """
    maps = [network.global_blocks[layer].attn.proj for layer in layers]
    kept = [(each.weight.clone(), each.bias.clone()) for each in maps]
    with torch.no_grad():
        for each in maps:
            if heads is None:
                each.weight.zero_()
                each.bias.zero_()
            else:
                each.weight.unflatten(1, (network.config.heads, -1))[:, list(heads)] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            for each, (weight, bias) in zip(maps, kept, strict=True):
                each.weight.copy_(weight)
                each.bias.copy_(bias)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every error, with all parts and without each.

    Home section: *Does it collapse?*.
    """
    names = (name + ending for ending in REMOVED for name in KEPT)
    return {name: float(measurement.arrays[name].mean()) for name in names}


def _removals(
    depth: int, heads: int
) -> Iterator[tuple[str, tuple[int, ...], Sequence[int], Sequence[int] | None]]:
    """Ending of the array, place in it, layers and heads of everything that is removed."""
    yield "", (), (), None
    yield "_without_all", (), range(depth), None
    for layer in range(depth):
        yield "_without_layer", (layer,), (layer,), None
        for head in range(heads):
            yield "_without_head", (layer, head), (layer,), (head,)


def _errors(network: VGGT, scene: ErrorScene, frames: int) -> dict[str, float]:
    said = network.reconstruct(scene.images[:frames])
    found = (said.points[0], said.depth[0], said.world_to_camera[0])
    true = vars(scene.true(frames)).values()
    numbers = judge(*(Geometry(*(tensor.double() for tensor in g)) for g in (found, true)))
    return {name: numbers[name] for name in KEPT}


def _measurement(config: Config, arrays: dict[str, np.ndarray]) -> Measurement:
    axes = {name + ending: axes for ending, axes in REMOVED.items() for name in KEPT}
    units = {name + ending: QUANTITIES[name] for ending in REMOVED for name in KEPT}
    return Measurement(
        arrays | {"frames": np.array(config.frames), "scene_seeds": np.array(config.scene_seeds)},
        axes | {"frames": ("frame_count",), "scene_seeds": ("scene",)},
        units | {"frames": "frame", "scene_seeds": "1"},
        numerics(config.storage, config.weights, scene=config.scene_seeds),
    )

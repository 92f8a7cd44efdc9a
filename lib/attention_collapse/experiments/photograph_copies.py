r"""How far a reconstruction moves when its later frames are shown again and again.

Copies bring no views: what moves then was moved by the smaller share of attention that the
reference frame has left. :math:`m` copies of every later frame act like the bias
:math:`-\ln m` on the reference frame's keys, exactly, so that a pass over eight frames says what
hundreds would; a camera head that attends over frames has the bias too. No true geometry is needed,
only the network's own reconstruction of the frames shown once, so that a reader's photographs
serve. They go into a record as numbers only.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from attention_collapse import records
from attention_collapse.experiments.error_scenes import SceneSettings, orbit_scene
from attention_collapse.experiments.error_study import watch_mass
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.image_record import network_numerics, record_of_images
from attention_collapse.experiments.trained_network import (
    check_network,
    image_size,
    load_network,
    numerics,
)
from attention_collapse.measure.reconstruction_errors import Geometry, frame_errors
from attention_collapse.vggt import VGGT, AdjustedScores, reference_bias

REVISION = 1

MASS_ROWS = 1024
"""Queries over which the mass on the reference frame is averaged."""

TREATMENTS = ("none", "bias")

MOVES = {"points": "1", "depth": "1", "rotation": "degree", "centre": "1"}
"""What is compared, and its unit; lengths in units of the mean distance of the first frame's
points. Rotation and centre leave the reference frame out."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run that needs no photographs: an orbit and the network of the book.

    Attributes:
        frames: views, the reference included.
        copies: how often each later view is shown, ascending from 1.
        trained_frames: most frames of a scene in training, of which the bias is made.
        weights: as in ``trained_network.load_network``.
        preset: name of the network's sizes.
        scene_seed: seed of the scene.
        storage: number format, as in ``trained_network.load_network``.

    Raises:
        ValueError: if a number is out of range or a name is unknown.

    Home section: *What fails*.
    """

    frames: int = 8
    copies: tuple[int, ...] = (1, 4, 16, 64, 256)
    trained_frames: int = 8
    weights: str = "packaged"
    preset: str = "mini"
    scene_seed: int = 0
    storage: str = "float32"

    def __post_init__(self) -> None:
        check_network(self.weights, self.preset, self.storage)
        _check(self.frames, self.copies)
        reference_bias(self.frames, self.trained_frames)  # refuses what is no number of frames


def _check(frames: int, copies: tuple[int, ...]) -> None:
    if frames < 2 or sorted({1, *copies}) != list(copies):
        raise ValueError(
            "frames must be at least 2 and copies ascend from 1, got "
            f"{frames} and {copies}: use for example 8 and (1, 16, 256)"
        )


CANARY = Config(
    frames=3,
    copies=(1, 5),
    trained_frames=2,
    weights="seed:0",
    preset="tiny",
    storage="float64",
)
# Float64 on another processor, through two layers; angles near zero are roots of rounding.
CANARY_TOLERANCE = 1e-6


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure an orbit with the network of the settings.

    Home section: *What fails*.
    """
    network = load_network(config.weights, config.preset, storage=config.storage, device=device)
    dtype = torch.float64 if config.storage == "float64" else torch.float32
    settings = SceneSettings(image_size(config.preset), device, dtype)
    images = orbit_scene(config.frames, config.scene_seed, settings).images
    arrays = measure_copies(
        network,
        images,
        copies=config.copies,
        trained_frames=config.trained_frames,
        report=report,
    )
    facts = numerics(config.storage, config.weights, scene=config.scene_seed)
    return _measurement(arrays, facts)


@torch.inference_mode()
def measure_copies(
    network: VGGT,
    images: Tensor,
    *,
    copies: tuple[int, ...],
    trained_frames: int,
    report: Report = silent,
) -> dict[str, np.ndarray]:
    """How far a reconstruction moves from that of the frames shown once.

    Args:
        network: The network, on any device.
        images: Pixels in [0, 1], ``[frame 3 height width]``, the reference frame first.
        copies: How often each later frame is shown, ascending from 1.
        trained_frames: Most frames of a scene in training; 24 for VGGT-1B.
        report: Told what begins.

    Returns:
        Arrays by name. ``copies``; ``frames``, the number that they amount to; ``treatments``,
        without the reference bias of that number and with it; for each treatment and number of
        copies the mean moves named in ``MOVES``, and ``reference_mass`` by layer.

    Raises:
        ValueError: There is one image, or the copies do not ascend from 1.

    Home section: *What fails*.
    """
    _check(len(images), copies)
    frames = [1 + count * (len(images) - 1) for count in copies]
    shape = (len(TREATMENTS), len(copies))
    arrays = {name: np.zeros(shape) for name in MOVES}
    masses = np.zeros((*shape, network.config.aggregator.depth))
    first, _ = _passed(network, images, 0.0)
    for treatment, place in np.ndindex(shape):
        report(f"{TREATMENTS[treatment]}, {copies[place]} copies")
        cure = treatment * reference_bias(frames[place], trained_frames)
        said, mass = _passed(network, images, cure - math.log(copies[place]))
        masses[treatment, place] = mass
        for name, value in _moves(said, first).items():
            arrays[name][treatment, place] = value
    counts = {"copies": np.array(copies), "frames": np.array(frames)}
    return {**counts, "treatments": np.array(TREATMENTS), **arrays, "reference_mass": masses}


def _passed(network: VGGT, images: Tensor, bias: float) -> tuple[Geometry, np.ndarray]:
    """A reconstruction under a bias, camera head included, and the reference's mass by layer."""
    sizes = network.config.aggregator
    mass = np.zeros((sizes.depth, sizes.heads))
    patches = math.prod(side // sizes.patch_size for side in images.shape[-2:])
    per_frame = 1 + sizes.registers + patches
    watch = watch_mass(mass, tokens_per_frame=per_frame, bias=bias, scale=1.0, rows=MASS_ROWS)
    said = network.reconstruct(
        images, reducer=AdjustedScores(bias=bias), camera_bias=bias, observe=watch
    )
    parts = (said.points, said.depth, said.world_to_camera)
    return Geometry(*(tensor[0].double() for tensor in parts)), mass.mean(-1)


def _moves(said: Geometry, first: Geometry) -> dict[str, float]:
    moved = frame_errors(said, first)
    unit = first.points[0].norm(dim=-1).mean()
    return {
        "points": (moved.points.mean() / unit).item(),
        "depth": moved.depth.mean().item(),
        "rotation": moved.rotation[1:].mean().item(),
        "centre": (moved.centre[1:].mean() / unit).item(),
    }


def _measurement(arrays: dict[str, np.ndarray], facts: Mapping[str, object]) -> Measurement:
    grid = ("treatment", "copies")
    axes = dict.fromkeys(MOVES, grid) | {"reference_mass": (*grid, "layer")}
    axes |= {"copies": ("copies",), "frames": ("copies",), "treatments": ("treatment",)}
    units = dict.fromkeys(axes, "1") | MOVES | {"frames": "frame"}
    return Measurement(arrays, axes, units, facts)


def copies_record(
    network: VGGT,
    images: Tensor,
    *,
    what: str,
    weights: str,
    copies: tuple[int, ...] = Config.copies,
    trained_frames: int = 24,
    report: Report = silent,
) -> records.Record:
    """A record of ``measure_copies``, which ``records.save`` writes as two files.

    Of the images it holds their number and size, nothing of what they show or where they lie.

    Args:
        network: As in ``measure_copies``.
        images: As in ``measure_copies``.
        what: Name of the record, lower-case words joined by underscores, for example ``kitchen``.
        weights: Where the weights come from, for example ``facebook/VGGT-1B``.
        copies: As in ``measure_copies``.
        trained_frames: As in ``measure_copies``.
        report: As in ``measure_copies``.

    Raises:
        ValueError: As in ``measure_copies``, or ``what`` is not such a name.

    Home section: *What fails*.
    """
    records.check_name("what", what)
    options = {"copies": copies, "trained_frames": trained_frames}
    measurement = _measurement(
        measure_copies(network, images, **options, report=report),
        network_numerics(network, {}),
    )
    return record_of_images(
        network,
        images,
        measurement,
        experiment="photograph_copies",
        what=what,
        revision=REVISION,
        settings={"weights": weights, **options},
        command=f"copies_record(network, images, what={what!r}, weights={weights!r}, ...)",
        canary=_canary(),
    )


def _canary() -> records.Canary:
    values = canary_values(run(CANARY, device="cpu"))
    return records.Canary(dataclasses.asdict(CANARY), values, CANARY_TOLERANCE)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every number over treatments, copies and layers.

    Home section: *What fails*.
    """
    names = (*MOVES, "reference_mass")
    return {name: float(measurement.arrays[name].mean()) for name in names}

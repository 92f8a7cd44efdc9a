"""Errors of trained networks against the number of frames, under several treatments.

What the experiments on many frames share. Every network, scene, treatment and number of frames is
kept by itself, and all treatments see the same scenes, so that a reader of the record can take
means, standard errors and paired differences.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from attention_collapse.experiments.error_scenes import ErrorScene, SceneSettings
from attention_collapse.experiments.error_slopes import error_slopes
from attention_collapse.experiments.experiment import Measurement, Report
from attention_collapse.experiments.trained_network import (
    SIZES,
    check_network,
    image_size,
    load_network,
    numerics,
    trained_layout,
    weights_facts,
)
from attention_collapse.experiments.treatments import Treatment, find_treatment, reconstruct
from attention_collapse.measure.reconstruction_errors import (
    Geometry,
    aligned,
    centre_spread,
    frame_errors,
    relative_pose_accuracy,
)
from attention_collapse.measure.reference_mass import reference_mass
from attention_collapse.vggt import VGGT, Watch, reference_bias

FIRST_FRAMES = 8
"""Frames of which errors are kept beside those of all frames."""

_ERRORS = {"points": "1", "depth": "1", "rotation": "degree", "centre": "1"}
QUANTITIES = {
    f"{kind}{name}": unit for kind in ("", "aligned_", "first_") for name, unit in _ERRORS.items()
} | {"pose_accuracy": "1", "spread_ratio": "1"}
"""What is kept of every reconstruction, and its unit; lengths in units of the first frame's mean
distance. Rotation and centre leave the reference frame out; ``aligned_`` is after the similarity
that brings the points closest, ``first_`` the mean over the first eight frames."""

SLOPED = ("points", "aligned_points", "rotation", "centre")
"""Errors whose growth is measured."""

TINY_STUDY = {
    "treatments": ("none", "bias"),
    "weights": ("seed:0",),
    "trained_frames": (2,),
    "preset": "tiny",
    "scene_seeds": (0,),
    "storage": "float64",
    "mass_rows": 8,
}
"""Settings that the small run of every study starts from."""

# Float64 on another processor, through two layers; angles near zero are roots of rounding.
STUDY_TOLERANCE = 1e-6

_AXES = ("weights", "scene", "treatment", "frame_count")


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """Settings of a study.

    Attributes:
        frames: numbers of frames, ascending, each the first frames of every scene.
        treatments: names, as in ``treatments``; growth in excess is that of the first over the
            second.
        weights: networks: ``packaged``, ``seed:0`` or files, as in
            ``trained_network.load_network``; one for each seed of training.
        trained_frames: most frames of a scene in training, of each network or of all.
        preset: name of the networks' sizes.
        scene_seeds: one for each scene; training uses none below 2**30.
        storage: ``float64``, ``float32``, or ``bfloat16`` for the linear maps, queries and keys.
        mass_rows: queries over which the mass on the reference frame is averaged, in the first
            scene; 0 leaves it out.

    Raises:
        ValueError: if a number is out of range or a name is unknown.

    Home section: *What fails*.
    """

    frames: tuple[int, ...] = (2, 4, 8, 16)
    treatments: tuple[str, ...] = ("none", "bias")
    weights: tuple[str, ...] = ("packaged",)
    trained_frames: tuple[int, ...] = (8,)
    preset: str = "mini"
    scene_seeds: tuple[int, ...] = (0, 1)
    storage: str = "float32"
    mass_rows: int = 1024

    def __post_init__(self) -> None:
        for weights in self.weights:
            check_network(weights, self.preset, self.storage)
        for name in self.treatments:
            find_treatment(name)
        if sorted(set(self.frames)) != list(self.frames) or min(self.frames) < 2:
            raise ValueError(f"frames must ascend from 2 or more, got {self.frames}: sort them")
        if len(set(self.scene_seeds)) < len(self.scene_seeds) or self.mass_rows < 0:
            raise ValueError(
                "scene_seeds must differ and mass_rows be at least 0, got "
                f"{self.scene_seeds} and {self.mass_rows}: use for example (0, 1) and 1024"
            )
        if len(self.trained_frames) not in (1, len(self.weights)) or min(self.trained_frames) < 1:
            raise ValueError(
                "trained_frames must hold one number for all weights or one for each, from 1 on, "
                f"got {self.trained_frames} for {len(self.weights)} weights: name each"
            )

    def trained(self, network: int) -> int:
        """Most frames of a scene in the training of a network."""
        return self.trained_frames[network if len(self.trained_frames) > 1 else 0]

    def reference_bias(self, frames: int, trained_frames: int) -> float:
        """What ``bias`` adds to the scores of the reference frame's keys."""
        return reference_bias(frames, trained_frames)


Film = Callable[[int, int, SceneSettings], ErrorScene]
"""Renders frames of the scene of a seed."""


def measure_errors(config: StudyConfig, film: Film, *, device: str, report: Report) -> Measurement:
    """Measure the errors of every network, scene, treatment and number of frames.

    Args:
        config: Settings.
        film: Renders a scene.
        device: Where the networks run.
        report: Told what begins.

    Home section: *What fails*.
    """
    names = config.treatments
    shape = [len(each) for each in (config.weights, config.scene_seeds, names, config.frames)]
    arrays = {name: np.full(shape, np.nan) for name in QUANTITIES}
    networks = [
        load_network(weights, config.preset, storage=config.storage, device=device)
        for weights in config.weights
    ]
    depth, heads = SIZES[config.preset].aggregator.depth, SIZES[config.preset].aggregator.heads
    masses = np.full((shape[0], shape[2], shape[3], depth, heads), np.nan)
    settings = SceneSettings(image_size(config.preset), device, _dtype(config.storage))
    for number, seed in enumerate(config.scene_seeds):
        report(f"scene {number + 1} of {len(config.scene_seeds)}")
        scene = film(max(config.frames), seed, settings)
        for place in np.ndindex(shape[0], shape[2], shape[3]):
            network, name, frames = networks[place[0]], names[place[1]], config.frames[place[2]]
            run = _Run(network, config, frames, config.trained(place[0]), find_treatment(name))
            mass = masses[place] if number == 0 and config.mass_rows else None
            for quantity, value in run.errors(scene, mass).items():
                arrays[quantity][place[0], number, *place[1:]] = value
    return _measurement(config, arrays, masses)


@dataclasses.dataclass(frozen=True)
class _Run:
    """One network, treated, on a number of frames."""

    network: VGGT
    config: StudyConfig
    frames: int
    trained_frames: int
    treatment: Treatment

    @torch.inference_mode()
    def errors(self, scene: ErrorScene, mass: np.ndarray | None) -> dict[str, float]:
        """The errors on a scene; ``mass`` ``[layer head]`` is filled, if it is given."""
        layout = trained_layout(self.config.preset, self.frames)
        bias = self.config.reference_bias(self.frames, self.trained_frames)
        reducer = self.treatment.reducer(layout, reference=bias, trained_frames=self.trained_frames)
        observe = None
        if mass is not None and self.treatment.whole:
            observe = watch_mass(
                mass,
                tokens_per_frame=layout.per_frame,
                bias=self.treatment.score_bias(layout, bias),
                scale=self.treatment.score_scale(layout, self.trained_frames),
                rows=self.config.mass_rows,
            )
        images = scene.images[: self.frames]
        said = reconstruct(self.network, images, self.treatment, reducer=reducer, observe=observe)
        true = scene.true(self.frames)
        judged = Geometry(*(tensor[: len(true.depth)].double() for tensor in vars(said).values()))
        return judge(judged, Geometry(*(tensor.double() for tensor in vars(true).values())))


def judge(said: Geometry, true: Geometry) -> dict[str, float]:
    """The numbers of ``QUANTITIES`` of one reconstruction; one that is not finite has none.

    Home section: *What fails*.
    """
    if not all(tensor.isfinite().all() for tensor in vars(said).values()):
        return dict.fromkeys(QUANTITIES, float("nan"))
    raw, best = frame_errors(said, true), frame_errors(aligned(said, true), true)
    numbers = {}
    for name in _ERRORS:
        start = 1 if name in ("rotation", "centre") else 0
        numbers[name] = getattr(raw, name)[start:].mean()
        numbers[f"aligned_{name}"] = getattr(best, name).mean()
        numbers[f"first_{name}"] = getattr(raw, name)[start:FIRST_FRAMES].mean()
    numbers["pose_accuracy"] = relative_pose_accuracy(said.world_to_camera, true.world_to_camera)
    spreads = (centre_spread(each.world_to_camera) for each in (said, true))
    numbers["spread_ratio"] = torch.div(*spreads)
    return {name: value.item() for name, value in numbers.items()}


def watch_mass(
    mass: np.ndarray, *, tokens_per_frame: int, bias: float, scale: float, rows: int
) -> Watch:
    """An observer that fills ``mass`` ``[layer head]`` with the mass on the reference frame.

    The scores of the network are multiplied by ``scale``; the rest is as in ``reference_mass``.

    Home section: *What fails*.
    """
    kept: dict[str, Tensor] = {}

    def take(name: str, tensor: Tensor) -> None:
        _, layer, _, part = name.split(".")
        if part == "query":
            kept["query"] = tensor
            return
        options = {"tokens_per_frame": tokens_per_frame, "bias": bias, "rows": rows}
        share = reference_mass(scale * kept.pop("query")[0], tensor[0], **options)
        mass[int(layer)] = share.cpu().numpy()

    points = ("query", "key")
    names = {f"global.{layer:02d}.attention.{n}" for layer in range(len(mass)) for n in points}
    return Watch(frozenset(names), take)


def _dtype(storage: str) -> torch.dtype:
    return torch.float64 if storage == "float64" else torch.float32


def _measurement(
    config: StudyConfig, arrays: dict[str, np.ndarray], masses: np.ndarray
) -> Measurement:
    frames = np.array(config.frames)
    growth = _growth(arrays, frames) if len(frames) > 1 else {}
    names = {
        "frames": (frames, ("frame_count",), "frame"),
        "treatments": (np.array(config.treatments), ("treatment",), "1"),
        "scene_seeds": (np.array(config.scene_seeds), ("scene",), "1"),
        "weights": (np.array(config.weights), ("weights",), "1"),
        "reference_mass": (masses, ("weights", *_AXES[2:], "layer", "head"), "1"),
    }
    names |= {key: (arrays[key], _AXES, unit) for key, unit in QUANTITIES.items()}
    names |= growth
    columns = [
        dict(zip(names, column, strict=True)) for column in zip(*names.values(), strict=True)
    ]
    facts = numerics(config.storage, config.weights[0], scenes=config.scene_seeds)
    facts["weights"] = [weights_facts(weights) for weights in config.weights]
    return Measurement(*columns, facts)


def _growth(arrays: dict[str, np.ndarray], frames: np.ndarray) -> dict[str, tuple]:
    """Slopes of the errors of every treatment, and of the excess of the first over the second."""
    found = {}
    for name in SLOPED:
        rows = np.moveaxis(arrays[name], 2, 0)
        slopes = [np.stack(list(vars(error_slopes(row, frames)).values()), -1) for row in rows]
        axes = ("treatment", "window", "estimate")
        found[f"{name}_slope"] = (np.stack(slopes), axes, "1")
        if len(rows) > 1:
            excess = error_slopes(rows[0] - rows[1], frames)
            stacked = np.stack(list(vars(excess).values()), -1)
            found[f"{name}_excess_slope"] = (stacked, axes[1:], "1")
    return found


def study_means(measurement: Measurement) -> dict[str, float]:
    """The mean of every quantity and of the mass over everything, by treatment.

    Home section: *What fails*.
    """
    treatments = measurement.arrays["treatments"]
    means = {}
    for index, treatment in enumerate(treatments):
        for name in QUANTITIES:
            means[f"{name} of {treatment}"] = float(measurement.arrays[name][:, :, index].mean())
        mass = measurement.arrays["reference_mass"][:, index]
        if np.isfinite(mass).all():
            means[f"reference_mass of {treatment}"] = float(mass.mean())
    return means

"""The rank profile of a trained network over depth and frames, of several scenes.

What ``orbit_frames`` and ``walk_frames`` share: every global layer and head of every scene and
number of frames is measured by the passage of ``rank_profile``, and kept scene by scene, so that a
reader of the record can take means, standard errors and paired differences.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from attention_collapse.experiments.experiment import Measurement, Report
from attention_collapse.experiments.layer_arrays import AXES, UNITS, layer_arrays
from attention_collapse.experiments.layer_passage import LayerPassage, advance_all
from attention_collapse.experiments.layer_steps import LayerSteps
from attention_collapse.experiments.scene_passage import Steps, scene_passage
from attention_collapse.experiments.scratch import Memory, Scratch, open_store
from attention_collapse.experiments.trained_network import (
    SIZES,
    check_network,
    image_size,
    load_network,
    numerics,
    trained_layout,
    weights_facts,
)
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import QUANTILES
from attention_collapse.measure.observe import Spectra
from attention_collapse.scenes import Scene
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import VGGT, Aggregator

VARIANCES = 32
"""Leading eigenvalues of the token covariance that a record keeps."""


@dataclasses.dataclass(frozen=True)
class ProfileConfig:
    """Settings of a profile.

    Attributes:
        frames: numbers of frames, each the first frames of every scene, two or more.
        weights: ``packaged``, ``seed:0`` or a file, as in ``trained_network.load_network``.
        preset: name of the network's sizes.
        scene_seeds: one for each scene; training uses none below 2**30.
        storage: ``float64``, ``float32``, or ``bfloat16`` for the linear maps, queries and keys.
        frame_chunk: frames at a time in all that is done frame by frame.
        singular_values: leading singular values of each head.
        layers_per_command: layers that one command measures; 0 for all.

    Raises:
        ValueError: if a number is out of range or a name is unknown.

    Home section: *Does it collapse?*.
    """

    frames: tuple[int, ...] = (2, 4, 8)
    weights: str = "packaged"
    preset: str = "mini"
    scene_seeds: tuple[int, ...] = (0, 1)
    storage: str = "float32"
    frame_chunk: int = 64
    singular_values: int = 8
    layers_per_command: int = 0

    def __post_init__(self) -> None:
        check_network(self.weights, self.preset, self.storage)
        if min(self.frames, default=0) < 2 or self.frame_chunk < 1 or self.layers_per_command < 0:
            raise ValueError(
                "frames must be at least 2, frame_chunk at least 1 and layers_per_command at least "
                f"0, got {self.frames}, {self.frame_chunk} and {self.layers_per_command}: "
                "layers_per_command 0 measures all layers at once"
            )
        if not self.scene_seeds or len(set(self.scene_seeds)) < len(self.scene_seeds):
            raise ValueError(
                f"scene_seeds must name scenes, each once, got {self.scene_seeds}: "
                "use for example (0, 1)"
            )
        fewest = trained_layout(self.preset, min(self.frames)).count
        most = min(fewest, streaming.singular_values.PROBES)
        if not 2 <= self.singular_values <= most:
            raise ValueError(
                f"singular_values must be from 2 to {most}, the tokens of the fewest frames or the "
                f"columns of the search, got {self.singular_values}: ask for fewer"
            )

    @property
    def depth(self) -> int:
        """Number of global layers."""
        return SIZES[self.preset].aggregator.depth

    @property
    def heads(self) -> tuple[int, ...]:
        """All heads."""
        return tuple(range(SIZES[self.preset].aggregator.heads))


Film = Callable[..., Scene]
"""Renders the first frames of the scene of a seed, as ``scenes.orbit`` does."""


@dataclasses.dataclass(frozen=True)
class Route:
    """A way of the tokens through a network.

    Attributes:
        steps: gives the layers, from the network and from where the tokens sit.
        depth: number of layers.

    Home section: *Does it collapse?*.
    """

    steps: Callable[[Aggregator, TokenLayout], Steps]
    depth: int


def measure_profile(
    config: ProfileConfig,
    film: Film,
    *,
    routes: Mapping[str, Route] | None = None,
    axes: Mapping[str, int] | None = None,
    task: str,
    revision: int,
    device: str,
    report: Report,
    progress: streaming.Progress,
    scratch: Path | None,
) -> Measurement:
    """Measure every layer of every scene for every number of frames, or go on doing so.

    Args:
        config: Settings.
        film: Renders a scene.
        routes: Ways through the network, by names for the scratch folder; ``None`` for the layers
            as they are.
        axes: How the routes are laid out: the first axes of every array, and their sizes.
        task: What ``progress`` is told.
        revision: Of the experiment.
        device: Where the network runs.
        report: Told what begins.
        progress: Told after each layer.
        scratch: Folder that keeps what is finished.

    Raises:
        ValueError: if layers are counted out to commands that share no folder, or the folder
            belongs to other settings.
        Unfinished: if layers are left to further commands.

    Home section: *Does it collapse?*.
    """
    facts = {"weights": weights_facts(config.weights)}
    store = open_store(config, scratch, revision=revision, device=device, inputs=facts)
    network = lazy_network(config, device, report)
    chosen = routes or {"whole": Route(_layers(config), config.depth)}
    groups = [
        [
            scene_passage(
                f"{name}_scene_{seed}_{frames:04d}_frames",
                filmed(config, film, seed, frames, device, report),
                functools.partial(_steps, route, network, trained_layout(config.preset, frames)),
                trained_layout(config.preset, frames),
                depth=route.depth,
                heads=config.heads,
                spectra=Spectra(count=config.singular_values),
                device=device,
                progress=progress,
            )
            for frames in config.frames
        ]
        for name, route in chosen.items()
        for seed in config.scene_seeds
    ]
    every = [passage for passages in groups for passage in passages]
    advance_all(every, store, layers=config.layers_per_command, task=task, progress=progress)
    leading = {**(axes or {}), "scene": len(config.scene_seeds)}
    return _measurement(config, stacked(groups, store, *leading.values()), tuple(leading))


def _layers(config: ProfileConfig) -> Callable[[Aggregator, TokenLayout], Steps]:
    return functools.partial(LayerSteps, frame_chunk=config.frame_chunk)


def _steps(route: Route, network: Callable[[], VGGT], layout: TokenLayout) -> Steps:
    return route.steps(network().aggregator, layout)


def _measurement(
    config: ProfileConfig, results: dict[str, np.ndarray], leading: tuple[str, ...]
) -> Measurement:
    lists = {
        "frames": ("frame_count", config.frames),
        "scene_seeds": ("scene", config.scene_seeds),
        "heads": ("head", config.heads),
        "quantiles": ("quantile", QUANTILES),
    }
    axes = {name: _axes(name, leading) for name in results}
    return Measurement(
        results | {name: np.array(values) for name, (_, values) in lists.items()},
        axes | {name: (axis,) for name, (axis, _) in lists.items()},
        {name: UNITS.get(name, "1") for name in (*results, *lists)},
        numerics(config.storage, config.weights, scene=config.scene_seeds),
    )


def _axes(name: str, leading: tuple[str, ...]) -> tuple[str, ...]:
    if name == "token_variances":
        return (*leading, "frame_count", "layer", "direction")
    renamed = {"spectrum_layer": "layer"}
    return (*leading, *(renamed.get(axis, axis) for axis in AXES[name]))


def lazy_network(config: ProfileConfig, device: str, report: Report) -> Callable[[], VGGT]:
    """The network, loaded when it is first called for.

    Home section: *Does it collapse?*.
    """

    @functools.cache
    def network() -> VGGT:
        report(f"weights {config.weights} of the network {config.preset}")
        return load_network(config.weights, config.preset, storage=config.storage, device=device)

    return network


def filmed(
    config: ProfileConfig, film: Film, seed: int, frames: int, device: str, report: Report
) -> Callable[[], torch.Tensor]:
    """What renders the images of a scene when it is called.

    Home section: *Does it collapse?*.
    """

    def images() -> torch.Tensor:
        report(f"rendering {frames} frames of scene {seed}")
        dtype = torch.float64 if config.storage == "float64" else torch.float32
        size = image_size(config.preset)
        return film(frames, image_size=size, seed=seed, device=device, dtype=dtype).images

    return images


def stacked(
    groups: Sequence[Sequence[LayerPassage]], store: Scratch | Memory, *sizes: int
) -> dict[str, np.ndarray]:
    """Results of passages by group and number of frames, every layer with its spectrum.

    Args:
        groups: Passages of all numbers of frames, by group.
        store: Where they were measured.
        sizes: How the groups are laid out, along the first axes of every array.

    Home section: *Does it collapse?*.
    """
    rows = [[passage.results(store) for passage in passages] for passages in groups]
    layers = range(groups[0][0].depth)
    arrays = [layer_arrays(row, layers) for row in rows]
    results = {name: np.stack([each[name] for each in arrays]) for name in arrays[0]}
    variances = [[[s["variances"][:VARIANCES].numpy() for s in r] for r in row] for row in rows]
    results["token_variances"] = np.array(variances)
    return {name: array.reshape(*sizes, *array.shape[1:]) for name, array in results.items()}


def with_lists(
    measurement: Measurement, lists: Mapping[str, tuple[str, Sequence[str | int]]]
) -> Measurement:
    """A measurement with lists of what stands along some axes, each by its name and its axis.

    Home section: *Does it collapse?*.
    """
    arrays = {name: np.array(values) for name, (_, values) in lists.items()}
    return dataclasses.replace(
        measurement,
        arrays=dict(measurement.arrays) | arrays,
        axes=dict(measurement.axes) | {name: (axis,) for name, (axis, _) in lists.items()},
        units=dict(measurement.units) | dict.fromkeys(lists, "1"),
    )


def canary_means(measurement: Measurement) -> dict[str, float]:
    """The mean of every array, where it is a number.

    Home section: *Does it collapse?*.
    """
    return {
        name: float(np.nanmean(array))
        for name, array in measurement.arrays.items()
        if array.dtype.kind != "U" and np.isfinite(array).any()
    }

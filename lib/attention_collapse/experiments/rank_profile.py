"""The rank profile over depth and frames: every global layer of a random VGGT, streamed.

Rendered frames pass through the alternating attention of VGGT with weights that nobody trained,
two of them or a thousand. Every global layer gives the entropy of its rows, its norms, where its
mass falls among frames and tokens, and the geometry of its tokens; chosen layers give their
leading singular values and ranks too. The attention matrix is never written down. Beside what is
measured stand the closed forms for Gaussian tokens of the same covariances. With a scratch folder
a run can be split into commands of a few layers, and goes on where it was stopped or killed.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse import scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.layer_arrays import AXES, UNITS, layer_arrays
from attention_collapse.experiments.layer_passage import LayerPassage, advance_all
from attention_collapse.experiments.layer_steps import (
    LayerSteps,
    check_storage,
    random_network,
    spaced_heads,
)
from attention_collapse.experiments.scene_passage import scene_passage
from attention_collapse.experiments.scratch import open_store
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import QUANTILES
from attention_collapse.measure.observe import Spectra
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig

REVISION = 1

SCENES = {"orbit": scenes.orbit, "walk": scenes.walk}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment; VGGT has width 1024, depth 24, 16 heads, images of 392 x 518.

    Attributes:
        frames: numbers of frames, each the first frames of one scene, two or more.
        scene: ``orbit``, where all frames overlap, or ``walk``, where only near ones do.
        image_size: height and width, pixels.
        width: token width :math:`C`.
        depth: number of frame and of global layers.
        heads: attention heads.
        observed_heads: how many of them are measured, evenly spaced from the first on; 0 for all.
        layer_scale: factor of every residual branch; VGGT starts training at 0.01.
        storage: ``float64``, ``float32``, or ``bfloat16`` for the linear maps, queries and keys.
        frame_chunk: frames at a time in all that is done frame by frame.
        spectrum_layers: layers whose spectrum is measured, counted from 0.
        singular_values: leading singular values of each.
        energy_ranks: whether to measure the ranks that count energy, at 2.6 times the products.
        layers_per_command: layers that one command measures; 0 for all.
        scene_seed: seed of the scene.
        weight_seed: seed of the weights.

    Raises:
        ValueError: if sizes do not fit each other.

    Home section: *A thousand frames*.
    """

    frames: tuple[int, ...] = (2, 4, 8, 16)
    scene: str = "orbit"
    image_size: tuple[int, int] = (56, 70)
    width: int = 128
    depth: int = 12
    heads: int = 4
    observed_heads: int = 0
    layer_scale: float = 1.0
    storage: str = "float32"
    frame_chunk: int = 16
    spectrum_layers: tuple[int, ...] = (0, 3, 6, 9, 11)
    singular_values: int = 16
    energy_ranks: bool = True
    layers_per_command: int = 0
    scene_seed: int = 0
    weight_seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames) < 2 or self.frame_chunk < 1 or self.layers_per_command < 0:
            raise ValueError(
                "frames must be at least 2, frame_chunk at least 1 and layers_per_command at least "
                f"0, got {self.frames}, {self.frame_chunk} and {self.layers_per_command}: "
                "layers_per_command 0 measures all layers at once"
            )
        if self.scene not in SCENES:
            raise ValueError(
                f"scene must be one of {', '.join(SCENES)}, got {self.scene!r}: an orbit's frames "
                "all overlap, a walk's only nearby ones"
            )
        check_storage(self.storage)
        self.sizes()  # refuses sizes that do not fit each other
        spaced_heads(self.heads, self.observed_heads)
        self._check_spectra()

    def sizes(self) -> AggregatorConfig:
        """Sizes of the network."""
        return AggregatorConfig(
            width=self.width, depth=self.depth, heads=self.heads, layer_scale=self.layer_scale
        )

    def layout(self, frames: int) -> TokenLayout:
        """Where each token of so many frames sits."""
        return TokenLayout.from_image(frames, *self.image_size)

    def spectra(self) -> Spectra:
        """What is measured of the spectrum, and of which layers."""
        layers = frozenset(f"global.{layer:02d}" for layer in self.spectrum_layers)
        return Spectra(layers, count=self.singular_values, energy=self.energy_ranks)

    def _check_spectra(self) -> None:
        layers, fewest = self.spectrum_layers, self.layout(min(self.frames)).count
        if sorted(set(layers)) != list(layers) or not set(layers) <= set(range(self.depth)):
            raise ValueError(
                f"spectrum_layers must ascend from 0 to at most {self.depth - 1}, got {layers}: "
                "name layers that exist, each once"
            )
        most = min(fewest, streaming.singular_values.PROBES)
        if not 2 <= self.singular_values <= most:
            raise ValueError(
                f"singular_values must be from 2 to {most}, the tokens of the fewest frames or the "
                f"columns of the search, got {self.singular_values}: ask for fewer"
            )


CANARY = Config(
    frames=(2, 3),
    image_size=(28, 42),
    width=32,
    depth=2,
    heads=2,
    storage="float64",
    spectrum_layers=(1,),
    singular_values=4,
)
# Float64 sums in another order through two layers; the participation ratio and the effective rank
# of a sampled spectrum amplify the rounding of the leading directions most.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every global layer for every number of frames, or go on doing so.

    Args:
        config: Settings.
        device: Where the network runs.
        report: Told what begins.
        progress: Told after each layer and, of layers that take seconds, each pass.
        scratch: Folder that keeps what is finished; the same settings go on from it.

    Raises:
        ValueError: if layers are counted out to commands that share no folder, or the folder
            belongs to other settings.
        Unfinished: if layers are left to further commands.

    Home section: *A thousand frames*.
    """
    store = open_store(config, scratch, revision=REVISION, device=device)
    network = lazy_network(config, device, report)
    by_frames = passages(config, network, device, report, progress)
    layers, task = config.layers_per_command, f"{config.scene}, layers"
    advance_all(by_frames, store, layers=layers, task=task, progress=progress)
    rows = [passage.results(store) for passage in by_frames]
    results = layer_arrays(rows, config.spectrum_layers) | {
        "frames": np.array(config.frames),
        "spectrum_layers": np.array(config.spectrum_layers),
        "heads": np.array(spaced_heads(config.heads, config.observed_heads)),
        "quantiles": np.array(QUANTILES),
    }
    axes, units = ({name: kind[name] for name in results} for kind in (AXES, UNITS))
    return Measurement(results, axes, units, numerics(config))


def lazy_network(config: Config, device: str, report: Report) -> Callable[[], Aggregator]:
    """The network, made when it is first called for; arguments as those of ``run``.

    Home section: *A thousand frames*.
    """

    @functools.cache
    def network() -> Aggregator:
        report(f"network of width {config.width} and depth {config.depth}")
        options = {"seed": config.weight_seed, "storage": config.storage, "device": device}
        return random_network(config.sizes(), **options)

    return network


def passages(
    config: Config,
    network: Callable[[], Aggregator],
    device: str,
    report: Report,
    progress: streaming.Progress,
) -> list[LayerPassage]:
    """The passage of each number of frames through one network; arguments as those of ``run``.

    Home section: *A thousand frames*.
    """
    return [_passage(config, n, network, device, report, progress) for n in config.frames]


def _render(
    config: Config, frames: int, device: str, report: Report
) -> Float[Tensor, "frame 3 image_height image_width"]:
    """The first frames of the scene."""
    report(f"rendering {frames} frames of the {config.scene}")
    dtype = torch.float64 if config.storage == "float64" else torch.float32
    options = {"image_size": config.image_size, "seed": config.scene_seed}
    return SCENES[config.scene](frames, **options, device=device, dtype=dtype).images


def _passage(
    config: Config,
    frames: int,
    network: Callable[[], Aggregator],
    device: str,
    report: Report,
    progress: streaming.Progress,
) -> LayerPassage:
    layout = config.layout(frames)
    return scene_passage(
        f"{config.scene}_{frames:04d}_frames",
        lambda: _render(config, frames, device, report),
        lambda: LayerSteps(network(), layout, frame_chunk=config.frame_chunk),
        layout,
        depth=config.depth,
        heads=spaced_heads(config.heads, config.observed_heads),
        spectra=config.spectra(),
        device=device,
        progress=progress,
    )


def numerics(config: Config) -> dict[str, object]:
    """Number formats and seeds of a run.

    Home section: *A thousand frames*.
    """
    return {
        "compute_dtype": config.storage,
        "storage_dtype": "float64" if config.storage == "float64" else "float32",
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "seeds": {
            "scene": config.scene_seed,
            "weights": config.weight_seed,
            "singular_values": config.spectra().seed,
        },
    }


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every array over frame counts, layers and heads, where it is a number.

    Home section: *A thousand frames*.
    """
    means = {name: float(np.nanmean(array)) for name, array in measurement.arrays.items()}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: quantities over depth, by number of frames.

    Home section: *A thousand frames*.
    """
    from attention_collapse.figures.measured_profiles import measured_profiles_png

    return measured_profiles_png(arrays)

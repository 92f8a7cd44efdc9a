"""The collapse surface measured: depth and frames, in settings that differ.

Four settings side by side: independent tokens and windows of bounded scores, both under pre-norm
attention with V = I, and rendered orbits and walks in a random VGGT. The first two start close to a
common direction. Every layer gives the statistics of its attention and the geometry of its tokens,
averaged over heads: grids of depth by frames that an explorer lays over the closed form.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from attention_collapse.experiments import frame_count, rank_profile
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.layer_arrays import UNITS, layer_arrays
from attention_collapse.experiments.layer_passage import LayerPassage, advance_all
from attention_collapse.experiments.scratch import open_store
from attention_collapse.experiments.token_ensembles import TokenEnsemble
from attention_collapse.experiments.token_flow import TokenFlow
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import Summary
from attention_collapse.measure.observe import LayerRecorder
from attention_collapse.tokens import TokenLayout

REVISION = 1

SETTINGS = ("independent", "windows", "orbit", "walk")
"""The settings of every record, in order."""

QUANTITIES = (
    "entropy_deficit",
    "distance_from_rank_one",
    "largest_column",
    "mean_cosine",
    "spread",
    "singular_ratio",
    "stable_rank",
)
"""The grids of every record; the last two on spectrum layers only."""


@dataclasses.dataclass(frozen=True)
class Config:
    r"""Settings of the experiment.

    Attributes:
        frames: numbers of frames, two or more.
        depth: number of layers.
        spectrum_layers: layers whose spectrum is measured, counted from 0.
        tokens_per_frame: tokens of a frame of independent tokens and of windows.
        score_deviation: of the scores of independent tokens at the start.
        matches: frames of a window.
        match_score: score of a match in the windows at the start.
        common: what all tokens have in common, over the size of what they have not, at the start.
        step: :math:`\tau`, step of one layer over the initial norm of the tokens.
        image_size: height and width of rendered frames, pixels.
        width: token width of the network; a head has ``width / heads`` dimensions everywhere.
        heads: attention heads of the network.
        observed_heads: how many of them are measured, and independent draws of the other settings,
            as in ``frame_count``.
        layer_scale: factor of every residual branch of the network.
        storage: ``float64``, ``float32`` or ``bfloat16``, as in ``rank_profile``.
        frame_chunk: frames at a time in all that is done frame by frame.
        singular_values: leading singular values that are sought.
        layers_per_command: layers that one command measures; 0 for all.
        seed: of the scenes, the weights and the tokens.

    Raises:
        ValueError: if sizes do not fit each other.

    Home section: *A thousand frames*.
    """

    frames: tuple[int, ...] = (2, 4, 8, 16)
    depth: int = 6
    spectrum_layers: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    tokens_per_frame: int = 25
    score_deviation: float = 1.0
    matches: int = 4
    match_score: float = 6.0
    common: float = 3.0
    step: float = 0.25
    image_size: tuple[int, int] = (56, 70)
    width: int = 64
    heads: int = 2
    observed_heads: int = 0
    layer_scale: float = 1.0
    storage: str = "float32"
    frame_chunk: int = 16
    singular_values: int = 4
    layers_per_command: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.common, self.step) <= 0 or self.layers_per_command < 0:
            raise ValueError(
                "common and step must be positive and layers_per_command at least 0, got "
                f"{self.common}, {self.step} and {self.layers_per_command}: tokens must have "
                "something in common, and a layer must move them"
            )
        self.one_layer()  # refuses sizes that do not fit each other
        self.rendered("orbit")

    def one_layer(self) -> frame_count.Config:
        """The settings without a network at depth zero."""
        names = {field.name for field in dataclasses.fields(frame_count.Config)} - {"layers"}
        return frame_count.Config(**{name: getattr(self, name) for name in names})

    def rendered(self, scene: str) -> rank_profile.Config:
        """The settings of a rendered scene in a network of this depth."""
        return dataclasses.replace(
            self.one_layer().rendered(scene),
            depth=self.depth,
            spectrum_layers=self.spectrum_layers,
        )


CANARY = Config(
    frames=(2, 4),
    depth=2,
    spectrum_layers=(0, 1),
    tokens_per_frame=9,
    image_size=(28, 42),
    width=32,
    storage="float64",
)
# Float64 sums in another order, through two layers and a singular value decomposition.
CANARY_TOLERANCE = 1e-7


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every layer of every setting for every number of frames, or go on doing so.

    Args:
        config: Settings.
        device: Where attention is computed.
        report: Told what begins.
        progress: Told after each layer.
        scratch: Folder that keeps what is finished; the same settings go on from it.

    Raises:
        ValueError: if layers are counted out to commands that share no folder, or the folder
            belongs to other settings.
        Unfinished: if layers are left to further commands.

    Home section: *A thousand frames*.
    """
    store = open_store(config, scratch, revision=REVISION, device=device)
    by_setting = {
        name: [_flow_passage(config, name, ensemble, frames, device) for frames in config.frames]
        for name, ensemble in config.one_layer().ensembles(device, common=config.common).items()
    }
    network = rank_profile.lazy_network(config.rendered("orbit"), device, report)
    for scene in ("orbit", "walk"):
        profile = config.rendered(scene)
        by_setting[scene] = rank_profile.passages(profile, network, device, report, progress)
    every = [passage for passages in by_setting.values() for passage in passages]
    layers = config.layers_per_command
    advance_all(every, store, layers=layers, task="surface, layers", progress=progress)
    grids = [
        _grids(config, [passage.results(store) for passage in by_setting[name]])
        for name in SETTINGS
    ]
    return _measurement(config, {name: np.stack([g[name] for g in grids]) for name in QUANTITIES})


def _flow_passage(
    config: Config, name: str, ensemble: TokenEnsemble, frames: int, device: str
) -> LayerPassage:
    layout = TokenLayout(frames, 1, config.tokens_per_frame, special=0)
    spectra = config.rendered("orbit").spectra()
    flow = TokenFlow(ensemble, config.step, getattr(torch, config.storage))
    return LayerPassage(
        name=f"{name}_{frames:04d}_frames",
        start=lambda: ensemble.first(frames),
        step=flow.step,
        depth=config.depth,
        recorder=functools.partial(LayerRecorder, layout=layout, spectra=spectra),
        device=device,
    )


def _grids(config: Config, rows: list[list[Summary]]) -> dict[str, np.ndarray]:
    """Means over heads by quantity, ``[frame_count layer]``; NaN where there is no spectrum."""
    arrays = layer_arrays(rows, config.spectrum_layers)
    grids = {}
    for name in QUANTITIES:
        values = arrays[name] if arrays[name].ndim == 2 else arrays[name].mean(axis=-1)
        grids[name] = np.full((len(config.frames), config.depth), np.nan)
        measured = slice(None) if values.shape[1] == config.depth else [*config.spectrum_layers]
        grids[name][:, measured] = values
    return grids


def _measurement(config: Config, grids: dict[str, np.ndarray]) -> Measurement:
    return Measurement(
        grids | {"frames": np.array(config.frames), "settings": np.array(SETTINGS)},
        dict.fromkeys(grids, ("setting", "frame_count", "layer"))
        | {"frames": ("frame_count",), "settings": ("setting",)},
        {name: UNITS[name] for name in grids} | {"frames": "frame", "settings": "1"},
        rank_profile.numerics(config.rendered("orbit")) | {"seeds": {"all": config.seed}},
    )


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every quantity over frames and layers, by setting.

    Home section: *A thousand frames*.
    """
    return {
        f"{quantity} of {setting}": float(np.nanmean(grid))
        for quantity in QUANTITIES
        for setting, grid in zip(SETTINGS, measurement.arrays[quantity], strict=True)
    }


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: quantities over depth and frames, by setting.

    Home section: *A thousand frames*.
    """
    from attention_collapse.figures.measured_surface import measured_surface_png

    return measured_surface_png(arrays)

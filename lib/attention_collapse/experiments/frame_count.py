"""One layer of attention against the number of frames, in settings that differ.

Side by side: independent Gaussian tokens of fixed sharpness; windows, in which a bounded number of
frames shows the same points and scores are bounded; and rendered orbits and walks in the first
global layers of a random VGGT. Each quantity stands beside its closed form, where there is one:
the crossover of the entropy, the dilution of matches, the Mehler spectrum.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attention_collapse.experiments import rank_profile
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.scratch import Memory, Scratch, open_store
from attention_collapse.experiments.token_ensembles import TokenEnsemble, independent, windows
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import summarise_attention, summarise_spectrum
from attention_collapse.measure.streaming import StreamedAttention

REVISION = 1

QUANTITIES = {
    "row_entropy": "nat",
    "entropy_deficit": "nat",
    "column_entropy": "nat",
    "largest_column": "1",
    "frobenius_squared": "1",
    "distance_from_rank_one": "1",
    "singular_ratio": "1",
    "stable_rank": "1",
    "match_mass": "1",
}
"""What is measured of every setting, and its unit; mass on matches in the windows only."""

PREDICTED = (
    "entropy_deficit",
    "singular_ratio",
    "stable_rank",
    "distance_from_rank_one",
    "match_mass",
)
"""Quantities that have a closed form in some setting."""

_RENDERED = ("orbit", "walk")
_SEARCH_SEED = 0


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        frames: numbers of frames, ascending, two or more.
        tokens_per_frame: tokens of a frame of independent tokens and of windows.
        score_deviation: of the scores of independent tokens.
        matches: frames of a window.
        match_score: score of a match in the windows.
        layers: first global layers that rendered frames pass.
        image_size: height and width of rendered frames, pixels.
        width: token width of the network; a head has ``width / heads`` dimensions everywhere.
        heads: attention heads of the network, and independent draws of the other settings.
        layer_scale: factor of every residual branch of the network.
        storage: ``float64``, ``float32`` or ``bfloat16``, as in ``rank_profile``.
        frame_chunk: frames at a time in all that is done frame by frame.
        singular_values: leading singular values that are sought.
        seed: of the scenes, the weights and the tokens.

    Raises:
        ValueError: if sizes do not fit each other.

    Home section: *A thousand frames*.
    """

    frames: tuple[int, ...] = (2, 4, 8, 16, 32)
    tokens_per_frame: int = 25
    score_deviation: float = 1.0
    matches: int = 4
    match_score: float = 6.0
    layers: int = 2
    image_size: tuple[int, int] = (56, 70)
    width: int = 128
    heads: int = 2
    layer_scale: float = 1.0
    storage: str = "float32"
    frame_chunk: int = 16
    singular_values: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.tokens_per_frame, self.matches, self.layers) < 1:
            raise ValueError(
                "tokens_per_frame, matches and layers must be at least 1, got "
                f"{self.tokens_per_frame}, {self.matches} and {self.layers}"
            )
        if min(self.score_deviation, self.match_score) <= 0:
            raise ValueError(
                "score_deviation and match_score must be positive, got "
                f"{self.score_deviation} and {self.match_score}: like tokens must attract"
            )
        if self.singular_values > min(self.frames) * self.tokens_per_frame:
            raise ValueError(
                "singular_values must be at most the "
                f"{min(self.frames) * self.tokens_per_frame} tokens of the fewest frames, got "
                f"{self.singular_values}: ask for fewer, or take more tokens_per_frame"
            )
        self.rendered("orbit")  # refuses sizes that do not fit each other

    def rendered(self, scene: str) -> rank_profile.Config:
        """The settings of a rendered scene, every layer with its spectrum."""
        shared = ("frames", "image_size", "width", "heads", "layer_scale", "storage", "frame_chunk")
        return rank_profile.Config(
            **{name: getattr(self, name) for name in (*shared, "singular_values")},
            scene=scene,
            depth=self.layers,
            spectrum_layers=tuple(range(self.layers)),
            energy_ranks=False,
            scene_seed=self.seed,
            weight_seed=self.seed,
        )

    def ensembles(self, device: str, *, common: float = 0.0) -> dict[str, TokenEnsemble]:
        """The settings without a network, their common coordinate if they need one."""
        dtype = torch.float64 if self.storage == "float64" else torch.float32
        shared = {
            "frames": max(self.frames),
            "tokens_per_frame": self.tokens_per_frame,
            "heads": self.heads,
            "dim": self.width // self.heads,
            "common": common,
            "dtype": dtype,
        }
        scores = {"matches": self.matches, "match_score": self.match_score}
        first, second = (torch.Generator(device).manual_seed(self.seed + n) for n in range(2))
        return {
            "independent": independent(
                **shared, score_deviation=self.score_deviation, generator=first
            ),
            "windows": windows(**shared, **scores, generator=second),
        }

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings of the record, in order."""
        rendered = [f"{scene}_{layer}" for scene in _RENDERED for layer in range(self.layers)]
        return ("independent", "windows", *rendered)


CANARY = Config(
    frames=(2, 4),
    tokens_per_frame=9,
    layers=1,
    image_size=(28, 42),
    width=32,
    storage="float64",
    singular_values=4,
)
# Float64 sums in another order, through one layer and a singular value decomposition.
CANARY_TOLERANCE = 1e-7


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure every setting for every number of frames.

    Args:
        config: Settings.
        device: Where attention is computed.
        report: Told what begins.
        progress: Told how far a setting is.
        scratch: Folder that keeps what is finished; the same settings go on from it.

    Raises:
        ValueError: if the folder belongs to other settings.

    Home section: *A thousand frames*.
    """
    store = open_store(config, scratch, revision=REVISION, device=device)
    by_setting = measure_ensembles(config, store, device, progress)
    for scene in _RENDERED:
        by_setting |= _rendered(config, scene, store, device, report, progress)
    measured, predicted = zip(*(by_setting[name] for name in config.settings), strict=True)
    arrays = {name: np.stack([each[name] for each in measured]) for name in QUANTITIES}
    arrays |= {f"predicted_{n}": np.stack([each[n] for each in predicted]) for n in PREDICTED}
    return _measurement(config, arrays)


Table = dict[str, np.ndarray]
"""Arrays ``[frame_count head]`` by quantity."""


def measure_ensembles(
    config: Config, store: Scratch | Memory, device: str, progress: streaming.Progress
) -> dict[str, tuple[Table, Table]]:
    """Measured and predicted quantities of the settings without a network.

    Home section: *A thousand frames*.
    """
    tables = {}
    for name, ensemble in config.ensembles(device).items():
        points = []
        for row, frames in enumerate(config.frames):
            point = f"{name}_{frames:04d}_frames"
            if point not in store:
                store.keep(point, _measure(config, ensemble, frames))
            points.append(store.load(point))
            progress(f"{name}, numbers of frames", row + 1, len(config.frames))
        measured = {n: np.stack([point[n].numpy() for point in points]) for n in QUANTITIES}
        laws = [ensemble.predict(frames) for frames in config.frames]
        shape = (config.heads, 1)
        predicted = {n: np.tile([law.get(n, math.nan) for law in laws], shape).T for n in PREDICTED}
        tables[name] = measured, predicted
    return tables


def _measure(config: Config, ensemble: TokenEnsemble, frames: int) -> dict[str, Tensor]:
    storage = getattr(torch, config.storage)
    heads = ensemble.queries_and_keys(ensemble.first(frames))
    attention = StreamedAttention(*(tensor.to(storage) for tensor in heads))
    generator = torch.Generator(attention.query.device).manual_seed(_SEARCH_SEED)
    summary = summarise_attention(attention) | summarise_spectrum(
        attention, count=config.singular_values, energy=False, generator=generator
    )
    mass = ensemble.match_mass(attention.query, attention.key, attention.rows.log_sum_exp)
    summary["match_mass"] = mass.cpu()
    return {name: summary[name] for name in QUANTITIES}


def _rendered(
    config: Config,
    scene: str,
    store: Scratch | Memory,
    device: str,
    report: Report,
    progress: streaming.Progress,
) -> dict[str, tuple[Table, Table]]:
    """The same of every layer of a rendered scene."""
    profile = config.rendered(scene)
    rows = rank_profile.measure_layers(profile, store, device, report, progress)
    arrays = rank_profile.layer_arrays(rows, profile.spectrum_layers)
    missing = np.full(arrays["row_entropy"].shape, np.nan)
    return {
        f"{scene}_{layer}": (
            {name: arrays.get(name, missing)[:, layer] for name in QUANTITIES},
            {name: arrays.get(f"predicted_{name}", missing)[:, layer] for name in PREDICTED},
        )
        for layer in range(config.layers)
    }


def _measurement(config: Config, arrays: Table) -> Measurement:
    axes = dict.fromkeys(arrays, ("setting", "frame_count", "head"))
    units = QUANTITIES | {f"predicted_{name}": QUANTITIES[name] for name in PREDICTED}
    return Measurement(
        arrays | {"frames": np.array(config.frames), "settings": np.array(config.settings)},
        axes | {"frames": ("frame_count",), "settings": ("setting",)},
        units | {"frames": "frame", "settings": "1"},
        rank_profile.numerics(config.rendered("orbit")) | {"seeds": {"all": config.seed}},
    )


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every quantity over frame counts and heads, by setting, where it is a number.

    Home section: *A thousand frames*.
    """
    names = measurement.arrays["settings"]
    return {
        f"{quantity} of {name}": float(np.nanmean(values))
        for quantity, array in measurement.arrays.items()
        if quantity not in ("frames", "settings")
        for name, values in zip(names, array, strict=True)
        if np.isfinite(values).any()
    }


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: quantities against the number of frames, by setting.

    Home section: *A thousand frames*.
    """
    from attention_collapse.figures.frame_settings import frame_settings_png

    return frame_settings_png(arrays)

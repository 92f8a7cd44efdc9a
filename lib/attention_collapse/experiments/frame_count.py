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

from attention_collapse.experiments import rank_profile
from attention_collapse.experiments.ensemble_points import EnsemblePoints
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.layer_arrays import layer_arrays
from attention_collapse.experiments.layer_passage import advance_all
from attention_collapse.experiments.layer_steps import spaced_heads
from attention_collapse.experiments.scratch import open_store
from attention_collapse.experiments.token_ensembles import TokenEnsemble, independent, windows
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import Summary

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
        heads: attention heads of the network.
        observed_heads: how many of them are measured, evenly spaced from the first on, and how
            many independent draws of the other settings there are; 0 for all.
        layer_scale: factor of every residual branch of the network.
        storage: ``float64``, ``float32`` or ``bfloat16``, as in ``rank_profile``.
        frame_chunk: frames at a time in all that is done frame by frame.
        singular_values: leading singular values that are sought.
        layers_per_command: layers that one command measures; 0 for all. A number of frames of a
            setting without a network is a layer.
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
    observed_heads: int = 0
    layer_scale: float = 1.0
    storage: str = "float32"
    frame_chunk: int = 16
    singular_values: int = 8
    layers_per_command: int = 0
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
        if sorted(set(self.frames)) != list(self.frames):
            raise ValueError(
                f"frames must ascend, got {self.frames}: name each number once, the fewest first"
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
        shared = _setting_names(Config) & _setting_names(rank_profile.Config)
        return rank_profile.Config(
            **{name: getattr(self, name) for name in shared},
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
            "heads": len(self.observed),
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
    def observed(self) -> tuple[int, ...]:
        """The heads of the network that are measured."""
        return spaced_heads(self.heads, self.observed_heads)

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings of the record, in order."""
        rendered = [f"{scene}_{layer}" for scene in _RENDERED for layer in range(self.layers)]
        return ("independent", "windows", *rendered)


def _setting_names(config: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


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
        progress: Told after each layer.
        scratch: Folder that keeps what is finished; the same settings go on from it.

    Raises:
        ValueError: if layers are counted out to commands that share no folder, or the folder
            belongs to other settings.
        Unfinished: if layers are left to further commands.

    Home section: *A thousand frames*.
    """
    store = open_store(config, scratch, revision=REVISION, device=device)
    ensembles = config.ensembles(device)
    points = {
        name: EnsemblePoints(name, each, config.frames, config.storage, config.singular_values)
        for name, each in ensembles.items()
    }
    profiles = [config.rendered(scene) for scene in _RENDERED]
    network = rank_profile.lazy_network(profiles[0], device, report)
    scenes = [rank_profile.passages(each, network, device, report, progress) for each in profiles]
    every = [*points.values(), *(passage for passages in scenes for passage in passages)]
    layers, task = config.layers_per_command, "frame counts, layers"
    advance_all(every, store, layers=layers, task=task, progress=progress)
    tables = [
        _ensemble_tables(config, ensembles[name], points[name].results(store)) for name in points
    ]
    for passages in scenes:
        tables += _rendered_tables(config, [passage.results(store) for passage in passages])
    return _measurement(config, tables)


Table = dict[str, np.ndarray]
"""Arrays ``[frame_count head]`` by quantity."""


def _ensemble_tables(
    config: Config, ensemble: TokenEnsemble, points: list[Summary]
) -> tuple[Table, Table]:
    """Measured and predicted quantities of a setting without a network."""
    measured = {name: np.stack([point[name].numpy() for point in points]) for name in QUANTITIES}
    laws = [ensemble.predict(frames) for frames in config.frames]
    shape = (len(config.observed), 1)
    predicted = {n: np.tile([law.get(n, math.nan) for law in laws], shape).T for n in PREDICTED}
    return measured, predicted


def _rendered_tables(config: Config, rows: list[list[Summary]]) -> list[tuple[Table, Table]]:
    """The same of every layer of a rendered scene."""
    arrays = layer_arrays(rows, range(config.layers))
    missing = np.full(arrays["row_entropy"].shape, np.nan)
    return [
        (
            {name: arrays.get(name, missing)[:, layer] for name in QUANTITIES},
            {name: arrays.get(f"predicted_{name}", missing)[:, layer] for name in PREDICTED},
        )
        for layer in range(config.layers)
    ]


def _measurement(config: Config, tables: list[tuple[Table, Table]]) -> Measurement:
    measured, predicted = zip(*tables, strict=True)
    arrays = {name: np.stack([each[name] for each in measured]) for name in QUANTITIES}
    arrays |= {f"predicted_{n}": np.stack([each[n] for each in predicted]) for n in PREDICTED}
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

r"""What merging does to a network over depth, at random weights.

Rendered frames pass through the alternating attention of VGGT with weights that nobody trained,
once unmerged and once for every way to merge. The groups are those of the first global layer, used
again in all layers. Every global layer shows the spread of the tokens, split into the variance
between and within the groups; the spectrum and the entropy of attention as a matrix between all
tokens; and on the tokens of the unmerged network how much merging slows a contracting head.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse import scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.layer_steps import random_network
from attention_collapse.experiments.merging_layers import (
    SPLIT,
    FixedGroups,
    MergedLayers,
    Tokens,
    contraction,
    variance_split,
)
from attention_collapse.merging.attention import MergeRule
from attention_collapse.merging.grouping import GridGrouping
from attention_collapse.merging.groups import Groups
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig

REVISION = 1

REFERENCES = ("grid", "protected")
"""Roles of the first frame: merged like the others, or kept apart."""
WEIGHTINGS = ("none", "size")
"""Whether keys weigh their sizes."""

_MERGED = ("reference", "weighting", "ratio", "layer")
_SPLIT = ("reference", "ratio", "layer")
AXES = {
    "spread": _MERGED,
    "between": _MERGED,
    "within": _MERGED,
    "update_within": _MERGED,
    "singular_ratio": _MERGED,
    "entropy_deficit": _MERGED,
    "departure": _MERGED,
    "coefficient": _MERGED,
    "predicted_coefficient": _SPLIT,
    "unmerged_between": _SPLIT,
    "unmerged_within": _SPLIT,
    "unmerged_spread": ("layer",),
    "unmerged_singular_ratio": ("layer",),
    "unmerged_entropy_deficit": ("layer",),
    "ratios": ("ratio",),
    "references": ("reference",),
    "weightings": ("weighting",),
}
"""Every result and the names of its axes."""


@dataclasses.dataclass(frozen=True)
class Config:
    r"""Settings of the experiment.

    Attributes:
        frames: number of frames.
        image_size: height and width, pixels.
        width: token width :math:`C`.
        depth: number of frame and of global layers.
        heads: attention heads.
        layer_scale: factor of every residual branch.
        cell: rows and columns of the cells that hold one destination each.
        ratios: shares of all tokens that merging removes.
        sharpness: largest sharpness :math:`a` of the contracting head, below
            :math:`1/\sqrt 2`.
        scene_seed: seed of the scene.
        weight_seed: seed of the weights.

    Raises:
        ValueError: if sizes do not fit each other, a ratio is not in (0, 1) or asks for more
            tokens than may merge, or the sharpness is out of range.

    Home section: *Token merging*.
    """

    frames: int = 8
    image_size: tuple[int, int] = (112, 140)
    width: int = 64
    depth: int = 12
    heads: int = 4
    layer_scale: float = 1.0
    cell: tuple[int, int] = (4, 4)
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75)
    sharpness: float = 0.3
    scene_seed: int = 0
    weight_seed: int = 0

    def __post_init__(self) -> None:
        if not all(0 < ratio < 1 for ratio in self.ratios):
            raise ValueError(f"ratios must be between 0 and 1, got {self.ratios}: such as 0.5")
        if not 0 < self.sharpness < 0.5**0.5:
            raise ValueError(
                f"sharpness must be above 0 and below 1/√2, got {self.sharpness}: such as 0.3"
            )
        for reference in REFERENCES:  # refuses ratios that no grouping can honour
            partition = self.grouping(reference, max(self.ratios)).partition(self.layout)
            partition.merged_tokens(max(self.ratios))
        self.sizes()

    @property
    def layout(self) -> TokenLayout:
        """Where the tokens sit."""
        return TokenLayout.from_image(self.frames, *self.image_size)

    def sizes(self) -> AggregatorConfig:
        """Sizes of the network."""
        return AggregatorConfig(
            width=self.width, depth=self.depth, heads=self.heads, layer_scale=self.layer_scale
        )

    def grouping(self, reference: str, ratio: float) -> GridGrouping:
        """How the groups are made."""
        return GridGrouping(cell=self.cell, ratio=ratio, reference=reference)


CANARY = Config(
    frames=2, image_size=(56, 70), width=16, depth=2, heads=2, cell=(2, 2), ratios=(0.25,)
)
# Float64 sums in another order through two layers and a search for singular values.
CANARY_TOLERANCE = 1e-8


@dataclasses.dataclass(frozen=True)
class _Run:
    """One pass through the network: what its layers showed, and their tokens."""

    layers: MergedLayers
    streams: list[Tokens]


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure every global layer, unmerged and for every way to merge.

    Home section: *Token merging*.
    """
    network = random_network(
        config.sizes(), seed=config.weight_seed, storage="float64", device=device
    )
    scene = scenes.orbit(
        config.frames,
        image_size=config.image_size,
        seed=config.scene_seed,
        device=device,
        dtype=torch.float64,
    )
    with torch.inference_mode():
        tokens = config.layout.count
        alone = Groups.singletons(1, tokens, device=device)
        unmerged = _pass(network, scene.images, alone, MergeRule())
        report("unmerged network measured")
        arrays = _empty(config) | _unmerged_arrays(unmerged)
        for at, groups in _groups(config, unmerged):
            for row, weighting in enumerate(WEIGHTINGS):
                place = at[0], row, at[1]
                rule = MergeRule(weighting)
                merged = _pass(network, scene.images, groups, rule)
                for name, values in _merged_arrays(config, merged, unmerged, groups, rule).items():
                    arrays[name][place] = values
            for name, values in _split_arrays(unmerged, groups).items():
                arrays[name][at] = values
            report(f"reference {REFERENCES[at[0]]}, ratio {config.ratios[at[1]]} measured")
    return _measurement(config, arrays)


def _groups(config: Config, unmerged: _Run) -> Iterator[tuple[tuple[int, int], Groups]]:
    """Groups of the first global layer, by reference and ratio."""
    first = unmerged.layers.tokens[0][None]
    for row, reference in enumerate(REFERENCES):
        for column, ratio in enumerate(config.ratios):
            grouping = config.grouping(reference, ratio)
            yield (row, column), grouping(first, layer=0, layout=config.layout)


def _pass(
    network: Aggregator,
    images: Float[Tensor, "frame 3 image_height image_width"],
    groups: Groups,
    rule: MergeRule,
) -> _Run:
    layers = MergedLayers(FixedGroups(groups), rule)
    streams: list[Tokens] = []

    def watch(name: str, tensor: Tensor) -> None:
        if name.startswith("global.") and name.endswith("attention.output"):
            layers.take_update(tensor)
        elif name.startswith("global.") and name.endswith(".output"):
            streams.append(tensor[0])

    network(images[None], observe=watch, keep=(), reducer=layers)
    return _Run(layers, streams)


def _empty(config: Config) -> dict[str, np.ndarray]:
    lengths = {
        "reference": len(REFERENCES),
        "weighting": len(WEIGHTINGS),
        "ratio": len(config.ratios),
        "layer": config.depth,
    }
    return {
        name: np.empty([lengths[axis] for axis in axes])
        for name, axes in AXES.items()
        if len(axes) > 1
    }


def _unmerged_arrays(unmerged: _Run) -> dict[str, np.ndarray]:
    alone = Groups.singletons(1, len(unmerged.streams[0]), device=unmerged.streams[0].device)
    between = np.array([variance_split(each, alone)["between"] for each in unmerged.streams])
    measured = unmerged.layers.arrays()
    return {
        "unmerged_spread": between**0.5,
        "unmerged_singular_ratio": measured["singular_ratio"],
        "unmerged_entropy_deficit": measured["entropy_deficit"],
    }


def _split_arrays(unmerged: _Run, groups: Groups) -> dict[str, np.ndarray]:
    """The unmerged network's tokens, split by the groups of a merged one."""
    rows = [variance_split(tokens, groups) for tokens in unmerged.streams]
    seen = [variance_split(tokens, groups) for tokens in unmerged.layers.tokens]
    arrays = {f"unmerged_{part}": np.array([row[part] for row in rows]) for part in SPLIT}
    return arrays | {"predicted_coefficient": np.array([row["coefficient"] for row in seen])}


def _merged_arrays(
    config: Config, merged: _Run, unmerged: _Run, groups: Groups, rule: MergeRule
) -> dict[str, np.ndarray]:
    rows = [variance_split(tokens, groups) for tokens in merged.streams]
    arrays = {part: np.array([row[part] for row in rows]) for part in SPLIT}
    arrays["spread"] = (arrays["between"] + arrays["within"]) ** 0.5
    pairs = zip(merged.streams, unmerged.streams, strict=True)
    arrays["departure"] = np.array([_departure(tokens, plain) for tokens, plain in pairs])
    arrays["coefficient"] = np.array(
        [contraction(x, groups, rule, config.sharpness) for x in unmerged.layers.tokens]
    )
    return arrays | merged.layers.arrays()


def _departure(tokens: Tokens, unmerged: Tokens) -> float:
    """Root mean square difference over the root of the variance of the unmerged tokens."""
    return float((tokens - unmerged).norm() / (unmerged - unmerged.mean(0)).norm())


def _measurement(config: Config, arrays: dict[str, np.ndarray]) -> Measurement:
    arrays = arrays | {
        "ratios": np.array(config.ratios),
        "references": np.array(REFERENCES),
        "weightings": np.array(WEIGHTINGS),
    }
    units = {name: "nat" if name.endswith("entropy_deficit") else "1" for name in arrays}
    numerics = {
        "compute_dtype": "float64",
        "storage_dtype": "float64",
        "tf32": False,
        "seeds": {"scene": config.scene_seed, "weights": config.weight_seed},
    }
    return Measurement(arrays, {name: AXES[name] for name in arrays}, units, numerics)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every quantity over layers and ways to merge.

    Home section: *Token merging*.
    """
    return {
        name: float(array.mean())
        for name, array in measurement.arrays.items()
        if AXES[name][-1] == "layer" and name != "update_within"  # which is rounding
    }

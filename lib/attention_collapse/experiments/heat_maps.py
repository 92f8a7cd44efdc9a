"""Attention maps of chosen queries in a trained network, quantised for the page.

For every number of frames, layer and head: the rows of some queries over the first frames of a
scene, the same images whatever the number of frames, and their mass on each; beside them what the
mixture of groups of keys makes of the same rows. The levels are square roots of weights over the
largest of the row, so that small weights stay visible.
"""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse import scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.head_closures import mixture_weights
from attention_collapse.experiments.layer_passage import LayerPassage, advance_all
from attention_collapse.experiments.layer_steps import LayerSteps
from attention_collapse.experiments.scene_passage import scene_passage
from attention_collapse.experiments.scratch import open_store
from attention_collapse.experiments.trained_network import (
    numerics,
    trained_layout,
    weights_facts,
)
from attention_collapse.experiments.trained_profile import (
    ProfileConfig,
    filmed,
    lazy_network,
)
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import Summary
from attention_collapse.measure.observe import Spectra
from attention_collapse.tokens import TokenLayout

REVISION = 1

SCENES = {"orbit": scenes.orbit, "walk": scenes.walk}
LEVELS = 255
"""The level of the largest weight of a row among the shown frames."""

_KINDS = ("", "predicted_")
_MAP = ("frame_count", "layer", "head", "query")
AXES = {
    "maps": (*_MAP, "shown_frame", "slot"),
    "largest": _MAP,
    "predicted_maps": (*_MAP, "shown_frame", "slot"),
    "predicted_largest": _MAP,
    "frame_mass": (*_MAP, "shown_frame"),
    "row_entropy": _MAP,
    "images": ("shown_frame", "pixel_row", "pixel_column", "colour"),
    "queries": ("query", "place"),
    "frames": ("frame_count",),
    "shown_frames": ("shown_frame",),
    "heads": ("head",),
    "grid": ("side",),
}
HEAD_STATISTICS = (
    "entropy_deficit",
    "distance_from_rank_one",
    "stable_rank",
    "singular_ratio",
    "reference_mass",
)
"""What a record says about the whole matrix of a head, as in ``orbit_frames``."""


@dataclasses.dataclass(frozen=True)
class Config(ProfileConfig):
    """Settings of the experiment: those of ``ProfileConfig``, of one scene, and four more.

    Attributes:
        scene: ``orbit`` or ``walk``.
        shown: how many of the first frames the maps show.
        queries: pairs of a frame and a slot in it, as ``TokenLayout`` counts them.
        groups: of keys in the mixture of a head, at any number of frames.

    Raises:
        ValueError: if there are several scenes, the scene is another, a query or a shown frame is
            not among the frames, there are more groups than tokens, or as in ``ProfileConfig``.

    Home section: *Does it collapse?*.
    """

    frames: tuple[int, ...] = (4, 8)
    scene_seeds: tuple[int, ...] = (0,)
    scene: str = "orbit"
    shown: int = 4
    queries: tuple[tuple[int, int], ...] = ((0, 0), (1, 0), (1, 1), (1, 23), (1, 40), (3, 40))
    groups: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.scene_seeds) != 1 or self.scene not in SCENES:
            raise ValueError(
                f"a record shows one scene, which is one of {', '.join(SCENES)}, got "
                f"{self.scene!r} and the seeds {self.scene_seeds}: name one"
            )
        if not 1 <= self.shown <= min(self.frames):
            raise ValueError(
                f"shown must be from 1 to the fewest frames, {min(self.frames)}, got {self.shown}: "
                "the shown frames are the same for all"
            )
        slots = self.layout(min(self.frames)).per_frame
        if not 1 <= self.groups <= min(self.frames) * slots:
            raise ValueError(
                f"groups must be from 1 to the {min(self.frames) * slots} tokens of the fewest "
                f"frames, got {self.groups}: ask for fewer"
            )
        absent = [
            (frame, slot)
            for frame, slot in self.queries
            if not (0 <= frame < min(self.frames) and 0 <= slot < slots)
        ]
        if not self.queries or absent:
            raise ValueError(
                f"queries must be pairs of a frame below {min(self.frames)} and a slot below "
                f"{slots}, got {absent or self.queries}: slot 0 is the camera token"
            )

    def layout(self, frames: int) -> TokenLayout:
        """Where each token of so many frames sits."""
        return trained_layout(self.preset, frames)


CANARY = Config(
    frames=(2, 3),
    weights="seed:0",
    preset="tiny",
    storage="float64",
    singular_values=4,
    shown=2,
    queries=((0, 0), (1, 9)),
    groups=5,
)
# Float64 sums in another order through three blocks, and results in float32; groups of keys are the
# same unless two distances are equal.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure the maps of every layer, head and number of frames; arguments as in ``orbit_frames``.

    Home section: *Does it collapse?*.
    """
    facts = {"weights": weights_facts(config.weights)}
    store = open_store(config, scratch, revision=REVISION, device=device, inputs=facts)
    passages = _passages(config, device, report, progress)
    layers = config.layers_per_command
    advance_all(passages, store, layers=layers, task="maps, layers", progress=progress)
    rows = [passage.results(store) for passage in passages]

    def stacked(name: str) -> np.ndarray:
        return np.array([[summary[name].numpy() for summary in row] for row in rows])

    layout = config.layout(config.shown)
    arrays = {
        **{f"{kind}maps": stacked(f"{kind}maps").astype(np.uint8) for kind in _KINDS},
        **{f"{kind}largest": stacked(f"{kind}largest").astype(np.float32) for kind in _KINDS},
        "frame_mass": stacked("query_frame_mass").astype(np.float32),
        "row_entropy": stacked("query_entropy").astype(np.float32),
        **{name: stacked(name) for name in HEAD_STATISTICS},
        "images": _pixels(config, device),
        "queries": np.array(config.queries),
        "frames": np.array(config.frames),
        "shown_frames": np.arange(config.shown),
        "heads": np.array(config.heads),
        "grid": np.array((layout.rows, layout.columns)),
    }
    units = {"row_entropy": "nat", "entropy_deficit": "nat", "frames": "frame"}
    return Measurement(
        arrays,
        {name: AXES.get(name, _MAP[:3]) for name in arrays},
        {name: units.get(name, "1") for name in arrays},
        numerics(config.storage, config.weights, scene=config.scene_seeds),
    )


def query_maps(
    query: Float[Tensor, "head token dim"],
    key: Float[Tensor, "head token dim"],
    *,
    layout: TokenLayout,
    shown: int,
    queries: tuple[tuple[int, int], ...],
    groups: int,
) -> Summary:
    r"""Rows of some queries: levels on the first frames, as predicted too, masses and entropies.

    A level :math:`l` stands for the weight :math:`w_{\max} (l / 255)^2`, with the largest weight
    of the row among the shown frames; the error is at most :math:`w_{\max} / 255`.

    Args:
        query: Queries after norm and rotation.
        key: Keys.
        layout: Where the tokens sit.
        shown: Frames whose weights are kept.
        queries: Frame and slot of each query.
        groups: Groups of keys in the prediction, see ``mixture_weights``.

    Home section: *Does it collapse?*.
    """
    rows = [frame * layout.per_frame + slot for frame, slot in queries]
    scores = query[:, rows].double() @ key.double().mT / query.shape[-1] ** 0.5
    weights = torch.softmax(scores, dim=-1)
    pairs = zip(query.double().cpu().numpy(), key.double().cpu().numpy(), strict=True)
    predicted = np.stack([mixture_weights(*pair, rows, groups=groups) for pair in pairs])
    seen, expected = (
        kind.unflatten(-1, (layout.frames, layout.per_frame))[..., :shown, :]
        for kind in (weights, torch.from_numpy(predicted))
    )
    return {
        **_quantised(seen, ""),
        **_quantised(expected, "predicted_"),
        "query_frame_mass": seen.sum(-1).cpu(),
        "query_entropy": torch.special.entr(weights).sum(-1).cpu(),
    }


def _quantised(
    weights: Float[Tensor, "head query shown_frame slot"], kind: str
) -> dict[str, Tensor]:
    """Levels of weights on the shown frames, and the largest of each row."""
    largest = weights.amax((-2, -1))
    levels = (LEVELS * (weights / largest[..., None, None]).sqrt()).round()
    return {f"{kind}maps": levels.cpu(), f"{kind}largest": largest.cpu()}


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every result that is not rounded to a level.

    Home section: *Does it collapse?*.
    """
    names = ("largest", "predicted_largest", "frame_mass", "row_entropy", *HEAD_STATISTICS)
    return {name: float(measurement.arrays[name].mean(dtype=float)) for name in names}


def _passages(
    config: Config, device: str, report: Report, progress: streaming.Progress
) -> list[LayerPassage]:
    network = lazy_network(config, device, report)
    film = SCENES[config.scene]

    def passage(frames: int) -> LayerPassage:
        layout = config.layout(frames)
        further = functools.partial(
            query_maps,
            layout=layout,
            shown=config.shown,
            queries=config.queries,
            groups=config.groups,
        )
        return scene_passage(
            f"{config.scene}_{frames:04d}_frames",
            filmed(config, film, config.scene_seeds[0], frames, device, report),
            lambda: LayerSteps(network().aggregator, layout, frame_chunk=config.frame_chunk),
            layout,
            depth=config.depth,
            heads=config.heads,
            spectra=Spectra(count=config.singular_values),
            device=device,
            progress=progress,
            further=further,
        )

    return [passage(frames) for frames in config.frames]


def _pixels(config: Config, device: str) -> np.ndarray:
    """The shown images with a byte for each colour."""
    film, seed = SCENES[config.scene], config.scene_seeds[0]
    images = filmed(config, film, seed, config.shown, device, silent)()
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

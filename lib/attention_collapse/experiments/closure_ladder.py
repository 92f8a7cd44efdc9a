"""Predictions of the attention profile without fitted parameters, beside what is measured.

Rung by rung, for every global layer and head: Gaussian tokens, directions on a sphere, a mixture of
groups, few frames for many, the same with the mass on the reference frame diluted, and the
propagation of the measure at the first block through the weights, with all terms of a layer and
without one of them at a time.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from attention_collapse import scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.head_closures import (
    MIXTURES,
    Prediction,
    gaussian_prediction,
    measure_closures,
    spherical_prediction,
)
from attention_collapse.experiments.layer_passage import LayerPassage, advance_all
from attention_collapse.experiments.layer_steps import LayerSteps
from attention_collapse.experiments.network_arrays import as_arrays, check_scores
from attention_collapse.experiments.scene_passage import scene_passage
from attention_collapse.experiments.scratch import open_store
from attention_collapse.experiments.trained_network import (
    SIZES,
    numerics,
    trained_layout,
    weights_facts,
)
from attention_collapse.experiments.trained_profile import ProfileConfig, filmed, lazy_network
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import Summary
from attention_collapse.measure.observe import Spectra
from attention_collapse.theory import propagate
from attention_collapse.theory.reference_dilution import diluted_deficit
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import VGGT

REVISION = 2

TERMS = {
    "propagated": propagate.Terms(),
    "without_mlp": propagate.Terms(mlp=False),
    "without_frame_attention": propagate.Terms(frame_attention=False),
    "without_own_norm": propagate.Terms(own_norm=False),
}
RUNGS = ("gaussian", "spherical", *MIXTURES, "few_frames", "diluted", *TERMS)
"""The rungs of every record, in order."""

QUANTITIES = ("entropy_deficit", "stable_rank")
"""What is measured and predicted."""

MEASURED = (*QUANTITIES, "reference_mass")
"""What is measured: which heads read the reference frame decides what few frames can say."""

_HEAD = ("scene", "frame_count", "layer", "head")


@dataclasses.dataclass(frozen=True)
class Config(ProfileConfig):
    """Settings of the experiment: those of ``ProfileConfig`` and three more.

    Attributes:
        frames: ascending; the first is the number from which few predict many.
        atoms: frames that are propagated, two or more and at most the fewest.
        group_share: groups of a mixture over tokens.
        mixture_tokens: most tokens of which mixtures are made.

    Raises:
        ValueError: if a number is out of range, the scores of the preset grow with the number of
            tokens, or as in ``ProfileConfig``.

    Home section: *Predicting the profile*.
    """

    frames: tuple[int, ...] = (4, 8)
    atoms: int = 2
    group_share: float = 0.12
    mixture_tokens: int = 1200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scores(SIZES[self.preset].aggregator)
        if sorted(set(self.frames)) != list(self.frames):
            raise ValueError(f"frames must ascend, got {self.frames}: few frames predict many")
        if not 2 <= self.atoms <= self.frames[0] or not 0 < self.group_share < 1:
            raise ValueError(
                "atoms must be from 2 to the fewest frames and group_share between 0 and 1, got "
                f"{self.atoms}, {self.frames[0]} and {self.group_share}: use for example 4 and .12"
            )

    def groups(self, layout: TokenLayout) -> int | None:
        """Groups of the mixtures, where they are made."""
        if layout.count > self.mixture_tokens:
            return None
        return max(2, int(self.group_share * layout.count))


CANARY = Config(
    frames=(2, 3),
    weights="seed:0",
    preset="tiny",
    scene_seeds=(0,),
    storage="float64",
    singular_values=4,
)
# Float64 sums in another order; groups of tokens are the same unless two distances are equal.
CANARY_TOLERANCE = 1e-6


def run(
    config: Config,
    *,
    device: str,
    report: Report = silent,
    progress: streaming.Progress = streaming.silent,
    scratch: Path | None = None,
) -> Measurement:
    """Measure and predict every layer and head; arguments as in ``orbit_frames``.

    Home section: *Predicting the profile*.
    """
    facts = {"weights": weights_facts(config.weights)}
    store = open_store(config, scratch, revision=REVISION, device=device, inputs=facts)
    network = lazy_network(config, device, report)
    passages = {
        seed: [_passage(config, network, seed, n, device, report, progress) for n in config.frames]
        for seed in config.scene_seeds
    }
    every = [passage for row in passages.values() for passage in row]
    layers = config.layers_per_command
    advance_all(every, store, layers=layers, task="closures, layers", progress=progress)
    measured, predicted = [], []
    for seed, row in passages.items():
        report(f"predicting scene {seed}")
        summaries = [passage.results(store) for passage in row]
        measured.append([[[s[n].numpy() for s in r] for r in summaries] for n in MEASURED])
        propagated = _propagated(config, network(), seed, device)
        predicted.append(_predicted(config, summaries, propagated))
    return _measurement(config, np.array(measured), np.array(predicted))


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Mean of what is measured, and of what each rung predicts where it does.

    Home section: *Predicting the profile*.
    """
    arrays = measurement.arrays
    values = {name: float(arrays[name].mean()) for name in MEASURED}
    for quantity in (f"predicted_{name}" for name in QUANTITIES):
        for rung, found in zip(RUNGS, arrays[quantity], strict=True):
            if np.isfinite(found).any():
                values[f"{quantity} of {rung}"] = float(np.nanmean(found))
    return values


def _passage(config, network, seed, frames, device, report, progress) -> LayerPassage:
    layout = trained_layout(config.preset, frames)
    return scene_passage(
        f"scene_{seed}_{frames:04d}_frames",
        filmed(config, scenes.orbit, seed, frames, device, report),
        lambda: LayerSteps(network().aggregator, layout, frame_chunk=config.frame_chunk),
        layout,
        depth=config.depth,
        heads=config.heads,
        spectra=Spectra(count=config.singular_values),
        device=device,
        progress=progress,
        further=functools.partial(
            measure_closures,
            layout=layout,
            groups=config.groups(layout),
            parts=frames == config.frames[0],
        ),
    )


def _propagated(
    config: Config, network: VGGT, seed: int, device: str
) -> Iterator[list[list[propagate.Profile]]]:
    """Profiles by layer, of every number of frames, for each choice of terms."""
    layout = trained_layout(config.preset, config.atoms)
    images = filmed(config, scenes.orbit, seed, config.atoms, device, silent)()
    with torch.inference_mode():
        steps = LayerSteps(network.aggregator, layout, frame_chunk=config.frame_chunk)
        tokens = steps.start(images).double().cpu().numpy()
    arrays = as_arrays(network.aggregator, layout)
    for terms in TERMS.values():
        yield [
            list(
                propagate.propagate(
                    tokens, propagate.frame_shares(config.atoms, frames), arrays, terms=terms
                )
            )
            for frames in config.frames
        ]


def _predicted(
    config: Config,
    rows: list[list[Summary]],
    propagated: Iterator[list[list[propagate.Profile]]],
) -> Float[np.ndarray, "rung quantity frame_count layer head"]:
    own = [[[_of_head(s, head) for head in config.heads] for s in row] for row in rows]
    closed = np.moveaxis(np.array(own), (3, 4), (0, 1))
    few = np.array([[s[name].numpy() for name in QUANTITIES] for s in rows[0]])
    constant = np.repeat(np.moveaxis(few, 1, 0)[:, None], len(rows), axis=1)
    diluted = np.full_like(constant, np.nan)
    for place, frames in enumerate(config.frames):
        diluted[0, place] = [_diluted(config, summary, frames) for summary in rows[0]]
    passed = [
        np.moveaxis(
            np.array([[[p.entropy_deficit, p.stable_rank] for p in row] for row in table]), 2, 0
        )
        for table in propagated
    ]
    return np.stack([*closed, constant, diluted, *passed])


def _of_head(summary: Summary, head: int) -> list[Prediction]:
    sharpness = summary["sharpness"][head].numpy()
    return [
        gaussian_prediction(sharpness, float(summary["score_variance"][head])),
        spherical_prediction(sharpness),
        *(tuple(summary[mixture][head].tolist()) for mixture in MIXTURES),
    ]


def _diluted(config: Config, summary: Summary, frames: int) -> Float[np.ndarray, "head"]:
    parts = [summary[f"row_{p}"].numpy() for p in ("mass", "reference_deficit", "other_deficit")]
    known = config.frames[0]
    rows = diluted_deficit(*parts, known=known, frames=frames)
    shares = propagate.frame_shares(known, frames)
    return rows.reshape(len(rows), known, -1).mean(-1) @ shares


def _measurement(
    config: Config,
    measured: Float[np.ndarray, "scene measure frame_count layer head"],
    predicted: Float[np.ndarray, "scene rung quantity frame_count layer head"],
) -> Measurement:
    deficit, rank = predicted.transpose(2, 1, 0, 3, 4, 5)
    arrays = {
        **{name: (_HEAD, measured[:, place]) for place, name in enumerate(MEASURED)},
        "predicted_entropy_deficit": (("rung", *_HEAD), deficit),
        "predicted_stable_rank": (("rung", *_HEAD), rank),
        "rungs": (("rung",), np.array(RUNGS)),
        "frames": (("frame_count",), np.array(config.frames)),
        "scene_seeds": (("scene",), np.array(config.scene_seeds)),
        "heads": (("head",), np.array(config.heads)),
    }
    units = {"frames": "frame", "entropy_deficit": "nat", "predicted_entropy_deficit": "nat"}
    return Measurement(
        {name: array for name, (_, array) in arrays.items()},
        {name: axes for name, (axes, _) in arrays.items()},
        {name: units.get(name, "1") for name in arrays},
        numerics(config.storage, config.weights, scene=config.scene_seeds),
    )


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: errors by rung.

    Home section: *Predicting the profile*.
    """
    from attention_collapse.figures.closure_ladder import ladder_png

    return ladder_png(arrays)

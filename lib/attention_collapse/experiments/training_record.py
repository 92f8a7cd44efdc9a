"""The record and the weights of a run that ``python -m attention_collapse.training`` finished."""

import dataclasses
import shutil
from pathlib import Path

from attention_collapse import records
from attention_collapse.experiments import training
from attention_collapse.experiments.experiment import recompute_canary
from attention_collapse.training import PRESETS, Outcome
from attention_collapse.training.checkpoints import describe_run
from attention_collapse.training.weights import WEIGHTS
from attention_collapse.vggt import VGGT

LARGEST_FILE = 13_000_000
"""Bytes of weights that the package takes."""


def training_record(folder: Path, what: str) -> records.Record:
    """The record of a finished run, with its own device, time and versions, and today's canary.

    Args:
        folder: Of the run.
        what: Name of the record.

    Raises:
        ValueError: the run is not finished, or no preset has its settings any more.
        CheckpointError: the weights are damaged or belong to another network.

    Home section: *mini-VGGT*.
    """
    outcome = Outcome.load(folder)
    config = _config(outcome)
    VGGT.from_checkpoint(folder / WEIGHTS, PRESETS[config.preset].network, device="cpu")
    measurement = training.outcome_measurement(outcome, folder / WEIGHTS)
    settings = dataclasses.asdict(training.CANARY)
    values = recompute_canary(training, settings)
    return records.Record(
        experiment="training",
        what=what,
        revision=training.REVISION,
        config=dataclasses.asdict(config),
        command=" && ".join(outcome.commands),
        time=outcome.time,
        device=outcome.device,
        versions=outcome.versions,
        source_digest=outcome.source_digest,
        canary=records.Canary(settings, values, training.CANARY_TOLERANCE),
        **{f.name: getattr(measurement, f.name) for f in dataclasses.fields(measurement)},
    )


def ship_weights(folder: Path, path: Path) -> None:
    """Copy the weights of a finished run into the package, or wherever they shall go.

    Raises:
        ValueError: there are none, or they are larger than the package takes.

    Home section: *mini-VGGT*.
    """
    weights = folder / WEIGHTS
    if not weights.exists():
        raise ValueError(f"a finished run must have weights, got no {weights}; train to the end")
    size = weights.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(
            f"weights in the package must have at most {LARGEST_FILE} bytes, got {size}; ship "
            "those of the preset mini"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, path)


def _config(outcome: Outcome) -> training.Config:
    run = {name: outcome.settings[name] for name in ("seed", "steps")}
    for name, preset in PRESETS.items():
        if describe_run(preset, **run) == outcome.settings:
            return training.Config(preset=name, **run)
    raise ValueError(
        f"the settings of a run must be those of a preset, {', '.join(PRESETS)}, got others; a "
        "preset has changed since: train anew"
    )

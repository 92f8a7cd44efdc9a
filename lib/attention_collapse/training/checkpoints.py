"""Checkpoints of a run: written whole or not at all, and read by the same run only."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch

from attention_collapse.training.config import TrainingConfig

CHECKPOINT = "checkpoint.pt"


def describe_run(config: TrainingConfig, *, seed: int, steps: int) -> dict[str, Any]:
    """What two commands must share so that one goes on where the other stopped.

    Home section: *mini-VGGT*.
    """
    settings = dataclasses.asdict(config) | {"seed": seed, "steps": steps}
    return json.loads(json.dumps(settings))


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Put a state in the place of the folder's last one.

    A run that is killed meanwhile leaves the last one as it was.
    Home section: *mini-VGGT*.
    """
    temporary = folder / f".{CHECKPOINT}.part"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / CHECKPOINT)


def load_checkpoint(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """The folder's last state.

    Home section: *mini-VGGT*.

    Args:
        folder: Of the run.
        run: What ``describe_run`` says about the run that is to go on.

    Raises:
        ValueError: There is no checkpoint, or it is of a run with other settings.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        raise ValueError(
            f"a run to resume must have a checkpoint, got no {path}; leave --resume out to start it"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    kept = state["run"]
    differing = sorted(name for name in kept | run if kept.get(name) != run.get(name))
    if differing:
        values = ", ".join(f"{name} {run.get(name)} for {kept.get(name)}" for name in differing)
        raise ValueError(
            f"a run goes on with the settings it began with, got {values} in {path}; "
            "give the same, or another folder"
        )
    return state


def refuse_started(folder: Path) -> None:
    """Refuse a folder in which a run has begun.

    Home section: *mini-VGGT*.

    Raises:
        ValueError: It has a checkpoint.
    """
    if (folder / CHECKPOINT).exists():
        raise ValueError(
            f"a new run needs a folder without a checkpoint, got {folder}; add --resume to go on, "
            "or name another folder"
        )

"""The outcome of a run: weights in half precision, and the record of how they came about."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from attention_collapse.training.loop import COLUMNS
from attention_collapse.training.run import Run

WEIGHTS, RECORD = "weights.safetensors", "training.json"


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write weights in float16, whole or not at all.

    Home section: *mini-VGGT*.

    Raises:
        ValueError: A weight leaves the range of float16.
    """
    short = {name: weight.detach().cpu().half().contiguous() for name, weight in weights.items()}
    outside = [name for name, weight in short.items() if not weight.isfinite().all()]
    if outside:
        raise ValueError(
            f"weights must be finite in float16, got {', '.join(outside)} out of range; train anew "
            "with smaller steps"
        )
    path = folder / WEIGHTS
    temporary = folder / f".{WEIGHTS}.part"
    save_file(short, temporary)
    temporary.replace(path)
    return path


def save_record(folder: Path, run: Run, *, test_errors: Mapping[str, Mapping[str, float]]) -> Path:
    """Write how a run went: commands, settings, device, versions, time, curve and test errors.

    Home section: *mini-VGGT*.
    """
    place = run.device
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else platform.machine()
    record = {
        "commands": run.commands,
        "settings": run.settings,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": {"type": place.type, "name": name},
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "seconds": run.seconds,
        "test_errors": test_errors,
        "columns": list(COLUMNS),
        "curve": run.curve,
    }
    path = folder / RECORD
    temporary = folder / f".{RECORD}.part"
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(path)
    return path

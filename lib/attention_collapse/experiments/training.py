"""Training a network on rendered scenes: its curve, and errors on worlds it has not seen.

The weights stay in the scratch folder of the run. ``training_record`` makes the same record of a
run that ``python -m attention_collapse.training`` has finished.
"""

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.training import PRESETS, Outcome, Run, finish
from attention_collapse.training.checkpoints import CHECKPOINT
from attention_collapse.training.session import MEAN_PREDICTOR, NETWORK
from attention_collapse.training.weights import WEIGHTS

REVISION = 1

UNITS = {
    "step": "1",
    "loss": "1",
    "points": "scene lengths",
    "depth": "1",
    "translation": "scene lengths",
    "rotation": "degrees",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        preset: Name of what is trained, in ``training.PRESETS``.
        steps: Length of the run.
        seed: Of the first weights and the scenes.

    Raises:
        ValueError: if there is no such preset.

    Home section: *mini-VGGT*.
    """

    preset: str = "tiny"
    steps: int = 320
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(
                f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}: name one"
            )


CANARY = Config(steps=8)
# Float32 sums in another order, on another processor or by another version of torch, amplified by
# eight steps. A wrong renderer, network or optimiser moves the numbers by per cents.
CANARY_TOLERANCE = 2e-3


def run(
    config: Config, *, device: str, report: Report = silent, scratch: Path | None = None
) -> Measurement:
    """Train, in the scratch folder if there is one, from its checkpoint if it has one.

    Home section: *mini-VGGT*.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if scratch is None else scratch
        training = Run.open(
            PRESETS[config.preset],
            seed=config.seed,
            steps=config.steps,
            folder=folder,
            device=device,
            resume=(folder / CHECKPOINT).exists(),
        )
        outcome = finish(training, report=lambda line: report(str(line)))
        return outcome_measurement(outcome, folder / WEIGHTS)


def outcome_measurement(outcome: Outcome, weights: Path) -> Measurement:
    """The arrays of a finished run: ``curve_`` over lines, ``test_`` of network and mean predictor.

    Args:
        outcome: What the run says about itself.
        weights: File of its weights.

    Home section: *mini-VGGT*.
    """
    lines = dict(zip(outcome.columns, np.array(outcome.curve).T, strict=True))
    arrays = {f"curve_{name}": numbers for name, numbers in lines.items()}
    units = {f"curve_{name}": UNITS[name] for name in lines}
    axes: dict[str, tuple[str, ...]] = dict.fromkeys(arrays, ("line",))
    tested = [outcome.test_errors[name] for name in (NETWORK, MEAN_PREDICTOR)]
    for name in tested[0]:
        arrays[f"test_{name}"] = np.array([errors[name] for errors in tested])
        units[f"test_{name}"], axes[f"test_{name}"] = UNITS[name], ("predictor",)
    arrays["seconds"], units["seconds"], axes["seconds"] = np.array(outcome.seconds), "s", ()
    numerics = {
        "compute_dtype": outcome.compute_dtype,
        "storage_dtype": "float32",
        "tf32": outcome.tf32,
        "seeds": {"run": outcome.settings["seed"]},
        "weights": {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
    }
    return Measurement(arrays, axes, units, numerics)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Last line of the curve, and the errors on new worlds.

    Home section: *mini-VGGT*.
    """
    arrays = measurement.arrays
    last = {name: float(array[-1]) for name, array in arrays.items() if name.startswith("curve_")}
    tested = {name: array for name, array in arrays.items() if name.startswith("test_")}
    return last | {
        f"{name}_{place}": float(value)
        for name, array in tested.items()
        for place, value in zip(("network", "mean"), array, strict=True)
    }


def plot(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of a record's arrays: errors over steps, beside those of the mean predictor.

    Home section: *mini-VGGT*.
    """
    from attention_collapse.figures.training_curves import training_curves_png

    return training_curves_png(arrays)

"""Records of training runs: taken by the experiment, or made of a run that is finished."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from attention_collapse import records
from attention_collapse.experiments import recompute_canary, training
from attention_collapse.experiments.__main__ import main
from attention_collapse.experiments.training_record import ship_weights, training_record
from attention_collapse.training import PRESETS, Outcome
from attention_collapse.training.muon import Muon
from attention_collapse.training.weights import WEIGHTS

CONFIG = training.Config(steps=3, seed=1)


@pytest.fixture(autouse=True)
def few_worlds(monkeypatch: pytest.MonkeyPatch):
    """The preset tiny with so little to draw that every test can train it."""
    few = {"worlds": 3, "batch_frames": 4, "log_every": 2, "checkpoint_every": 2}
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(PRESETS["tiny"], **few))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a finished run."""
    training.run(CONFIG, device="cpu", scratch=tmp_path)
    return tmp_path


def canary() -> dict[str, float]:
    return recompute_canary(training, dataclasses.asdict(training.CANARY))


def test_a_finished_run_gives_the_record_that_the_experiment_takes(folder: Path):
    record = training_record(folder, "tiny_seed1")
    # The run is at its end, so that it is only judged again.
    measured = training.run(CONFIG, device="cpu", scratch=folder)
    assert record.config == dataclasses.asdict(CONFIG)
    assert measured.axes == record.axes
    assert measured.units == record.units
    assert measured.numerics == record.numerics
    for name in record.arrays.keys() - {"seconds"}:
        np.testing.assert_array_equal(record.arrays[name], measured.arrays[name])
    assert record.arrays["curve_step"].tolist() == [2, 3]
    errors = Outcome.load(folder).test_errors
    said = [errors[name]["points"] for name in ("network", "mean predictor")]
    assert record.arrays["test_points"].tolist() == said
    assert said[0] != said[1]
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert record.numerics["weights"] == {"sha256": digest}
    assert record.canary.differences(canary()) == {}


def test_the_record_has_the_time_and_the_place_of_the_run(folder: Path):
    outcome = Outcome.load(folder)
    elsewhere = outcome.device | {"name": "NVIDIA H200"}
    past = {"time": "2026-01-31T12:00:00+00:00", "source_digest": "0" * 64, "device": elsewhere}
    changed = dataclasses.replace(
        outcome, commands=["start", "resume"], compute_dtype="bfloat16", **past
    )
    changed.save(folder)
    record = training_record(folder, "tiny_seed1")
    assert {name: getattr(record, name) for name in past} == past
    assert record.command == "start && resume"
    assert record.stem.startswith("tiny_seed1__nvidia-h200__bfloat16__torch")


def test_a_canary_moves_when_a_step_of_the_weights_changes(monkeypatch: pytest.MonkeyPatch):
    kept = records.Canary(dataclasses.asdict(training.CANARY), canary(), training.CANARY_TOLERANCE)
    step = Muon.step

    def longer(self: Muon, closure: None = None) -> None:
        for group in self.param_groups:
            group["lr"] *= 1.1
        step(self, closure)

    monkeypatch.setattr(Muon, "step", longer)
    assert "curve_loss" in kept.differences(canary())


def test_the_command_line_packages_a_run(folder: Path, tmp_path: Path, capsys):
    out, shipped = tmp_path / "records", tmp_path / "new" / "tiny.safetensors"
    command = ["package", str(folder), "--what", "tiny_seed1", "--out", str(out)]
    assert main([*command, "--weights", str(shipped)]) == 0
    assert shipped.read_bytes() == (folder / WEIGHTS).read_bytes()
    assert records.find("training", "tiny_seed1", folder=out).config["seed"] == 1
    assert main(command) == 2
    assert "exists; records are never edited" in capsys.readouterr().err


def test_what_cannot_be_packaged_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="must have weights, got no .*; train to the end"):
        ship_weights(folder / "elsewhere", folder / "copy")
    monkeypatch.setattr("attention_collapse.experiments.training_record.LARGEST_FILE", 1000)
    with pytest.raises(ValueError, match="at most 1000 bytes, got .*; ship those of the preset"):
        ship_weights(folder, folder / "copy")
    assert not (folder / "copy").exists()

    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    faster = dataclasses.replace(PRESETS["tiny"], matrix_rate=1.0)
    monkeypatch.setitem(PRESETS, "tiny", faster)
    with pytest.raises(ValueError, match="settings of a run must be those of a preset, mini, .*"):
        training_record(folder, "tiny_seed1")
    with pytest.raises(ValueError, match="preset must be one of mini, .* got 'maxi': name one"):
        training.Config(preset="maxi")

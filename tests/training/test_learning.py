"""The preset tiny learns, on two cores while you wait."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attention_collapse.training import PRESETS, Outcome
from attention_collapse.training.__main__ import main
from attention_collapse.training.weights import save_weights
from attention_collapse.vggt import VGGT


def test_tiny_is_better_than_the_mean_on_worlds_it_has_not_seen(tmp_path: Path):
    assert main(["--preset", "tiny", "--device", "cpu", "--out", str(tmp_path)]) == 0
    outcome = Outcome.load(tmp_path)
    network, mean = outcome.test_errors["network"], outcome.test_errors["mean predictor"]
    assert network["points"] <= 0.7 * mean["points"]
    assert network["depth"] <= 0.9 * mean["depth"]
    assert outcome.settings["seed"] == 0
    assert outcome.commands == [
        "python -m attention_collapse.training --preset tiny --steps 320 --seed 0 --device cpu "
        "--out DIR"
    ]
    assert len(outcome.curve[0]) == len(outcome.columns)

    path = tmp_path / "weights.safetensors"
    assert {weight.dtype for weight in load_file(path).values()} == {torch.float16}
    loaded = VGGT.from_checkpoint(path, PRESETS["tiny"].network, device="cpu", dtype=torch.float32)
    assert loaded.reconstruct(torch.rand(2, 3, 28, 28)).points.isfinite().all()


def test_the_command_line_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["--preset", "tiny", "--device", "nowhere", "--out", str(tmp_path)]) == 2
    assert "device must be one that torch can use here, got 'nowhere'" in capsys.readouterr().err
    assert main(["--preset", "tiny", "--resume", "--out", str(tmp_path)]) == 2
    assert "error: a run to resume must have a checkpoint" in capsys.readouterr().err


def test_weights_outside_the_range_of_float16_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="finite in float16, got far out of range; train anew"):
        save_weights(tmp_path, {"near": torch.ones(2), "far": torch.tensor([1e6])})
    assert not list(tmp_path.iterdir())

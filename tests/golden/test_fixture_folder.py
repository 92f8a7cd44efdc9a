"""The parity run on folders made here: other sizes, wrong numbers, kinds nobody knows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from attention_collapse.vggt import Aggregator, Block
from golden import test_parity
from golden.comparison import mismatches
from golden.fixture_format import Fixture, fixture_names
from golden.reproduction import REPRODUCTIONS, aggregator_config

BLOCK = {
    "kind": "block",
    "dim": 24,
    "num_heads": 3,
    "mlp_ratio": 3,
    "qk_norm": False,
    "init_values": None,
    "rope_freq": 10,
}
AGGREGATOR = {
    "kind": "aggregator",
    "patch_embed": "conv",
    "embed_dim": 8,
    "depth": 4,
    "num_heads": 2,
    "mlp_ratio": 1.5,
    "num_register_tokens": 2,
    "aa_order": ["global", "frame"],
    "aa_block_size": 2,
    "rope_freq": 100,
}


MATCH = {"kind": "tome_match", "r": 99, "class_token": True, "distill_token": True}
MADE = {"other_block", "borrowing_block", "other_aggregator", "other_match"}


def write(folder: Path, name: str, settings: dict, tensors: dict, state: dict | None = None):
    """A fixture whose outputs are our own, in float64, rounded to the float32 of the format."""
    (folder / f"{name}.json").write_text(json.dumps(settings))
    if state is not None:
        save_file(state, folder / f"{name}.state.safetensors")
    save_file(tensors, folder / f"{name}.io.safetensors")
    with torch.inference_mode():
        fixture = Fixture.read(folder, name)
        outputs = REPRODUCTIONS[fixture.kind](fixture, torch.float64)
    for key, value in outputs.items():
        stored = value.float() if value.is_floating_point() else value
        tensors[f"out.{key}"] = stored.contiguous()
    save_file(tensors, folder / f"{name}.io.safetensors")


@pytest.fixture
def made_folder(tmp_path):
    generator = torch.Generator().manual_seed(0)
    block = Block(24, 3, mlp_ratio=3.0, layer_scale=None, qk_norm=False, generator=generator)
    positions = torch.randint(0, 60, (2, 7, 2), generator=generator)
    tokens = {"in.x": torch.randn(2, 7, 24, generator=generator), "in.pos": positions}
    write(tmp_path, "other_block", BLOCK, tokens, block.state_dict())
    borrowed = {"state_from": "other_block", "inputs_from": {"in.x": ["other_block", "in.x"]}}
    write(tmp_path, "borrowing_block", BLOCK | borrowed, {"in.pos": positions + 1})

    (tmp_path / "other_aggregator.json").write_text(json.dumps(AGGREGATOR))
    config = aggregator_config(Fixture.read(tmp_path, "other_aggregator"))
    state = Aggregator(config, generator=generator).state_dict()
    images = {
        "in.images": torch.rand(2, 2, 3, 14, 42, generator=generator),
        "in.images.square": torch.rand(1, 1, 3, 28, 28, generator=generator),
    }
    write(tmp_path, "other_aggregator", AGGREGATOR, images, state)

    tokens = {f"in.{key}": torch.rand(3, 11, 6, generator=generator) for key in ("metric", "x")}
    tokens["in.size"] = torch.randint(1, 5, (3, 11, 1), generator=generator).float()
    write(tmp_path, "other_match", MATCH, tokens)
    return tmp_path


def tamper(folder: Path, name: str) -> Fixture:
    """A copy of a fixture, called ``tampered``, with one wrong number in every output."""
    fixture = Fixture.read(folder, name)
    tensors = {f"in.{key}": value for key, value in fixture.inputs(torch.float32).items()}
    for key, value in fixture.outputs().items():
        tensors[f"out.{key}"] = value.clone()
        tensors[f"out.{key}"].view(-1)[-1] += 1e-3 if value.is_floating_point() else 1
    (folder / "tampered.json").write_text(json.dumps({"state_from": name} | fixture.settings))
    save_file(tensors, folder / "tampered.io.safetensors")
    return Fixture.read(folder, "tampered")


def run_parity(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "tests/golden/test_parity.py", "-rA", "-q"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "--fixtures-dir", str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_option_runs_parity_on_any_folder(made_folder):
    tamper(made_folder, "other_block")
    (made_folder / "strange.json").write_text(json.dumps({"kind": "wavelet"}))
    run = run_parity(made_folder)
    names = {
        outcome: set(re.findall(rf"^{outcome} .*test_parity\[(\w+)-float\d\d\]", run.stdout, re.M))
        for outcome in ("PASSED", "FAILED")
    }
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert names["PASSED"] == MADE
    assert names["FAILED"] == {"tampered", "strange"}
    assert "tampered y: differs by 1.00e-03" in run.stdout
    assert "strange has the unknown kind 'wavelet'" in run.stdout


def test_an_empty_folder_fails(tmp_path):
    with pytest.raises(AssertionError, match=re.escape(f"no fixture (NAME.json) in {tmp_path}")):
        test_parity.test_the_folder_holds_fixtures(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_wrong_number_in_any_output_is_found(made_folder, dtype):
    for name in fixture_names(made_folder):
        fixture = Fixture.read(made_folder, name)
        assert mismatches(fixture, dtype) == []
        found = mismatches(tamper(made_folder, name), dtype)
        expected = [f"tampered {key}" for key in fixture.outputs()]
        assert [line.split(":")[0] for line in found] == expected


def test_an_output_that_nothing_computes_is_a_mismatch(made_folder):
    inputs = block_inputs(made_folder)
    save_file(inputs | {"out.mystery": torch.ones(1)}, made_folder / "other_block.io.safetensors")
    found = mismatches(Fixture.read(made_folder, "other_block"), torch.float32)
    assert found == ["other_block mystery: no value is computed for it"]


def test_a_fixture_without_outputs_is_a_mismatch(made_folder):
    inputs = block_inputs(made_folder)
    save_file(inputs, made_folder / "other_block.io.safetensors")
    found = mismatches(Fixture.read(made_folder, "other_block"), torch.float32)
    assert found == ["other_block holds no output"]


def test_weights_must_match_by_name(made_folder):
    path = made_folder / "other_block.state.safetensors"
    state = Fixture.read(made_folder, "other_block").state(torch.float32)
    save_file(state | {"ls1.gamma": torch.ones(24)}, path)
    with pytest.raises(RuntimeError, match="ls1.gamma"):
        mismatches(Fixture.read(made_folder, "other_block"), torch.float32)


def block_inputs(folder: Path) -> dict:
    inputs = Fixture.read(folder, "other_block").inputs(torch.float32)
    return {f"in.{key}": value for key, value in inputs.items()}

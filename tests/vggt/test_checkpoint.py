import logging
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from attention_collapse.vggt.checkpoint import load_checkpoint
from attention_collapse.vggt.checkpoint_file import CheckpointError


def network(**options) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)).to(**options)


@pytest.fixture
def weights(generator):
    shapes = {"0.weight": (2, 3), "0.bias": (2,), "1.weight": (2,), "1.bias": (2,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def written(tmp_path):
    def write(tensors):
        save_file(tensors, tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    return write


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_network_gets_the_weights(written, weights, device):
    loaded = network(device=device)
    load_checkpoint(loaded, written(weights))
    state = loaded.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in weights)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_safetensors_and_archive_give_the_same(written, weights, tmp_path):
    torch.save(weights, tmp_path / "model.pt")
    for path in (written(weights), tmp_path / "model.pt"):
        loaded = network()
        load_checkpoint(loaded, path)
        assert torch.equal(loaded[0].weight, weights["0.weight"])


def test_each_weight_takes_the_format_of_its_parameter(written, weights):
    loaded = network(device="meta")
    loaded[0].to(torch.bfloat16)
    load_checkpoint(loaded, written(weights))
    assert torch.equal(loaded[0].weight, weights["0.weight"].to(torch.bfloat16))
    assert torch.equal(loaded[1].weight, weights["1.weight"])


def test_a_frozen_parameter_stays_frozen(written, weights):
    loaded = network(device="meta")
    loaded[0].bias.requires_grad_(False)
    load_checkpoint(loaded, written(weights))
    assert not loaded[0].bias.requires_grad


def test_the_weights_do_not_hang_on_the_file(written, weights):
    path, loaded = written(weights), network()
    load_checkpoint(loaded, path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(loaded[0].weight, weights["0.weight"])


def test_parts_that_are_left_out_are_reported_once(written, weights, caplog):
    tracks = {f"track_head.{index}": torch.ones(1) for index in range(3)}
    path = written(weights | tracks)
    with caplog.at_level(logging.INFO, logger="attention_collapse"):
        load_checkpoint(network(), path, left_out=("track_head.", "text_head."))
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 3 entries track_head.* are left out; the network has no such part"
    ]
    with pytest.raises(CheckpointError, match="3 unknown:"):
        load_checkpoint(network(), path)


def test_every_difference_is_listed(written, weights):
    del weights["0.bias"]
    weights["1.bias"] = torch.ones(3)
    extra = {f"extra.{index:02d}": torch.ones(2, 2) for index in range(12)}
    path = written(weights | extra)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(network(), path)
    assert str(caught.value).splitlines() == [
        f"{path} does not fit the network; make the network with the sizes of the checkpoint",
        "1 missing:",
        "  0.bias [2]",
        "12 unknown:",
        *(f"  extra.{index:02d} [2, 2]" for index in range(10)),
        "  and 2 more",
        "1 of another shape:",
        "  1.bias [3] for [2] in the network",
    ]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(2, dtype=torch.int8), "must hold floating-point numbers, got torch.int8"),
        (torch.tensor([1, torch.nan]), "numbers that are not finite in torch.float16"),
        (torch.tensor([1, 1e5]), "not finite in torch.float16; .* or float32 is needed"),
    ],
)
def test_nothing_changes_unless_every_weight_is_good(written, weights, tensor, message):
    loaded = network(dtype=torch.float16)
    before = {name: value.clone() for name, value in loaded.state_dict().items()}
    path = written(weights | {"1.bias": tensor})
    with pytest.raises(CheckpointError, match=f"1.bias in {path} .*{message}"):
        load_checkpoint(loaded, path)
    assert all(torch.equal(before[name], value) for name, value in loaded.state_dict().items())


LOAD = r"""
import re, sys, torch
from pathlib import Path
from attention_collapse.vggt.checkpoint import load_checkpoint

def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])

with torch.device("meta"):
    network = torch.nn.ParameterDict({str(i): torch.empty(2**17) for i in range(256)})
before = peak_bytes()
load_checkpoint(network, sys.argv[1])
print(peak_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_the_file_and_the_weights_are_never_both_in_memory(written):
    path = written({str(index): torch.ones(2**17) for index in range(256)})
    run = [sys.executable, "-c", LOAD, path]
    grown = int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert 1 < grown / path.stat().st_size < 1.5

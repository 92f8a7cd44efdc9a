"""The trained mini network."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from attention_collapse.vggt import MINI, VGGT, mini


def test_half_precision_weights_are_loaded_into_float32(tmp_path: Path, generator):
    network = VGGT(MINI, generator=generator)
    short = {name: weight.half() for name, weight in network.state_dict().items()}
    path = tmp_path / "mini.safetensors"
    save_file(short, path)
    assert path.stat().st_size <= 13e6
    loaded = mini(path).state_dict()
    assert {weight.dtype for weight in loaded.values()} == {torch.float32}
    assert all(torch.equal(loaded[name], short[name].float()) for name in short)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no weights at .*absent.*; install .* or train"):
        mini(tmp_path / "absent.safetensors")

import pickle
import random

import pytest
import torch
from safetensors.torch import save_file

from attention_collapse.vggt.checkpoint_file import CheckpointError, map_checkpoint

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2, dtype=torch.bfloat16)}


def save_archive(content, path):
    torch.save(content, path)


@pytest.fixture(params=[save_file, save_archive], ids=["safetensors", "archive"])
def checkpoint(request, tmp_path):
    path = tmp_path / "checkpoint"
    request.param(TENSORS, path)
    return path


def test_the_format_is_told_from_the_content(checkpoint):
    mapped = map_checkpoint(checkpoint)
    assert mapped.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(mapped[name], tensor)
        assert mapped[name].dtype == tensor.dtype


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; download it again"),
        (b"\n<!DOCTYPE html><html>Not found</html>", "is a web page, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "fetch it with git lfs pull"),
        (pickle.dumps({"weight": [1.0]}), "is a pickle in a format that torch.save has left"),
        (b"sixteen bytes or more of something", "neither a safetensors file nor an archive"),
        (b"abc", "neither a safetensors file nor an archive"),
    ],
)
def test_other_content_is_named(tmp_path, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{path} .*{message}"):
        map_checkpoint(path)


def test_a_folder_is_not_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"a folder; pass the file in it, such as .*model\."):
        map_checkpoint(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at .*absent.pt; check the path"):
        map_checkpoint(tmp_path / "absent.pt")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.999])
def test_a_file_that_was_cut_off_is_refused(checkpoint, kept):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match="is cut off or damaged .*; download it again"):
        map_checkpoint(checkpoint)


def refused(path) -> bool:
    try:
        map_checkpoint(path)
    except CheckpointError:
        return True
    return False


def test_whatever_byte_is_damaged_no_other_error_comes_out(checkpoint):
    content, draw = checkpoint.read_bytes(), random.Random(0)
    outcomes = []
    for _ in range(200):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        checkpoint.write_bytes(damaged)
        outcomes.append(refused(checkpoint))
    assert sum(outcomes) > 20


class Payload:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_no_code_in_an_archive_is_run(tmp_path):
    trace = tmp_path / "trace"
    save_archive({"weight": Payload(trace)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors .* a pickle can run code"):
        map_checkpoint(tmp_path / "model.pt")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "must hold tensors by name, it holds a list"),
        ({"model": TENSORS, "step": 3}, "its entry 'model' is a dict"),
    ],
)
def test_an_archive_must_hold_named_tensors(tmp_path, content, message):
    save_archive(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=f"{message}.*save the state_dict"):
        map_checkpoint(tmp_path / "model.pt")

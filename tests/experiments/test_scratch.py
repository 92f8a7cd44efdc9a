import dataclasses

import pytest
import torch

from attention_collapse import provenance
from attention_collapse.experiments.scratch import Memory, Scratch, open_store


@dataclasses.dataclass(frozen=True)
class Settings:
    frames: tuple[int, ...] = (2, 4)
    layers_per_command: int = 0


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return Scratch(tmp_path / "scratch", {"a": 1}) if request.param == "folder" else Memory()


def test_what_is_kept_comes_back_until_it_is_dropped(store):
    assert "layer" not in store
    store.keep("layer", {"entropy": torch.arange(6.0).view(2, 3).mT})
    store.keep("layer", {"entropy": torch.arange(6.0).view(2, 3).mT + 1})
    assert torch.equal(store.load("layer")["entropy"], torch.arange(6.0).view(2, 3).mT + 1)
    store.drop("layer")
    store.drop("layer")
    assert "layer" not in store


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    scratch = Scratch(tmp_path, {})
    scratch.keep("layer", {"entropy": torch.zeros(2)})

    def half_written(tensors, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("attention_collapse.experiments.scratch.save_file", half_written)
    with pytest.raises(OSError, match="no space left"):
        scratch.keep("layer", {"entropy": torch.ones(2)})
    assert torch.equal(scratch.load("layer")["entropy"], torch.zeros(2))


def test_a_folder_of_other_settings_is_refused(tmp_path, monkeypatch):
    open_store(Settings(), tmp_path, revision=1, device="cpu")
    open_store(Settings(layers_per_command=3), tmp_path, revision=1, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
    for fact, name in (("device_facts", "device"), ("source_digest", "source_digest")):
        with monkeypatch.context() as other:
            other.setattr(provenance, fact, lambda *_: "another")
            with pytest.raises(ValueError, match=f"{name} differ"):
                open_store(Settings(), tmp_path, revision=1, device="cpu")
    with pytest.raises(ValueError, match="revision differ"):
        open_store(Settings(), tmp_path, revision=2, device="cpu")
    with pytest.raises(ValueError, match="frames differ; name another folder"):
        open_store(Settings(frames=(8,)), tmp_path, revision=1, device="cpu")


def test_layers_counted_out_to_commands_need_a_folder():
    with pytest.raises(ValueError, match="layers_per_command 3 needs a scratch folder, got none"):
        open_store(Settings(layers_per_command=3), None, revision=1, device="cpu")

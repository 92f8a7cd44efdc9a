import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest

from attention_collapse.vggt import hub
from attention_collapse.vggt.hub import CAUSES, DownloadError, download_checkpoint

PARENTS = {
    "GatedRepoError": "RepositoryNotFoundError",
    "LocalEntryNotFoundError": "EntryNotFoundError",
}


class HubDouble(ModuleType):
    """Stands for huggingface_hub: what is cached, what was asked for, what goes wrong."""

    def __init__(self):
        super().__init__("huggingface_hub")
        self.cached, self.failure, self.asked = None, None, []
        self.errors = ModuleType("huggingface_hub.errors")
        for name in sorted(CAUSES, key=lambda name: name in PARENTS):
            parent = getattr(self.errors, PARENTS.get(name, ""), Exception)
            setattr(self.errors, name, type(name, (parent,), {}))

    def try_to_load_from_cache(self, repository, file, *, revision):
        return self.cached

    def hf_hub_download(self, repository, file, *, revision):
        self.asked.append((repository, file, revision))
        if self.failure is not None:
            raise self.failure
        return self.cached or "/cache/model.safetensors"


@pytest.fixture
def double(monkeypatch):
    module = HubDouble()
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", module.errors)
    return module


def test_the_file_of_the_released_weights_is_asked_for(double):
    assert download_checkpoint(revision="main") == Path("/cache/model.safetensors")
    assert double.asked == [("facebook/VGGT-1B", "model.safetensors", "main")]


@pytest.mark.parametrize(
    ("repository", "terms"),
    [
        ("facebook/VGGT-1B", "VGGT's own licence, for non-commercial use only"),
        ("someone/weights", "a licence of their own"),
    ],
)
def test_the_licence_is_stated_before_a_download(double, caplog, repository, terms):
    double.failure = RuntimeError("stop")
    with pytest.raises(DownloadError):
        download_checkpoint(repository)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"The weights of {repository} have {terms}" in record.getMessage()
    assert f"https://huggingface.co/{repository}" in record.getMessage()


def test_a_cached_file_is_not_announced_again(double, caplog):
    double.cached = "/cache/old.safetensors"
    assert download_checkpoint() == Path("/cache/old.safetensors")
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("HFValidationError", "is not the name of a repository; it must look like facebook/VGGT"),
        ("GatedRepoError", "asks for a permission; accept its terms"),
        ("RepositoryNotFoundError", "does not exist or is private; check its name"),
        ("RevisionNotFoundError", "has no such revision; leave the revision out"),
        ("LocalEntryNotFoundError", "cannot be reached and the file is not in the cache; connect"),
        ("EntryNotFoundError", "has no such file; look up the name of the file"),
    ],
)
def test_the_hub_s_errors_say_what_to_do(double, name, message):
    double.failure = getattr(double.errors, name)("long explanation")
    with pytest.raises(DownloadError, match=f"model.safetensors of a/b: the repository {message}"):
        download_checkpoint("a/b")


@pytest.mark.parametrize("failure", [OSError("no space left"), RuntimeError("no space left")])
def test_a_download_that_stops_can_go_on(double, failure):
    double.failure = failure
    with pytest.raises(DownloadError, match=r"stopped \(no space left\); run it again, it goes on"):
        download_checkpoint()


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub, or download .* by hand"):
        download_checkpoint()


def test_the_package_has_the_names_that_are_used():
    package = pytest.importorskip("huggingface_hub")
    errors = pytest.importorskip("huggingface_hub.errors")
    assert all(issubclass(getattr(errors, name), Exception) for name in hub.CAUSES)
    for name, parent in PARENTS.items():
        assert issubclass(getattr(errors, name), getattr(errors, parent))
    assert callable(package.hf_hub_download)
    assert callable(package.try_to_load_from_cache)

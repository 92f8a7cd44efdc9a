"""Assets are the ones that the lock names, or they are not there at all."""

import json
import zipfile

import pytest

import fetch_assets

FILES = {"mathjax/script.js": b"typeset()", "mathjax/fonts/one.woff": b"glyphs"}


@pytest.fixture
def package(tmp_path):
    """A package as the index would send it."""
    path = tmp_path / "math-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in FILES.items():
            archive.writestr(f"static/{name}", contents)
    return path


@pytest.fixture
def lock(package):
    return {
        "package": "math==1.0",
        "sha256": fetch_assets.digest(package.read_bytes()),
        "prefix": "static/",
        "files": {name: fetch_assets.digest(contents) for name, contents in FILES.items()},
    }


@pytest.fixture
def downloads(monkeypatch, package):
    """What was downloaded; pip is replaced by the package above."""
    asked = []

    def download(name, folder):
        asked.append(name)
        return package

    monkeypatch.setattr(fetch_assets, "download", download)
    return asked


def test_files_of_the_lock_are_installed(lock, downloads, tmp_path):
    fetch_assets.fetch(lock, tmp_path / "assets")
    for name, contents in FILES.items():
        assert (tmp_path / "assets" / name).read_bytes() == contents


def test_second_call_downloads_nothing(lock, downloads, tmp_path):
    fetch_assets.fetch(lock, tmp_path / "assets")
    fetch_assets.fetch(lock, tmp_path / "assets")
    assert downloads == ["math==1.0"]


def test_edited_file_is_fetched_again(lock, downloads, tmp_path):
    fetch_assets.fetch(lock, tmp_path / "assets")
    (tmp_path / "assets" / "mathjax" / "script.js").write_text("steal()")
    fetch_assets.fetch(lock, tmp_path / "assets")
    assert (tmp_path / "assets" / "mathjax" / "script.js").read_bytes() == b"typeset()"


def test_changed_package_is_refused(lock, downloads, package, tmp_path):
    package.write_bytes(package.read_bytes() + b"!")
    with pytest.raises(fetch_assets.AssetError, match=r"math-1\.0.*sha256.*Nothing was installed"):
        fetch_assets.fetch(lock, tmp_path / "assets")
    assert sorted(path.name for path in tmp_path.iterdir()) == [package.name]


def test_changed_file_is_refused_and_the_old_ones_stay(lock, downloads, package, tmp_path):
    (tmp_path / "assets" / "mathjax").mkdir(parents=True)
    (tmp_path / "assets" / "mathjax" / "script.js").write_text("older()")
    lock["files"]["mathjax/fonts/one.woff"] = "0" * 64
    with pytest.raises(fetch_assets.AssetError, match=r"one\.woff: sha256 is .* but"):
        fetch_assets.fetch(lock, tmp_path / "assets")
    assert (tmp_path / "assets" / "mathjax" / "script.js").read_text() == "older()"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assets", package.name]


def test_unknown_package_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(fetch_assets.AssetError, match="could not download math==1.0"):
        fetch_assets.download("math==1.0", tmp_path)


def test_the_lock_is_complete():
    lock = json.loads(fetch_assets.LOCK.read_text())
    assert fetch_assets.is_complete(lock, fetch_assets.ASSETS), "run 'make assets'"
    licence = fetch_assets.BOOK / "static" / "mathjax" / "LICENSE"
    assert "Apache License" in licence.read_text()

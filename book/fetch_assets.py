"""Fetch the page assets that the book serves itself: MathJax, its fonts and its licence.

The files come from a package of the Python index that pip is configured for. The package and
every file taken from it must match ``assets.lock.json``. The files appear in ``book/assets/``
all together or not at all.

    python book/fetch_assets.py
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

BOOK = Path(__file__).resolve().parent
LOCK = BOOK / "assets.lock.json"
ASSETS = BOOK / "assets"


class AssetError(Exception):
    """An asset could not be fetched or is not the one that the lock names."""


def fetch(lock, target):
    """Fill the folder ``target`` with the files named in ``lock``, unless it holds them."""
    if is_complete(lock, target):
        return
    # Beside the target: a rename within one file system is atomic.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".assets-") as scratch:
        package = download(lock["package"], Path(scratch))
        check(package.name, package.read_bytes(), lock["sha256"])
        staged = extract(package, lock, Path(scratch) / "staged")
        shutil.rmtree(target, ignore_errors=True)
        staged.rename(target)


def is_complete(lock, target):
    """Tell whether the folder holds every file of the lock, unchanged."""
    return all(
        (target / name).is_file() and digest((target / name).read_bytes()) == sha256
        for name, sha256 in lock["files"].items()
    )


def download(package, folder):
    """Download one package with pip and return its file."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), package]
    if subprocess.run(command, check=False).returncode:
        raise AssetError(f"pip could not download {package}: see its message above")
    (file,) = folder.glob("*.whl")
    return file


def extract(package, lock, folder):
    """Write the files of the lock below ``folder``, each checked, and return the folder."""
    with zipfile.ZipFile(package) as archive:
        for name, sha256 in lock["files"].items():
            contents = archive.read(lock["prefix"] + name)
            check(name, contents, sha256)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
    return folder


def check(name, contents, sha256):
    """Raise unless ``contents`` has the digest that the lock gives."""
    if digest(contents) != sha256:
        raise AssetError(
            f"{name}: sha256 is {digest(contents)}, but {LOCK.name} says {sha256}. "
            "Nothing was installed. The package was changed on its way or at its source."
        )


def digest(contents):
    """Return the sha256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(contents).hexdigest()


if __name__ == "__main__":
    try:
        fetch(json.loads(LOCK.read_text()), ASSETS)
    except AssetError as error:
        sys.exit(f"fetch_assets: {error}")

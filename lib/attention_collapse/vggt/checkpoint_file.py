"""Checkpoint files: from a file on disk to named tensors, without running anything inside it."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# What a file of each kind starts with.
ZIP_ARCHIVE = b"PK\x03\x04"
OLD_PICKLE = b"\x80"
LARGE_FILE_POINTER = b"version https://git-lfs"
WEB_PAGE = b"<"
# A safetensors file: eight bytes with the length of its header, then the header, a JSON object.
HEADER_LENGTH_BYTES = 8
HEADER = b"{"

LONGEST_START = 64


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or does not fit the network.

    Home section: *Notation*.
    """


def map_checkpoint(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint by name, mapped from the file on the CPU.

    Only what is read of a tensor is taken from the disk, and the pages stay in memory for as long
    as any of the tensors does. The format is told from the content: safetensors, or what
    ``torch.save`` writes. Of the latter only tensors are read, and no code in it is run.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is a folder, has neither format, is damaged, or holds anything but
            named tensors.

    Home section: *Notation*.
    """
    start = _start(path)
    if start.startswith(ZIP_ARCHIVE):
        return _map_archive(path)
    if start[HEADER_LENGTH_BYTES:].startswith(HEADER):
        return _map_safetensors(path)
    raise CheckpointError(f"{path} {_diagnosis(start)}")


def _start(path: Path) -> bytes:
    if path.is_dir():
        raise CheckpointError(
            f"a checkpoint is one file, {path} is a folder; pass the file in it, such as "
            f"{path / 'model.safetensors'}"
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint at {path}; check the path")
    with path.open("rb") as file:
        return file.read(LONGEST_START)


def _diagnosis(start: bytes) -> str:
    """What is wrong with a file that has neither format, and what to do."""
    if not start:
        return "is empty; download it again"
    if start.startswith(LARGE_FILE_POINTER):
        return "is the pointer of a large file, not the file; fetch it with git lfs pull"
    if start.lstrip().startswith(WEB_PAGE):
        return "is a web page, not a checkpoint; download the file itself, not the page about it"
    if start.startswith(OLD_PICKLE):
        return (
            "is a pickle in a format that torch.save has left; load it with the version of torch "
            "that wrote it and save it again"
        )
    return (
        "is neither a safetensors file nor an archive of torch.save, or its beginning is "
        f"damaged (it starts with {start[:16]!r}); download it again"
    )


class _Safetensors(Mapping[str, Tensor]):
    """The tensors of an open safetensors file; none is touched before it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._names = dict.fromkeys(file.keys())

    def __getitem__(self, name: str) -> Tensor:
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _map_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the package safetensors; pip install safetensors"
        ) from error
    try:
        return _Safetensors(safe_open(path, framework="pt", device="cpu"))
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is cut off or damaged ({error}); download it again"
        ) from error


def _map_archive(path: Path) -> Mapping[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors or is damaged; it is not read any further, because "
            "a pickle can run code; use a safetensors file, or download it again"
        ) from error
    except Exception as error:
        # A damaged pickle can fail in any way, an index or a missing key among them.
        raise CheckpointError(
            f"{path} is cut off or damaged ({_first_sentence(error)}); download it again"
        ) from error
    _require_named_tensors(path, content)
    return content


def _require_named_tensors(path: Path, content: object) -> None:
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} must hold tensors by name, it holds a {type(content).__name__}; "
            "save the state_dict of the network"
        )
    other = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if other:
        raise CheckpointError(
            f"{path} must hold tensors by name, its entry {other[0]!r} is a "
            f"{type(content[other[0]]).__name__}; save the state_dict of the network alone"
        )


def _first_sentence(error: Exception) -> str:
    return f"{error}".split(". ")[0].strip() or type(error).__name__

"""A folder in which a long run keeps what it has finished, so that another command goes on."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from attention_collapse import provenance

_SETTINGS, _ENDING = "settings.json", ".safetensors"


class Unfinished(Exception):
    """A run stopped where it was told to; the same command goes on from its scratch folder.

    Home section: *A thousand frames*.
    """


class Scratch:
    """Tensors by name in a folder that belongs to one set of settings.

    A file appears whole or not at all, so that a run may be stopped at any time.

    Args:
        folder: Made if it does not exist.
        settings: What the results depend on; written to the folder and compared ever after.

    Raises:
        ValueError: if the folder belongs to other settings.

    Home section: *A thousand frames*.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        text = json.dumps(settings, indent=1, sort_keys=True)
        path = folder / _SETTINGS
        if not path.exists():
            _replace(path, lambda temporary: temporary.write_text(text))
        elif (kept := json.loads(path.read_text())) != (given := json.loads(text)):
            differing = sorted(n for n in kept | given if kept.get(n) != given.get(n))
            raise ValueError(
                f"a scratch folder belongs to one set of settings, got others in {folder}: "
                f"{', '.join(differing)} differ; name another folder, or remove this one"
            )

    def __contains__(self, name: str) -> bool:
        return self._path(name).exists()

    def keep(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors under a name, in the place of what was there."""
        whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
        _replace(self._path(name), lambda temporary: save_file(whole, temporary))

    def load(self, name: str, *, device: str = "cpu") -> dict[str, Tensor]:
        """The tensors kept under a name, on a device."""
        return load_file(self._path(name), device=device)

    def names(self, prefix: str) -> list[str]:
        """The names that begin so, in order."""
        return sorted(path.stem for path in self._folder.glob(f"{prefix}*{_ENDING}"))

    def drop(self, name: str) -> None:
        """Forget what is kept under a name, if anything is."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_ENDING}"


class Memory(dict[str, dict[str, Tensor]]):
    """What ``Scratch`` does, without a folder: it ends with the run.

    Home section: *A thousand frames*.
    """

    def keep(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Hold tensors under a name, in the place of what was there."""
        self[name] = dict(tensors)

    def load(self, name: str, *, device: str = "cpu") -> dict[str, Tensor]:
        """The tensors held under a name, on a device."""
        return {key: tensor.to(device) for key, tensor in self[name].items()}

    def drop(self, name: str) -> None:
        """Forget what is held under a name, if anything is."""
        self.pop(name, None)


def open_store(
    config: Any,
    folder: Path | None,
    *,
    revision: int,
    device: str,
    inputs: Mapping[str, Any] | None = None,
) -> Scratch | Memory:
    """The scratch folder of a run, or memory where it has none.

    Args:
        config: Dataclass of the run's settings. Its ``layers_per_command``, if it has one, says
            how many layers a command measures, and may change between commands.
        folder: The folder, if there is one.
        revision: Of the experiment.
        device: Where it runs.
        inputs: What else the results depend on, as files do that the settings only name.

    Raises:
        ValueError: if layers are counted out to commands that share no folder, or the folder
            belongs to other settings, another state of the code, or another machine.

    Home section: *A thousand frames*.
    """
    settings = dataclasses.asdict(config) | {
        "revision": revision,
        "device": provenance.device_facts(device),
        "versions": provenance.versions(),
        "source_digest": provenance.source_digest(),
        "inputs": dict(inputs or {}),
    }
    layers = settings.pop("layers_per_command", 0)
    if folder is not None:
        return Scratch(folder, settings)
    if layers:
        raise ValueError(
            f"layers_per_command {layers} needs a scratch folder, got none: name one with "
            "--scratch, or take 0 to measure all layers at once"
        )
    return Memory()


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    write(temporary)
    os.replace(temporary, path)

"""Reads one fixture of a folder in the format of ``fixtures/README.md``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from golden.settings_outputs import OUTPUTS_IN_SETTINGS


@dataclass(frozen=True)
class Fixture:
    """One fixture: its settings, and access to its weights, inputs and outputs."""

    folder: Path
    name: str
    settings: dict[str, Any]

    @classmethod
    def read(cls, folder: Path, name: str) -> "Fixture":
        return cls(folder, name, json.loads((folder / f"{name}.json").read_text()))

    @property
    def kind(self) -> str:
        return str(self.settings.get("kind"))

    def inputs(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The inputs without their prefix, own ones and those of another fixture."""
        tensors = {key: value for key, value in self._io().items() if key.startswith("in.")}
        for key, (source, source_key) in self.settings.get("inputs_from", {}).items():
            tensors[key] = load_file(self.folder / f"{source}.io.safetensors")[source_key]
        return {key.removeprefix("in."): _cast(value, dtype) for key, value in tensors.items()}

    def outputs(self) -> dict[str, Tensor]:
        """The reference's outputs without their prefix, in their stored type."""
        if self.kind in OUTPUTS_IN_SETTINGS:
            return OUTPUTS_IN_SETTINGS[self.kind](self.settings)
        tensors = self._io().items()
        return {key.removeprefix("out."): value for key, value in tensors if key.startswith("out.")}

    def state(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The weights, own ones or those of another fixture."""
        source = self.settings.get("state_from", self.name)
        state = load_file(self.folder / f"{source}.state.safetensors")
        return {key: _cast(value, dtype) for key, value in state.items()}

    def load(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """The network in ``dtype`` with the fixture's weights, which must match by name."""
        network = network.to(dtype)
        network.load_state_dict(self.state(dtype), strict=True)
        return network

    def reference_rounding(self, key: str) -> float | None:
        """How far the reference in float32 is from itself in float64, where the fixture says so."""
        return self.settings.get("max_abs_diff_fp32_vs_fp64_reference", {}).get(f"out.{key}")

    def _io(self) -> dict[str, Tensor]:
        return load_file(self.folder / f"{self.name}.io.safetensors")


def fixture_names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor

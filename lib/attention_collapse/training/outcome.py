"""What a finished run says about itself, in a file beside its weights."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OUTCOME = "training.json"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run went, and what came of it.

    Home section: *mini-VGGT*.

    Attributes:
        commands: What began the run and what resumed it.
        settings: Of the run, as ``describe_run`` writes them.
        time: When it ended, in UTC.
        device: As ``provenance.device_facts`` describes it.
        versions: Of Python and of the libraries that computed.
        source_digest: Of the package's Python files.
        compute_dtype: Number format of matrix products.
        tf32: Whether products of 32-bit matrices were shortened.
        seconds: Time of all steps in all commands together.
        test_errors: Of the network and of the mean predictor on new worlds, by quantity.
        columns: What the columns of the curve are.
        curve: One line for every ``log_every`` steps.
    """

    commands: Sequence[str]
    settings: Mapping[str, Any]
    time: str
    device: Mapping[str, Any]
    versions: Mapping[str, str]
    source_digest: str
    compute_dtype: str
    tf32: bool
    seconds: float
    test_errors: Mapping[str, Mapping[str, float]]
    columns: Sequence[str]
    curve: Sequence[Sequence[float]]

    def save(self, folder: Path) -> Path:
        """Write it whole or not at all."""
        path, temporary = folder / OUTCOME, folder / f".{OUTCOME}.part"
        temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")
        temporary.replace(path)
        return path

    @classmethod
    def load(cls, folder: Path) -> "Outcome":
        """What a folder says.

        Raises:
            ValueError: The run has not come to its end, or the file has other entries.
        """
        path = folder / OUTCOME
        if not path.exists():
            raise ValueError(
                f"a finished run must have said how it went, got no {path}; train to the end, "
                "with --resume where there is a checkpoint"
            )
        entries = json.loads(path.read_text())
        names = {field.name for field in dataclasses.fields(cls)}
        if set(entries) != names:
            raise ValueError(
                f"{path} must have the entries {', '.join(sorted(names))}, it differs in "
                f"{', '.join(sorted(names ^ set(entries)))}; it is of another version: train anew"
            )
        return cls(**entries)

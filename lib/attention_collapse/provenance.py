"""Where, when and with what a measurement was taken."""

import datetime
import hashlib
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

_PACKAGE = Path(__file__).parent


def check_device(device: str) -> None:
    """Refuse a ``device`` that this machine does not have.

    Raises:
        ValueError: with the reason that torch gives.

    Home section: *The phenomenon*.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device must be one that torch can use here, got {device!r} ({reason}): use cpu"
        ) from error


def device_facts(device: str) -> dict[str, Any]:
    """Name, memory in bytes, driver and count of ``device``; None where it has no such thing.

    Home section: *The phenomenon*.
    """
    if torch.device(device).type != "cuda":
        return {"name": "cpu", "memory": None, "driver": None, "count": 1}
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "memory": properties.total_memory,
        "driver": _driver_version(),
        "count": 1,
        "cuda": torch.version.cuda,
        "compute_capability": f"{properties.major}.{properties.minor}",
    }


def _driver_version() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    if not shutil.which(query[0]):
        return None
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute.

    Home section: *The phenomenon*.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def utc_now() -> str:
    """The time in UTC, ISO 8601, to the second.

    Home section: *The phenomenon*.
    """
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def source_digest(package: Path = _PACKAGE) -> str:
    """SHA-256 over the names and contents of the package's Python files.

    It tells which state of the code took a record. Whether today's code still means the same is
    for the canary to say.

    Home section: *The phenomenon*.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

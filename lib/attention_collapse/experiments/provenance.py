"""Where, when and with what a measurement was taken."""

import datetime
import hashlib
import platform
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

_PACKAGE = Path(__file__).parents[1]


def device_facts(device: str) -> dict[str, Any]:
    """Name, memory in bytes, driver and count of ``device``.

    Home section: *The phenomenon*.
    """
    if torch.device(device).type != "cuda":
        return {"name": "cpu", "memory": None, "driver": platform.machine(), "count": 1}
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "memory": properties.total_memory,
        "driver": f"CUDA {torch.version.cuda}, compute capability "
        f"{properties.major}.{properties.minor}",
        "count": 1,
    }


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

    Home section: *The phenomenon*.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

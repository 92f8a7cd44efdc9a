"""The weights that a run leaves, in half precision."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

WEIGHTS = "weights.safetensors"


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> Path:
    """Write weights in float16, whole or not at all.

    Home section: *mini-VGGT*.

    Raises:
        ValueError: A weight leaves the range of float16.
    """
    short = {name: weight.detach().cpu().half().contiguous() for name, weight in weights.items()}
    outside = [name for name, weight in short.items() if not weight.isfinite().all()]
    if outside:
        raise ValueError(
            f"weights must be finite in float16, got {', '.join(outside)} out of range; train anew "
            "with smaller steps"
        )
    path = folder / WEIGHTS
    temporary = folder / f".{WEIGHTS}.part"
    save_file(short, temporary)
    temporary.replace(path)
    return path

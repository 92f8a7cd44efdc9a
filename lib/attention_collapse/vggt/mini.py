"""The trained mini network that comes with the book."""

from pathlib import Path

import torch

from attention_collapse.vggt.model import VGGT
from attention_collapse.vggt.model_config import MINI

MINI_WEIGHTS = Path(__file__).parents[1] / "weights" / "mini.safetensors"


def mini(
    weights: Path | str = MINI_WEIGHTS,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> VGGT:
    """The trained network of 6.5 M parameters for images of 56 x 56 pixels.

    ``python -m attention_collapse.training --preset mini`` makes such weights.
    Home section: *mini-VGGT*.

    Args:
        weights: File of the weights; those that come with the book, unless told otherwise.
        device: Where the network goes.
        dtype: Format of the linear maps of the aggregator, as in ``VGGT.from_checkpoint``.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged or does not fit the network.
    """
    if not Path(weights).exists():
        raise FileNotFoundError(
            f"there are no weights at {weights}; install the package anew, or train some with "
            "python -m attention_collapse.training --preset mini and pass their file"
        )
    return VGGT.from_checkpoint(weights, MINI, device=device, dtype=dtype)

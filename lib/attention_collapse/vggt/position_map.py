"""Position map: where a cell of a feature map lies in its image, as sines and cosines."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

FREQUENCY_BASE = 100.0


def position_map(
    channels: int,
    rows: int,
    columns: int,
    *,
    aspect: float,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "channel row column"]:
    r"""Sines and cosines of the place of each cell, by channel.

    The image is scaled to a diagonal of length 2 around its centre: with aspect :math:`a`, width
    over height, it reaches to :math:`a / \sqrt{a^2 + 1}` across and :math:`1 / \sqrt{a^2 + 1}`
    down. Cell centres are evenly spaced in between. The first half of the channels reads the place
    across, the second half the place down; a half holds :math:`\sin(u\,\omega_k)` for all
    :math:`k`, then :math:`\cos(u\,\omega_k)`, with

    .. math:: \omega_k = 100^{-4 k / \text{channels}}, \qquad k = 0, \dots, \text{channels}/4 - 1.

    Angles are computed in float64 on the CPU, one table for each axis, and rounded once.

    Args:
        channels: Channels of the map, a positive multiple of 4.
        rows: Rows of the map.
        columns: Columns of the map.
        aspect: Width of the image over its height.
        dtype: Type of the result.
        device: Device of the result.

    Raises:
        ValueError: ``channels`` is not a positive multiple of 4.

    Source: the dense head of VGGT (arXiv 2503.11651). Home section: *Notation*.
    """
    check_position_channels(channels)
    diagonal = math.hypot(aspect, 1.0)
    across = _waves(columns, aspect / diagonal, channels // 4).to(dtype=dtype).to(device)
    down = _waves(rows, 1 / diagonal, channels // 4).to(dtype=dtype).to(device)
    return torch.cat(
        (across[:, None, :].expand(-1, rows, -1), down[:, :, None].expand(-1, -1, columns))
    )


def check_position_channels(channels: int) -> None:
    """Refuse a number of channels that two axes of sines and cosines cannot share.

    Raises:
        ValueError: ``channels`` is not a positive multiple of 4.

    Home section: *Notation*.
    """
    if channels < 4 or channels % 4:
        raise ValueError(
            "a position map needs a positive multiple of 4 channels (sine and cosine on two axes), "
            f"got {channels}; VGGT uses 256, 512, 1024 and 128"
        )


def _waves(cells: int, span: float, frequencies: int) -> Float64[Tensor, "channel cell"]:
    # The outermost centres lie half a cell inside the span.
    reach = span * (cells - 1) / cells
    places = torch.linspace(-reach, reach, cells, dtype=torch.float64, device="cpu")
    step = torch.arange(frequencies, dtype=torch.float64, device="cpu") / frequencies
    angles = FREQUENCY_BASE ** -step[:, None] * places
    return torch.cat((angles.sin(), angles.cos()))

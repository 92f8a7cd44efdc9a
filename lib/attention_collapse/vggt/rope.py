"""Rotary position embedding in two dimensions: positions enter attention as rotations."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class RotaryTable:
    """Cosine and sine of every rotation angle of one frame.

    Args:
        cos: Cosine of the angle of each token and channel.
        sin: Sine of the same angles.

    Home section: *Notation*.
    """

    cos: Float[Tensor, "token dim"]
    sin: Float[Tensor, "token dim"]


def check_rotary(dim: int, base: float) -> None:
    """Refuse a head dimension or a base for which no rotation exists.

    Raises:
        ValueError: ``dim`` is not a positive multiple of 4, or ``base`` is not finite and
            positive.

    Home section: *Notation*.
    """
    if dim < 4 or dim % 4:
        raise ValueError(
            "the head dimension must be a positive multiple of 4 for rotary positions (two axes of "
            f"channel pairs), got {dim}; change the width or the number of heads"
        )
    if not 0 < base < math.inf:
        raise ValueError(f"the rotary base must be finite and positive, got {base}; VGGT uses 100")


def rotary_table(
    positions: Int[Tensor, "token 2"],
    *,
    dim: int,
    base: float = 100.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> RotaryTable:
    r"""The table of :math:`\cos` and :math:`\sin` of :math:`\theta = p\,\omega_i`.

    The first half of the ``dim`` channels turns with the row position y, the second half with the
    column position x. A half has ``dim / 4`` frequencies

    .. math:: \omega_i = \text{base}^{-4 i / \text{dim}}, \qquad i = 0, \dots, \text{dim}/4 - 1,

    and channel :math:`i` of a half is paired with channel :math:`i + \text{dim}/4` of the same
    half. Angles (radians) are computed in float64 on the CPU and rounded once, to ``dtype``.

    Args:
        positions: Whole-number (y, x) of each token, as from ``TokenLayout.positions``.
        dim: Channels of one head.
        base: Base of the geometric series of frequencies.
        dtype: Type of the table.
        device: Device of the table.

    Raises:
        ValueError: ``dim`` is not a positive multiple of 4, or ``base`` is not finite and
            positive.

    Source: rotary embedding, Su et al. (arXiv 2104.09864), section 3.2; the two-axis form is
    VGGT's. Home section: *Notation*.
    """
    check_rotary(dim, base)
    step = torch.arange(dim // 4, dtype=torch.float64, device="cpu") / (dim // 4)
    frequencies = base**-step
    angles = positions.to("cpu", torch.float64)[:, :, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1).flatten(1)
    return RotaryTable(
        cos=angles.cos().to(dtype=dtype).to(device=device),
        sin=angles.sin().to(dtype=dtype).to(device=device),
    )


def rotate(
    tokens: Float[Tensor, "*batch token dim"], table: RotaryTable
) -> Float[Tensor, "*batch token dim"]:
    r"""The tokens turned by the angles of their positions.

    A channel pair :math:`(a, b)` at angle :math:`\theta` becomes
    :math:`(a \cos\theta - b \sin\theta,\; b \cos\theta + a \sin\theta)`. The scalar product of a
    rotated query and a rotated key then depends on the difference of their positions only.

    The tokens may hold several frames end to end: each frame reads the same table, because the
    frame number is no part of a position. The result has the type of ``tokens``.

    Args:
        tokens: Queries or keys; the number of tokens is a multiple of the table's.
        table: The table of one frame.

    Raises:
        ValueError: The channels or the number of tokens do not fit the table.

    Source: Su et al. (arXiv 2104.09864), section 3.2. Home section: *Notation*.
    """
    per_frame, dim = table.cos.shape
    count = tokens.shape[-2]
    if tokens.shape[-1] != dim or count % per_frame:
        raise ValueError(
            f"tokens must have {dim} channels and a multiple of {per_frame} tokens to fit the "
            f"rotary table, got shape {tuple(tokens.shape)}; build the table from their positions"
        )
    frames = tokens.unflatten(-2, (count // per_frame, per_frame))
    first, second = frames.unflatten(-1, (2, 2, dim // 4)).unbind(-2)
    quarter_turn = torch.stack((-second, first), dim=-2).flatten(-3)
    rotated = frames * table.cos + quarter_turn * table.sin
    return rotated.flatten(-3, -2).to(tokens.dtype)

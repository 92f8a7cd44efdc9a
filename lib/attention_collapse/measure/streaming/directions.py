"""Orthonormal directions of tall blocks, whose inner products are taken in float64."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

# Rows whose float64 copy exists at one time.
ROWS_AT_ONCE = 2**16
# Relative energy below which a direction of a block is rounding.
ROUNDING = 1e-14
# Roundings of the number format that a column may keep of directions taken from it.
ROUNDING_STEPS = 8


Total = Callable[[Tensor], Tensor]
"""Adds a tensor over the processes that share the rows."""


def unshared(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor itself, as the total over rows that every process holds.

    Home section: *Measuring collapse*.
    """
    return tensor


class Directions:
    """Orthonormal directions that grow block by block, with full orthogonalisation.

    Args:
        total: Adds inner products over the processes that share the rows.
        known: Orthonormal directions to start from.

    Home section: *Measuring collapse*.
    """

    def __init__(
        self, total: Total = unshared, *, known: tuple[Float[Tensor, "row column"], ...] = ()
    ) -> None:
        self._total = total
        self.blocks = list(known)

    def extend(self, columns: Float[Tensor, "row column"]) -> Float64[Tensor, "direction column"]:
        """Add the directions of ``columns``; return the coefficients of the columns in all.

        Directions that the columns do not have are zero.
        """
        # Against the columns as they came: where the directions exhaust them, rounding is left.
        rounding = torch.finfo(columns.dtype).eps * ROUNDING_STEPS
        floor = rounding**2 * self.inner(columns, columns).trace()
        columns, coefficients = self.outside(columns)
        newest = columns
        factor = torch.eye(columns.shape[-1], dtype=torch.float64, device=columns.device)
        # Twice: the first pass leaves the rounding of a badly conditioned block.
        for _ in range(2):
            newest, step = self._orthonormal(newest, floor)
            factor = step @ factor
            floor = torch.zeros_like(floor)
        self.blocks.append(newest)
        return torch.cat((coefficients, factor))

    def outside(
        self, columns: Float[Tensor, "row column"]
    ) -> tuple[Float[Tensor, "row column"], Float64[Tensor, "direction column"]]:
        """The part of the columns outside the directions, and the coefficients of the rest."""
        width = columns.shape[-1]
        found = [columns.new_zeros(block.shape[-1], width).double() for block in self.blocks]
        for _ in range(2):
            for block, coefficients in zip(self.blocks, found, strict=True):
                step = self.inner(block, columns)
                coefficients += step
                columns = torch.addmm(columns, block, step.to(columns.dtype), alpha=-1)
        empty = columns.new_empty(0, width, dtype=torch.float64)
        return columns, torch.cat((empty, *found))

    def inner(
        self, left: Float[Tensor, "row left"], right: Float[Tensor, "row right"]
    ) -> Float64[Tensor, "left right"]:
        """Inner products of columns with columns, over the rows of all processes."""
        own = left.new_zeros(left.shape[-1], right.shape[-1], dtype=torch.float64)
        for some, other in zip(left.split(ROWS_AT_ONCE), right.split(ROWS_AT_ONCE), strict=True):
            own += some.double().mT @ other.double()
        return self._total(own)

    def _orthonormal(
        self, columns: Float[Tensor, "row column"], floor: Float64[Tensor, ""]
    ) -> tuple[Float[Tensor, "row column"], Float64[Tensor, "column column"]]:
        """Orthonormal or zero columns Q, and R with Q R the columns given; energies above floor."""
        energies, axes = torch.linalg.eigh(self.inner(columns, columns))
        kept = energies > torch.maximum(ROUNDING * energies[-1], floor)
        scale = torch.where(kept, energies, 1.0).rsqrt() * kept
        factor = (energies.clamp_min(0).sqrt() * kept)[:, None] * axes.mT
        return columns @ (axes * scale).to(columns.dtype), factor

"""The leading singular values of a matrix too large for a full decomposition."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.validation import require_finite

# Columns that are multiplied at once: values that coincide are found as often as they occur, up to
# this number.
BLOCK = 4
# Products with the matrix and its transpose. For attention of 1000 Gaussian tokens at any
# temperature they leave an error bound of 2e-7 or less.
STEPS = 16
# A direction that holds less of its column than this is rounding: the space is exhausted.
ROUNDING = 1e-12


@dataclass(frozen=True)
class LeadingValues:
    r"""Leading singular values and how well they are known.

    Args:
        values: :math:`s_1 \ge s_2 \ge \dots`, none above the singular value of the same rank.
        errors: :math:`r_n`; a singular value lies within :math:`r_n` of :math:`s_n`.

    Home section: *The phenomenon*.
    """

    values: Float[Tensor, "*batch value"]
    errors: Float[Tensor, "*batch value"]

    @property
    def ratio(self) -> Float[Tensor, "*batch"]:
        r"""The ratio :math:`s_2 / s_1` of the first two."""
        return self.values[..., 1] / self.values[..., 0]

    @property
    def ratio_error(self) -> Float[Tensor, "*batch"]:
        r"""Bound :math:`(r_2 + r_1 s_2 / s_1) / s_1` on the error of the ratio."""
        first, second = self.errors[..., 0], self.errors[..., 1]
        return (second + self.ratio * first) / self.values[..., 0]


def leading_singular_values(
    matrix: Float[Tensor, "*batch row column"], *, count: int = 2, generator: torch.Generator
) -> LeadingValues:
    r"""The largest singular values, from products with the matrix, in float64.

    A block Krylov space grows from a few random columns :math:`\Omega`:

    .. math:: Q \text{ spans } A \Omega, \; (A A^\top) A \Omega, \dots, (A A^\top)^{m - 1} A \Omega,
        \qquad Q^\top A = U S V^\top,

    and :math:`s_n` are the leading entries of :math:`S`. With :math:`u_n, v_n` the columns of
    :math:`Q U` and :math:`V`, :math:`A^\top u_n = s_n v_n` holds exactly and
    :math:`r_n = \|A v_n - s_n u_n\|` is the whole residual, so that a singular value lies within
    :math:`r_n` of :math:`s_n`; the error is of order :math:`r_n^2` where the values are apart.
    A matrix no larger than the space is decomposed in full.

    Args:
        matrix: :math:`A`, for example attention; float64 is not copied.
        count: Values wanted, from 1 to 4.
        generator: Source of :math:`\Omega`, on the CPU.

    Raises:
        ValueError: If the matrix is empty, not finite or has fewer than ``count`` rows or columns,
            or ``count`` is out of range.

    Source: Golub and Van Loan, *Matrix Computations*, section 10.4; Musco and Musco
    (arXiv 1504.05477). Home section: *The phenomenon*.
    """
    require_finite("matrix", matrix)
    smallest = min(matrix.shape[-2:])
    if not 1 <= count <= min(BLOCK, smallest):
        raise ValueError(
            f"count must be from 1 to {min(BLOCK, smallest)}, got {count} for a matrix of shape "
            f"{tuple(matrix.shape)}: ask for all values with spectrum.singular_values"
        )
    matrix = matrix.double()
    if smallest <= BLOCK * STEPS:
        values = torch.linalg.svdvals(matrix)[..., :count]
        return LeadingValues(values, torch.zeros_like(values))
    basis, images = _krylov_basis(matrix, generator)
    right, values, left = torch.linalg.svd(images, full_matrices=False)
    right, values, left = right[..., :count], values[..., :count], basis @ left.mT[..., :count]
    errors = (matrix @ right - left * values[..., None, :]).norm(dim=-2)
    return LeadingValues(values, errors)


def _krylov_basis(
    matrix: Float[Tensor, "*batch row column"], generator: torch.Generator
) -> tuple[Float[Tensor, "*batch row direction"], Float[Tensor, "*batch column direction"]]:
    """The basis Q, whose columns are orthonormal or zero, and A^T Q."""
    start = torch.randn(matrix.shape[-1], BLOCK, dtype=torch.float64, generator=generator)
    images = [start.to(matrix.device)]
    basis = matrix.new_empty(*matrix.shape[:-1], 0)
    for _ in range(STEPS):
        newest = matrix @ images[-1]
        # Twice: what rounding leaves of the old directions would grow from step to step.
        for _ in range(2):
            newest = _new_directions(newest, basis)
        basis = torch.cat((basis, newest), dim=-1)
        images.append(matrix.mT @ newest)
    return basis, torch.cat(images[1:], dim=-1)


def _new_directions(
    columns: Float[Tensor, "*batch row column"], basis: Float[Tensor, "*batch row direction"]
) -> Float[Tensor, "*batch row column"]:
    """Orthonormal directions of ``columns`` outside the basis, and zeros where there are fewer."""
    scale = columns.norm(dim=-2, keepdim=True)
    outside = columns - basis @ (basis.mT @ columns)
    directions, shares, _ = torch.linalg.svd(
        outside / torch.where(scale > 0, scale, 1.0), full_matrices=False
    )
    return directions * (shares > ROUNDING)[..., None, :]

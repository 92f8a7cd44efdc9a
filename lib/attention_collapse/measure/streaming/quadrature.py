"""Stochastic Lanczos quadrature of what lies outside known singular directions."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attention_collapse.measure.streaming.bidiagonal import HeadProducts
from attention_collapse.measure.streaming.directions import Directions, Total, unshared


@dataclass(frozen=True)
class Quadrature:
    r"""Nodes and weights with :math:`w^\top f(A^\top A) w \approx \sum_k \omega_k f(x_k)`.

    Attributes:
        nodes: :math:`x_k`, of every random column :math:`w`.
        weights: :math:`\omega_k`.

    Home section: *Measuring collapse*.
    """

    nodes: Float64[Tensor, "column node"]
    weights: Float64[Tensor, "column node"]

    def mean_per_energy(
        self, values: Float64[Tensor, "column node"]
    ) -> tuple[Float64[Tensor, ""], Float64[Tensor, ""]]:
        r"""The ratio of the sums of :math:`f` and of :math:`x` over all columns, and its error.

        The error is the standard error over the columns. Both are zero where there is no energy.
        """
        energies = (self.weights * self.nodes).sum(-1)
        sums = (self.weights * values).sum(-1)
        total = energies.sum()
        if total == 0:
            return total, total
        mean = sums.sum() / total
        spread = (sums - mean * energies).square().sum()
        count = len(sums)
        return mean, (spread * count / (count - 1)).sqrt() / total


def bulk_quadratures(
    products: HeadProducts,
    known: Float[Tensor, "key value"],
    start: Float[Tensor, "key column"],
    *,
    steps: int,
) -> tuple[Quadrature, Quadrature]:
    r"""Gauss and Gauss–Radau quadrature for :math:`A` outside known directions.

    Golub–Kahan steps from each column, on its own, give an upper bidiagonal matrix whose squared
    singular values are the Gauss nodes. One more row and column with a zero on the diagonal puts a
    node at zero: Gauss–Radau. For :math:`f = x \ln x`, whose second, fourth, … derivatives are
    positive and whose third, fifth, … negative, the first is below and the second above the
    integral.

    Args:
        products: The matrix.
        known: Orthonormal directions over the keys that are left out.
        start: Random columns over the keys.
        steps: Golub–Kahan steps; each takes two products.

    Source: Golub and Meurant, *Matrices, Moments and Quadrature with Applications*, chapters 4
    and 6. Home section: *Measuring collapse*.
    """
    bulk = Directions(known=(known,))
    right, beta = _normalised(bulk.outside(start)[0], unshared)
    energies = beta.square()
    left, alphas, betas = None, [], []
    for _ in range(steps):
        image = products.apply(right)
        if left is not None:
            image = image - left * beta.to(left.dtype)
        left, alpha = _normalised(image, products.shards.sum)
        image = products.apply_transposed(left) - right * alpha.to(right.dtype)
        right, beta = _normalised(bulk.outside(image)[0], unshared)
        alphas.append(alpha)
        betas.append(beta)
    gauss = _quadrature(alphas, betas[:-1], energies)
    return gauss, _quadrature([*alphas, torch.zeros_like(alphas[0])], betas, energies)


def _quadrature(
    alphas: list[Float64[Tensor, "column"]],
    betas: list[Float64[Tensor, "column"]],
    energies: Float64[Tensor, "column"],
) -> Quadrature:
    diagonal = torch.diag_embed(torch.stack(alphas, dim=-1))
    upper = torch.diag_embed(torch.stack(betas, dim=-1), offset=1)
    _, nodes, axes = torch.linalg.svd(diagonal + upper)
    return Quadrature(nodes.square(), energies[:, None] * axes[..., 0].square())


def _normalised(
    columns: Float[Tensor, "token column"], total: Total
) -> tuple[Float[Tensor, "token column"], Float64[Tensor, "column"]]:
    """Columns of length one, or zero, and their lengths."""
    lengths = total(columns.double().square().sum(0)).sqrt()
    return columns / torch.where(lengths > 0, lengths, 1.0).to(columns.dtype), lengths

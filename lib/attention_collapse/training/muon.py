"""Muon: steps of matrices along the nearest orthogonal matrix to their momentum."""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.training.precision import product_dtype

# An odd polynomial whose iteration takes every number in (0, 1] to about one, fastest at zero.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5

# A step of this size times the root of the longer side has entries as large as AdamW's.
MATCHED_SIZE = 0.2


def orthogonalised(
    matrices: Float[Tensor, "matrix row column"],
) -> Float[Tensor, "matrix row column"]:
    r"""About :math:`U V^\top` of each matrix :math:`U \Sigma V^\top`, by matrix products alone.

    From :math:`X` scaled to Frobenius norm one, five times

    .. math:: X \leftarrow a X + b (X X^\top) X + c (X X^\top)^2 X.

    The singular values end between about 0.7 and 1.2. On a GPU that has it, the
    products are in bfloat16.

    Source: Jordan et al., Muon (2024), for the coefficients. Home section: *mini-VGGT*.
    """
    short = product_dtype(matrices.device) is torch.bfloat16
    working = torch.bfloat16 if short else matrices.dtype
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).to(working)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, for matrices; those of one shape are stepped together.

    The rows of ``qkv`` matrices, three times as many as columns, are three matrices.

    Source: Jordan et al., Muon (2024); sizes matched to AdamW as in Liu et al. (arXiv 2502.16982).
    Home section: *mini-VGGT*.

    Args:
        matrices: Parameters with two axes.
        lr: Step size.
        weight_decay: Decay per unit of step size.
        momentum: Weight of the past.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(list(matrices), defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Step every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for matrices in by_shape.values():
                self._step_together(matrices, group)

    def _step_together(self, matrices: list[nn.Parameter], group: dict) -> None:
        gradients = [matrix.grad for matrix in matrices]
        for matrix in matrices:
            if "momentum" not in self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        momenta = [self.state[matrix]["momentum"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        steps = _directions(torch.stack(ahead)).unbind(0)
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(matrices, steps, alpha=-group["lr"])


def _directions(ahead: Float[Tensor, "matrix row column"]) -> Float[Tensor, "matrix row column"]:
    rows, columns = ahead.shape[-2:]
    parts = ahead.unflatten(1, (3, columns)).flatten(0, 1) if rows == 3 * columns else ahead
    size = MATCHED_SIZE * math.sqrt(max(parts.shape[-2:]))
    return size * orthogonalised(parts).reshape(ahead.shape)

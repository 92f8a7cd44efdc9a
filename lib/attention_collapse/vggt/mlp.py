"""The part of a block that acts on every token by itself."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.initialisation import linear


class MLP(nn.Module):
    r"""Two linear maps around a GELU, :math:`W_2 \operatorname{GELU}(W_1 x + b_1) + b_2`.

    The GELU is the exact one, :math:`\operatorname{GELU}(t) = t\,\Phi(t)` with the normal
    distribution function :math:`\Phi`.

    Source: Hendrycks and Gimpel (arXiv 1606.08415). Home section: *The phenomenon*.
    """

    def __init__(self, width: int, hidden: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.fc1 = linear(width, hidden, generator=generator)
        self.fc2 = linear(hidden, width, generator=generator)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """The MLP output of every token, in the type of the weights."""
        return self.fc2(F.gelu(self.fc1(x.to(self.fc1.weight.dtype))))


def hidden_width(width: int, mlp_ratio: float) -> int:
    """The hidden channels of the MLP, ``width * mlp_ratio`` rounded down.

    Raises:
        ValueError: No channel is left, or their number is not finite.

    Home section: *Notation*.
    """
    hidden = width * mlp_ratio
    if not 1 <= hidden < math.inf:
        raise ValueError(
            "the MLP must have at least 1 hidden channel and finitely many, got width "
            f"{width} times mlp_ratio {mlp_ratio}; VGGT uses a ratio of 4"
        )
    return int(hidden)

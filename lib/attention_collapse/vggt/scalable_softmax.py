"""Scores that grow with the number of keys."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ScalableSoftmax(nn.Module):
    r"""The queries of head :math:`h` times :math:`s_h \ln N`, for :math:`N` tokens.

    Weights of a softmax over scores of fixed size fall like :math:`1/N`. With this factor a weight
    is proportional to :math:`N^{s_h z}` for the score :math:`z`, so that keys which stand out from
    the others keep their share. The factors :math:`s_h` are learned.

    Args:
        heads: Number of heads.
        value: First value of :math:`s_h`; :math:`1 / \ln N_0` leaves scores of :math:`N_0` tokens
            as they are.

    Raises:
        ValueError: ``value`` is not finite and positive.

    Source: Nakanishi (arXiv 2501.19399). Home section: *What fails*.
    """

    def __init__(self, heads: int, value: float) -> None:
        super().__init__()
        check_softmax_factor(value)
        self.factor = nn.Parameter(torch.full((heads,), value))

    def forward(
        self, query: Float[Tensor, "batch head token dim"]
    ) -> Float[Tensor, "batch head token dim"]:
        """The queries of all tokens that attend to each other, scaled, in their own type."""
        factor = self.factor * math.log(query.shape[-2])
        return (query * factor[:, None, None]).to(query.dtype)


def check_softmax_factor(value: float) -> None:
    """Refuse a first factor that turns scores around, or is not a number.

    Raises:
        ValueError: ``value`` is not finite and positive.

    Home section: *What fails*.
    """
    if not 0 < value < math.inf:
        raise ValueError(
            f"scalable_softmax must be finite and positive, got {value}; 0.17 leaves scores of 350 "
            "tokens as they are, None leaves the factors out"
        )

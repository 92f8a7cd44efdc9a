"""Spread of a set of tokens: their directions and their covariance."""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.validation import require_at_least_two, require_finite


def mean_cosine(tokens: Float[Tensor, "*batch token width"]) -> Float[Tensor, "*batch"]:
    r"""Mean cosine between two distinct tokens, in float64.

    .. math:: \frac{1}{N (N - 1)} \sum_{i \ne j} \cos(x_i, x_j)
        = 1 - \frac{1}{N - 1} \sum_i \|u_i - \bar u\|^2, \qquad u_i = \frac{x_i}{\|x_i\|},

    with :math:`\bar u` the mean of the directions: a cost of :math:`N` times the width, and no
    cancellation near collapse.

    Args:
        tokens: :math:`x_i`, two or more, none of them zero.

    Raises:
        ValueError: If there are fewer than two tokens, or one is zero or not finite.

    Source: the identity is checked in tests.
    Home section: *Notation*.
    """
    require_at_least_two("tokens", tokens, axis=-2)
    require_finite("tokens", tokens)
    tokens = tokens.double()
    norms = tokens.norm(dim=-1, keepdim=True)
    if (norms == 0).any():
        raise ValueError(
            f"tokens must not be zero; got {int((norms == 0).sum())} zero tokens: a zero token has "
            "no direction, leave it out."
        )
    directions = tokens / norms
    scatter = (directions - directions.mean(-2, keepdim=True)).square().sum((-2, -1))
    return 1.0 - scatter / (tokens.shape[-2] - 1)


def covariance_eigenvalues(
    tokens: Float[Tensor, "*batch token width"],
) -> Float[Tensor, "*batch width"]:
    r"""Eigenvalues of the token covariance, descending, in float64.

    .. math:: \Sigma = \frac1N \sum_i (x_i - \bar x)(x_i - \bar x)^\top

    is the covariance of the empirical measure, with divisor :math:`N`. The square root of the sum
    of its eigenvalues is the :math:`W_2` distance of the tokens to the Dirac at their mean.

    Args:
        tokens: :math:`x_i`, two or more.

    Raises:
        ValueError: If there are fewer than two tokens, or one is not finite.

    Home section: *The phenomenon*.
    """
    require_at_least_two("tokens", tokens, axis=-2)
    require_finite("tokens", tokens)
    centred = tokens.double()
    centred = centred - centred.mean(-2, keepdim=True)
    covariance = centred.mT @ centred / tokens.shape[-2]
    return torch.linalg.eigvalsh(covariance).flip(-1).clamp(min=0.0)


def participation_ratio(
    eigenvalues: Float[Tensor, "*batch width"],
) -> Float[Tensor, "*batch"]:
    r"""Participation ratio, the number of directions that share the variance.

    .. math:: \frac{\bigl(\sum_k \lambda_k\bigr)^2}{\sum_k \lambda_k^2}

    Args:
        eigenvalues: :math:`\lambda_k` of a covariance, in any order.

    Raises:
        ValueError: If the eigenvalues are empty, negative, all zero or not finite.

    Home section: *The phenomenon*.
    """
    require_finite("eigenvalues", eigenvalues)
    largest = eigenvalues.amax(-1, keepdim=True)
    if (eigenvalues < 0).any() or (largest == 0).any():
        raise ValueError(
            "eigenvalues must be non-negative and not all zero; got minimum "
            f"{eigenvalues.min():.3g} and maximum {eigenvalues.max():.3g}: tokens that are all "
            "equal have no direction of variance."
        )
    shares = eigenvalues / largest
    return shares.sum(-1).square() / shares.square().sum(-1)

"""Rank of a matrix, read from its singular values.

Report ``singular_ratio`` beside the Frobenius measures: for many independent tokens the ratio falls
while the Frobenius distance from rank one does not.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.validation import require_at_least_two, require_finite


def singular_values(
    matrix: Float[Tensor, "*batch row column"],
) -> Float[Tensor, "*batch value"]:
    """Singular values of a matrix, descending, computed and returned in float64.

    Args:
        matrix: Attention or token matrix.

    Raises:
        ValueError: If ``matrix`` is empty or not finite.

    Home section: *The phenomenon*.
    """
    require_finite("matrix", matrix)
    return torch.linalg.svdvals(matrix.double())


def singular_ratio(singular_values: Float[Tensor, "*batch value"]) -> Float[Tensor, "*batch"]:
    r"""Ratio of the second singular value to the first, :math:`\sigma_2 / \sigma_1`.

    Args:
        singular_values: :math:`\sigma_n`, in any order, two or more.

    Raises:
        ValueError: If there are fewer than two values, or they are negative, all zero or not
            finite.

    Home section: *The phenomenon*.
    """
    require_at_least_two("singular_values", singular_values, axis=-1)
    _require_spectrum(singular_values)
    first, second = singular_values.topk(2, dim=-1).values.unbind(-1)
    return second / first


def stable_rank(singular_values: Float[Tensor, "*batch value"]) -> Float[Tensor, "*batch"]:
    r"""Stable rank, :math:`\|A\|_F^2 / \sigma_1^2 = \sum_n \sigma_n^2 / \max_n \sigma_n^2`.

    Args:
        singular_values: :math:`\sigma_n`, in any order.

    Raises:
        ValueError: If the values are empty, negative, all zero or not finite.

    Home section: *The phenomenon*.
    """
    _require_spectrum(singular_values)
    return _relative(singular_values).square().sum(-1)


def effective_rank(singular_values: Float[Tensor, "*batch value"]) -> Float[Tensor, "*batch"]:
    r"""Effective rank, the exponential of the entropy of the normalised singular values.

    .. math:: \exp\Bigl(-\sum_n p_n \ln p_n\Bigr), \qquad p_n = \frac{\sigma_n}{\sum_m \sigma_m}.

    Args:
        singular_values: :math:`\sigma_n`, in any order.

    Raises:
        ValueError: If the values are empty, negative, all zero or not finite.

    Source: Roy and Vetterli (2007).
    Home section: *The phenomenon*.
    """
    _require_spectrum(singular_values)
    relative = _relative(singular_values)
    shares = relative / relative.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1).exp()


def distance_from_rank_one(
    attention: Float[Tensor, "*batch query key"],
) -> Float[Tensor, "*batch"]:
    r"""Relative squared distance of attention from the matrix with every row equal to their mean.

    .. math:: \frac{\|A - \mathbf 1 \pi^\top\|_F^2}{\|A\|_F^2}
        = 1 - \frac{N \|\pi\|^2}{\|A\|_F^2}, \qquad \pi = \tfrac1N A^\top \mathbf 1.

    It is computed as the left side, in float64; the right side loses its digits near zero.

    Args:
        attention: :math:`A`, with :math:`N` rows, one per query.

    Raises:
        ValueError: If ``attention`` is empty, all zero or not finite.

    Home section: *The phenomenon*.
    """
    require_finite("attention", attention)
    attention = attention.double()
    total = attention.square().sum((-2, -1))
    if (total == 0).any():
        raise ValueError(
            "attention must not be all zero; got a zero matrix: pass rows that sum to one."
        )
    residual = attention - attention.mean(-2, keepdim=True)
    return residual.square().sum((-2, -1)) / total


def _relative(singular_values: Float[Tensor, "*batch value"]) -> Float[Tensor, "*batch value"]:
    return singular_values / singular_values.amax(-1, keepdim=True)


def _require_spectrum(singular_values: Float[Tensor, "*batch value"]) -> None:
    require_finite("singular_values", singular_values)
    if (singular_values < 0).any() or (singular_values.amax(-1) == 0).any():
        raise ValueError(
            "singular_values must be non-negative and not all zero; got minimum "
            f"{singular_values.min():.3g} and maximum {singular_values.max():.3g}: take them from "
            "a matrix that is not zero."
        )

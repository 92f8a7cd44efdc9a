"""Attention maps of one head: their weights, their entropy, and where the mass falls."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from attention_collapse.measure.validation import require_at_least_two, require_finite
from attention_collapse.tokens import TokenLayout

ROW_SUM_TOLERANCE = 1e-4
"""Largest error of a row sum of attention, or the machine epsilon of its dtype if larger."""


def attention_weights(
    query: Float[Tensor, "*batch query dim"],
    key: Float[Tensor, "*batch key _"],
    *,
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, "*batch query key"]:
    r"""Softmax attention of queries on keys, :math:`\mathrm{softmax}_j(q_i^\top k_j / \sqrt d)`.

    Args:
        query: :math:`q_i`, of :math:`d` dimensions, after any normalisation and rotation.
        key: :math:`k_j`, of as many dimensions.
        dtype: Type in which scores and softmax are computed.

    Raises:
        ValueError: If query and key differ in their dimensions, or one is empty or not finite.

    Home section: *The phenomenon*.
    """
    _require_same_dimension(query, key)
    require_finite("query", query)
    require_finite("key", key)
    scores = query.to(dtype) @ key.to(dtype).mT / query.shape[-1] ** 0.5
    return scores.softmax(-1)


def row_entropy(
    attention: Num[Tensor, "*batch query key"],
) -> Float[Tensor, "*batch query"]:
    r"""Entropy of every attention row in nats, :math:`-\sum_j A_{ij} \ln A_{ij}`.

    It lies between 0, one key, and :math:`\ln N`, all :math:`N` keys alike.

    Args:
        attention: :math:`A`, rows that sum to one.

    Raises:
        ValueError: If the weights are not floating-point numbers, or a row is not a distribution
            over the keys.

    Home section: *The phenomenon*.
    """
    _require_attention(attention)
    return torch.special.entr(attention.double()).sum(-1)


def frame_mass(
    attention: Num[Tensor, "*batch query key"], layout: TokenLayout
) -> Float[Tensor, "*batch frame frame"]:
    r"""Mean attention mass that a token of one frame puts on each frame.

    .. math:: F_{st} = \frac1P \sum_{i \in s} \sum_{j \in t} A_{ij}

    for frames of :math:`P` tokens. Rows sum to one.

    Args:
        attention: :math:`A` over all tokens of all frames, rows that sum to one.
        layout: Where the tokens sit.

    Raises:
        ValueError: If the weights are not floating-point numbers, a row is not a distribution, or
            the token count is not the layout's.

    Home section: *The phenomenon*.
    """
    _require_attention(attention)
    if attention.shape[-2:] != (layout.count, layout.count):
        raise ValueError(
            f"attention must be over the {layout.count} tokens of the layout; got shape "
            f"{tuple(attention.shape)}: pass global attention, or the layout of its tokens."
        )
    frames = (layout.frames, layout.per_frame)
    by_frame = attention.double().unflatten(-1, frames).sum(-1)
    return by_frame.unflatten(-2, frames).mean(-2)


def score_variance(
    query: Float[Tensor, "*batch query dim"], key: Float[Tensor, "*batch key _"]
) -> Float[Tensor, "*batch"]:
    r"""Variance over the keys of the scores of a query, mean over the queries, in float64.

    .. math:: s^2 = \frac1d \, \frac1N \sum_i q_i^\top \Sigma_k q_i

    with :math:`\Sigma_k` the covariance of the keys. In the Gaussian closure
    :math:`\ln N - H = s^2/2`. The scores themselves are not formed.

    Args:
        query: :math:`q_i`, of :math:`d` dimensions.
        key: :math:`k_j`, of as many dimensions, two or more.

    Raises:
        ValueError: If query and key differ in their dimensions, there are fewer than two keys, or
            a tensor is empty or not finite.

    Source: derived in *The rank profile in closed form*, theorem *Gaussian spectrum*.
    Home section: *The phenomenon*.
    """
    _require_same_dimension(query, key)
    require_at_least_two("key", key, axis=-2)
    require_finite("query", query)
    require_finite("key", key)
    second_moment = query.double().mT @ query.double() / query.shape[-2]
    factor = _covariance_factor(key)
    return (second_moment * (factor.mT @ factor)).sum((-2, -1)) / query.shape[-1]


def head_sharpness(
    query: Float[Tensor, "*batch query dim"], key: Float[Tensor, "*batch key _"]
) -> Float[Tensor, "*batch direction"]:
    r"""Sharpness of a head along its own directions, descending, in float64.

    .. math:: a_k = \sigma_k\bigl(\Sigma_q^{1/2} \Sigma_k^{1/2}\bigr) / \sqrt d

    are the inputs of the closed-form spectrum; :math:`\sum_k a_k^2` is the score variance of
    centred queries. There are as many as dimensions, or as tokens if those are fewer.

    Args:
        query: :math:`q_i`, of :math:`d` dimensions, two or more.
        key: :math:`k_j`, of as many dimensions, two or more.

    Raises:
        ValueError: If query and key differ in their dimensions, there are fewer than two of
            either, or a tensor is not finite.

    Source: defined in the home section.
    Home section: *The phenomenon*.
    """
    _require_same_dimension(query, key)
    for name, tensor in (("query", query), ("key", key)):
        require_at_least_two(name, tensor, axis=-2)
        require_finite(name, tensor)
    product = _covariance_factor(query) @ _covariance_factor(key).mT
    return torch.linalg.svdvals(product) / query.shape[-1] ** 0.5


def _covariance_factor(
    tokens: Float[Tensor, "*batch token dim"],
) -> Float[Tensor, "*batch direction dim"]:
    """A factor R with R^T R the covariance of the tokens."""
    centred = tokens.double() - tokens.double().mean(-2, keepdim=True)
    return torch.linalg.qr(centred, mode="r").R / tokens.shape[-2] ** 0.5


def _require_same_dimension(
    query: Float[Tensor, "*batch query dim"], key: Float[Tensor, "*batch key _"]
) -> None:
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"query and key must have the same dimension; got {query.shape[-1]} and "
            f"{key.shape[-1]}: take both from one head."
        )


def _require_attention(attention: Num[Tensor, "*batch query key"]) -> None:
    if not attention.is_floating_point():
        raise ValueError(
            f"attention must hold floating-point weights; got {attention.dtype}: pass weights "
            "after the softmax."
        )
    require_finite("attention", attention)
    tolerance = max(ROW_SUM_TOLERANCE, torch.finfo(attention.dtype).eps)
    error = (attention.double().sum(-1) - 1.0).abs().max()
    if error > tolerance or (attention < 0).any():
        raise ValueError(
            f"attention rows must be non-negative and sum to one; got sums off by {error:.3g} and "
            f"minimum {attention.min():.3g}: pass weights after the softmax."
        )

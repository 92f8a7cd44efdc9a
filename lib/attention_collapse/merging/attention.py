r"""Attention among groups, as quadrature of the mean-field operator.

Attention of a query on a measure :math:`\mu` of keys and values is

.. math:: \frac{\int v\, e^{q^\top k / \sqrt d}\, d\mu}{\int e^{q^\top k / \sqrt d}\, d\mu}.

A quadrature replaces the keys of a group by their mean and a weight. The weight 1 changes the
measure. The size of the group keeps it, to first order in the spread inside the group; the
covariance of the keys adds the second order of the weight.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.merging.choice import choose_backend
from attention_collapse.merging.groups import Groups

WEIGHTINGS = ("none", "size", "second_order")
"""What a group adds to its scores: nothing, log size, or log size and the spread of its keys."""


class MergedHeads(NamedTuple):
    """Queries, keys and values of groups, for a softmax of the queries' own dimension.

    Attributes:
        query: Queries, of groups or of all tokens.
        key: Keys of groups, of as many dimensions as the queries.
        value: Values of groups.
        bias: Added to every score of a key, in float32 at least, or ``None``.

    Home section: *Token merging*.
    """

    query: Float[Tensor, "batch head query extended"]
    key: Float[Tensor, "batch head group extended"]
    value: Float[Tensor, "batch head group dim"]
    bias: Float[Tensor, "batch group"] | None


@dataclass(frozen=True)
class MergeRule:
    """How heads are merged.

    Args:
        weighting: What a group adds to its scores, one of ``WEIGHTINGS``.
        queries: Merge the queries too; otherwise every token asks, and no output is copied.

    Raises:
        ValueError: The weighting is unknown.

    Home section: *Token merging*.
    """

    weighting: str = "size"
    queries: bool = True

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise ValueError(
                "weighting must be 'none', 'size' or 'second_order', got "
                f"{self.weighting!r}; 'size' keeps the measure of the keys"
            )


PROPORTIONAL = MergeRule()
"""Queries, keys and values merged, and keys weighted by size."""


def log_sizes(
    groups: Groups, *, sizes: Float[Tensor, "batch token"] | None = None
) -> Float[Tensor, "batch group"]:
    r"""The bias :math:`\ln n_g` of proportional attention, in float64 or the type of the sizes.

    Args:
        groups: Groups of tokens.
        sizes: Number of tokens that each token already stands for; ``None`` for one each.

    Raises:
        ValueError: A size is not positive or they are not of the tokens.

    Source: proportional attention of Bolya et al. (arXiv 2210.09461), section 3.
    Home section: *Token merging*.
    """
    return (groups.sizes.double() if sizes is None else groups.total(sizes)).log()


def merge_heads(
    query: Float[Tensor, "batch head token dim"],
    key: Float[Tensor, "batch head token dim"],
    value: Float[Tensor, "batch head token dim"],
    groups: Groups,
    *,
    rule: MergeRule = PROPORTIONAL,
) -> MergedHeads:
    r"""Queries, keys and values of groups, and the bias of their scores.

    With group means :math:`m_g` and variances :math:`s^2_{gc}` of the keys, the second order adds

    .. math:: \ln \frac1{n_g} \sum_{i \in g} e^{q^\top k_i / \sqrt d}
        = \frac{q^\top m_g}{\sqrt d} + \frac1{2 d} \sum_c q_c^2 s_{gc}^2 + \dots

    with the diagonal of the covariance alone. It doubles the dimensions of query and key, which
    are scaled for a softmax that divides by :math:`\sqrt{2 d}`. Values are averaged: their
    covariance with the keys, of second order too, is left out.

    Args:
        query: :math:`q`, as it enters the softmax.
        key: :math:`k`.
        value: Values.
        groups: Groups, the same for all heads.
        rule: What is merged, and how groups are weighted.

    Raises:
        ValueError: Batch or tokens are not those of the groups.

    Source: derived in the book; the size as in Bolya et al. (arXiv 2210.09461), section 3.
    Home section: *Token merging*.
    """
    merged = {"query": query} if rule.queries else {}
    merged |= {"value": value} if rule.weighting == "second_order" else {"key": key, "value": value}
    means = {"query": query} | dict(zip(merged, groups.merge_each(*merged.values()), strict=True))
    if rule.weighting == "second_order":
        means["query"], means["key"] = _second_order(means["query"], key, groups)
    wide = torch.promote_types(query.dtype, torch.float32)
    bias = None if rule.weighting == "none" else log_sizes(groups).to(wide)
    return MergedHeads(means["query"], means["key"], means["value"], bias)


def attend(
    merged: MergedHeads, *, backend: str | None = None
) -> Float[Tensor, "batch head query dim"]:
    r"""Outputs of merged queries.

    .. math:: y_q = \frac{\sum_g e^{b_g + q^\top k_g / \sqrt e}\, v_g}
        {\sum_g e^{b_g + q^\top k_g / \sqrt e}}

    The bias acts at the precision of the scores, float32 at least.

    Args:
        merged: Query, key, value and bias; :math:`e` is the dimension of the queries.
        backend: As the name in ``choose_backend``, which sees the queries.

    Home section: *Token merging*.
    """
    return choose_backend(merged.query, name=backend).attend(*merged)


def merged_attention(
    query: Float[Tensor, "batch head token dim"],
    key: Float[Tensor, "batch head token dim"],
    value: Float[Tensor, "batch head token dim"],
    groups: Groups,
    *,
    rule: MergeRule = PROPORTIONAL,
) -> Float[Tensor, "batch head token dim"]:
    """The output of every token when attention runs among groups.

    Members of a group get the same output where queries are merged.

    Args:
        query: As in ``merge_heads``.
        key: As in ``merge_heads``.
        value: As in ``merge_heads``.
        groups: Groups.
        rule: What is merged, and how groups are weighted.

    Raises:
        ValueError: Batch or tokens are not those of the groups.

    Source: derived in the book. Home section: *Token merging*.
    """
    output = attend(merge_heads(query, key, value, groups, rule=rule))
    return groups.unmerge(output) if rule.queries else output


def _second_order(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head token dim"],
    groups: Groups,
) -> tuple[Float[Tensor, "batch head query two_dim"], Float[Tensor, "batch head group two_dim"]]:
    """Query and key whose product is the score with the spread of the group in it."""
    # The spread is a difference of keys and their mean, which short numbers would round.
    wide = key.to(torch.promote_types(key.dtype, torch.float32))
    means = groups.merge(wide)
    spread = groups.merge((wide - groups.unmerge(means)).square())
    root = query.shape[-1] ** 0.5
    extended = 2**0.5 * torch.cat((query, query.square()), dim=-1)
    return extended, torch.cat((means, spread / (2 * root)), dim=-1).to(query.dtype)

"""What the global layers of a merged network show, while it merges."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.leading_values import leading_singular_values
from attention_collapse.merging.attention import MergeRule, merged_attention
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.reducer import MergeReducer
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Heads, Reduction
from attention_collapse.vggt.observation import attention_weights

Tokens = Float[Tensor, "token width"]

SPLIT = ("between", "within")
"""The two parts of the variance."""

# Draws the columns with which the search for singular values starts.
SEARCH_SEED = 0


@dataclass(frozen=True)
class FixedGroups:
    """A grouping that gives the same groups in every layer.

    Attributes:
        groups: Those groups.

    Home section: *Token merging*.
    """

    groups: Groups

    def __call__(
        self, features: Float[Tensor, "batch token width"], *, layer: int, layout: TokenLayout
    ) -> Groups:
        """The groups, whatever the features."""
        return self.groups


class MergedLayers:
    """A reducer that merges and keeps what the layers show, as numbers, and their tokens.

    Pass it as ``reducer=`` to one forward call over one scene, and the outputs of its global
    attention to ``take_update``; then ask for ``arrays()`` and ``tokens``.

    Args:
        grouping: The groups of all layers.
        rule: How groups are weighted.

    Home section: *Token merging*.
    """

    def __init__(self, grouping: FixedGroups, rule: MergeRule) -> None:
        self.tokens: list[Tokens] = []
        self._groups = grouping.groups
        self._merge = MergeReducer(Reduction, grouping, rule)
        self._rows: list[Mapping[str, float]] = []
        self._updates: list[float] = []

    def __call__(
        self,
        heads: Heads,
        tokens: Float[Tensor, "batch token width"],
        *,
        layer: int,
        layout: TokenLayout,
    ) -> Reduction:
        """The reduction, measured."""
        reduction = self._merge(heads, tokens, layer=layer, layout=layout)
        self.tokens.append(tokens[0])
        self._rows.append(merged_statistics(reduction, self._groups))
        return reduction

    def take_update(self, update: Float[Tensor, "batch token width"]) -> None:
        """Take the output of the attention of one layer: what it adds to the tokens."""
        parts = variance_split(update[0], self._groups)
        self._updates.append(parts["within"] / (parts["between"] + parts["within"]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Singular ratio and entropy deficit by layer, and the share of updates within groups."""
        arrays = {name: np.array([row[name] for row in self._rows]) for name in self._rows[0]}
        return arrays | {"update_within": np.array(self._updates)}


def merged_statistics(reduction: Reduction, groups: Groups) -> dict[str, float]:
    r"""Singular ratio and entropy deficit of merged attention between all tokens.

    Merged attention :math:`A_G` between groups of :math:`n_g` tokens is :math:`U A_G T` between
    tokens: a row spreads the weight of a group evenly over its tokens. With
    :math:`\Lambda = \operatorname{diag}(n_g)` its singular values are those of
    :math:`\Lambda^{1/2} A_G \Lambda^{-1/2}`, and the entropy of a row gains
    :math:`\sum_h A_{gh} \ln n_h`.

    Args:
        reduction: Merged queries and keys.
        groups: The groups.

    Home section: *Token merging*.
    """
    query, key, _ = reduction.heads
    weights = attention_weights(query, key, reduction.key_bias)[0]
    sizes = groups.sizes[0].to(weights.dtype)
    total = sizes.sum()
    balanced = sizes.sqrt()[:, None] * weights / sizes.sqrt()
    generator = torch.Generator().manual_seed(SEARCH_SEED)
    leading = leading_singular_values(balanced, generator=generator)
    entropy = torch.special.entr(weights).sum(-1) + weights @ sizes.log()
    mean_entropy = entropy @ (sizes / total)
    return {
        "singular_ratio": float(leading.ratio.mean()),
        "entropy_deficit": float(total.log() - mean_entropy.mean()),
    }


def variance_split(tokens: Tokens, groups: Groups) -> dict[str, float]:
    r"""Variance between and within groups, and the effective coefficient of their contraction.

    The variances are traces of covariances over the squared norm of the mean token, so that their
    sum is the squared spread. The coefficient is
    :math:`\operatorname{tr}\Sigma_b^2 / \operatorname{tr}\Sigma^2`.

    Args:
        tokens: The tokens.
        groups: Groups of one batch entry.

    Home section: *Token merging*.
    """
    centred = tokens - tokens.mean(0)
    means = groups.unmerge(groups.merge(centred[None]))[0]
    size = tokens.mean(0).square().sum() * len(tokens)
    return {
        "between": float(means.square().sum() / size),
        "within": float((centred - means).square().sum() / size),
        "coefficient": float(
            (means.T @ means).square().sum() / (centred.T @ centred).square().sum()
        ),
    }


def contraction(tokens: Tokens, groups: Groups, rule: MergeRule, sharpness: float) -> float:
    r"""How fast merged tokens contract under a head with :math:`V = -1`, over all tokens' rate.

    .. math:: \frac{\operatorname{tr} \operatorname{Cov}(x, A_G x)}
        {\operatorname{tr} \operatorname{Cov}(x, A x)}

    is the ratio of the derivatives of the variance, whatever the law of the tokens. Scores are
    :math:`b\, x_i \cdot x_j` of the centred tokens.

    Args:
        tokens: The tokens.
        groups: Groups of one batch entry.
        rule: How groups are weighted; queries are merged.
        sharpness: :math:`b` times the largest eigenvalue of the covariance.

    Home section: *Token merging*.
    """
    centred = tokens - tokens.mean(0)
    variance = torch.linalg.matrix_norm(centred, 2).square() / len(tokens)
    factor = (sharpness / variance).sqrt() * tokens.shape[1] ** 0.25
    read = (centred * factor)[None, None]
    alone = Groups.singletons(*read.shape[:1], len(tokens), device=tokens.device)
    rates = [
        (merged_attention(read, read, read, each, rule=rule)[0, 0] * centred).sum()
        for each in (groups, alone)
    ]
    return float(rates[0] / rates[1])

"""Merging inside a network that runs attention on the tokens a reducer leaves."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.merging.attention import (
    PROPORTIONAL,
    MergedHeads,
    MergeRule,
    attend,
    merge_heads,
)
from attention_collapse.merging.fastvggt import SEED, released_match, released_partition
from attention_collapse.merging.grouping import Grouping, ReusedGrouping
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import mean_over_heads
from attention_collapse.tokens import TokenLayout

Result = TypeVar("Result")
NamedHeads = tuple[
    Float[Tensor, "batch head token dim"],
    Float[Tensor, "batch head token dim"],
    Float[Tensor, "batch head token dim"],
]
"""Query, key and value of all tokens, in a named tuple of the network's own kind."""


@dataclass(frozen=True)
class MergeReducer(Generic[Result]):
    """A reducer that merges tokens, for a network that it does not know.

    The network gives named tuples ``(query, key, value)``, and ``reduction`` makes what it takes
    back, from merged ones of the same kind, ``restore``, ``key_bias`` and ``attend``. For the
    network of this package it is ``vggt.Reduction``.

    Args:
        reduction: Called as ``reduction(heads, restore=..., key_bias=..., attend=...)``.
        grouping: Makes the groups of a layer.
        rule: What is merged, and how groups are weighted.
        features: What tokens are compared by: ``"tokens"``, the normalised ones, or ``"keys"``,
            averaged over heads.
        reference_bias: Added to the scores of the first frame's keys before they merge: a group
            gets the logarithm of the mean of :math:`e^b` over its tokens. A first frame that is
            kept apart gets it whole.

    Raises:
        ValueError: ``features`` is unknown, or the bias is not finite.

    Source: derived in the book. Home section: *Token merging*.
    """

    reduction: Callable[..., Result]
    grouping: Grouping
    rule: MergeRule = PROPORTIONAL
    features: str = "tokens"
    reference_bias: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.reference_bias):
            raise ValueError(
                f"reference_bias must be finite, got {self.reference_bias}; 0 adds nothing"
            )
        if self.features not in ("tokens", "keys"):
            raise ValueError(
                f"features must be 'tokens' or 'keys', got {self.features!r}; keys are narrower"
            )

    def for_forward(self) -> "MergeReducer[Result]":
        """A reducer for one forward, whose layers may share groups."""
        if not isinstance(self.grouping, ReusedGrouping):
            return self
        return replace(self, grouping=self.grouping.for_forward())

    def __call__(
        self,
        heads: NamedHeads,
        tokens: Float[Tensor, "batch token width"],
        *,
        layer: int,
        layout: TokenLayout,
    ) -> Result:
        """Query, key and value of groups, and the way back to all tokens."""
        features = tokens if self.features == "tokens" else mean_over_heads(heads[1])
        groups = self.grouping(features, layer=layer, layout=layout)
        merged = merge_heads(*heads, groups, rule=self.rule)
        return self.reduction(
            type(heads)(merged.query, merged.key, merged.value),
            restore=groups.unmerge if self.rule.queries else _unchanged,
            key_bias=self._key_bias(merged, groups, layout),
            attend=_attend,
        )

    def _key_bias(
        self, merged: MergedHeads, groups: Groups, layout: TokenLayout
    ) -> Float[Tensor, "batch group"] | None:
        if self.reference_bias == 0.0:
            return merged.bias
        weights = torch.ones_like(groups.assignment, dtype=torch.float64)
        weights[:, : layout.per_frame] = math.exp(self.reference_bias)
        added = (groups.total(weights) / groups.sizes).log()
        added = added.to(torch.promote_types(merged.query.dtype, torch.float32))
        return added if merged.bias is None else merged.bias + added


@dataclass(frozen=True)
class ReleasedReducer(Generic[Result]):
    """A reducer that merges as FastVGGT was released, with its faults.

    Args:
        reduction: As in ``MergeReducer``.

    Source: released code of FastVGGT (arXiv 2509.02560). Home section: *Token merging*.
    """

    reduction: Callable[..., Result]

    def __call__(
        self,
        heads: NamedHeads,
        tokens: Float[Tensor, "batch token width"],
        *,
        layer: int,
        layout: TokenLayout,
    ) -> Result:
        """Query, key and value as released; every layer draws the same partition."""
        generator = torch.Generator().manual_seed(SEED)
        partition = released_partition(layout, generator=generator, device=tokens.device)
        found = released_match(tokens, partition)
        return self.reduction(
            type(heads)(*(found.merge(tensor) for tensor in heads)), restore=found.unmerge
        )


def _attend(
    heads: tuple[Tensor, Tensor, Tensor], *, key_bias: Float[Tensor, "batch key"] | None
) -> Float[Tensor, "batch head query dim"]:
    """Merged attention at full precision of the bias, for dimensions of any length."""
    return attend(MergedHeads(*heads, key_bias))


def _unchanged(output: Tensor) -> Tensor:
    return output

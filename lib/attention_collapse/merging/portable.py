"""The operations of merging by plain torch operations, on any device and in any type."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.merging.backend import Nearest
from attention_collapse.merging.members import Members

SCORES = 2**26
"""Scores that are held at a time."""


class PortableBackend:
    """Sums, products and weights in float32 at least; differentiable.

    Args:
        chunk: Sources at a time whose products with all destinations are held.

    Raises:
        ValueError: The chunk is below 1.

    Home section: *Token merging*.
    """

    name: ClassVar[str] = "portable"

    def __init__(self, *, chunk: int = 4096) -> None:
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1 source, got {chunk}; such as 4096")
        self._chunk = chunk

    def directions(
        self, features: Float[Tensor, "batch token width"], rows: Int64[Tensor, "row"]
    ) -> Float[Tensor, "batch row width"]:
        """Directions in float32 at least."""
        return directions(features[:, rows])

    def nearest(
        self,
        sources: Float[Tensor, "batch source width"],
        destinations: Float[Tensor, "batch destination width"],
    ) -> Nearest:
        """A chunk of sources at a time with all destinations."""
        best = [(part @ destinations.mT).max(-1) for part in sources.split(self._chunk, dim=1)]
        return Nearest(
            torch.cat([part.indices for part in best], dim=1),
            torch.cat([part.values for part in best], dim=1),
        )

    def means(
        self, tokens: Sequence[Float[Tensor, "batch *axes token width"]], members: Members
    ) -> list[Float[Tensor, "batch *axes group width"]]:
        """Sums in the order in which the tokens come, over the sizes."""
        totals = (along(members.sizes.to(_wide(each)), each) for each in tokens)
        return [
            (sums(each, members) / total).to(each.dtype)
            for each, total in zip(tokens, totals, strict=True)
        ]

    def copies(
        self, rows: Float[Tensor, "batch *axes group width"], members: Members
    ) -> Float[Tensor, "batch *axes token width"]:
        """A gather along the groups."""
        shape = (*rows.shape[:-2], members.assignment.shape[1], rows.shape[-1])
        return rows.gather(-2, along(members.assignment, rows).expand(shape))

    def attend(
        self,
        query: Float[Tensor, "batch head query dim"],
        key: Float[Tensor, "batch head key dim"],
        value: Float[Tensor, "batch head key value_dim"],
        bias: Float[Tensor, "batch key"] | None,
    ) -> Float[Tensor, "batch head query value_dim"]:
        """The fused kernel without a bias; with one, all weights of a chunk of queries.

        The fused kernels would round a bias to the type of the queries, and those for queries
        longer than values may hold all scores.
        """
        if bias is None and query.shape[-1] == value.shape[-1]:
            return F.scaled_dot_product_attention(query, key, value)
        wide = _wide(query)
        key, scaled = key.to(wide), value.to(wide)
        added = 0 if bias is None else bias[:, None, None].to(wide)
        chunk = max(1, SCORES // key[..., 0].numel())
        parts = []
        for part in query.split(chunk, dim=2):
            scores = part.to(wide) @ key.mT / query.shape[-1] ** 0.5
            parts.append(((scores + added).softmax(-1) @ scaled).to(value.dtype))
        return torch.cat(parts, dim=2)


def directions(
    features: Float[Tensor, "*batch token width"],
) -> Float[Tensor, "*batch token width"]:
    r"""Features over their norms, :math:`x / \|x\|`, in float32 at least.

    A zero feature has no direction and stays zero: its cosine with every other is 0.

    Raises:
        ValueError: There is no feature, or one is infinite or not a number.

    Home section: *Token merging*.
    """
    if features.numel() == 0:
        raise ValueError(
            f"features must have entries, got shape {tuple(features.shape)}; match at least one "
            "token"
        )
    wide = features.to(_wide(features))
    # By its largest entry first: the square of a small or large number leaves the range of floats.
    largest = wide.abs().amax(-1, keepdim=True)
    check_finite(largest[..., 0])
    scaled = wide / torch.where(largest > 0, largest, 1)
    norms = scaled.norm(dim=-1, keepdim=True)
    return scaled / torch.where(norms > 0, norms, 1)


def check_finite(largest: Float[Tensor, "*batch token"]) -> None:
    """Refuse features with an entry that is infinite or not a number.

    Args:
        largest: Largest entry of every token, not a number if one of its entries is none.

    Raises:
        ValueError: A feature is not finite.

    Home section: *Token merging*.
    """
    finite = largest.isfinite()
    if not finite.all():
        raise ValueError(
            f"features must be finite, got {int((~finite).sum())} tokens of {finite.numel()} with "
            "an entry that is not; find the operation that made them"
        )


def sums(
    tokens: Float[Tensor, "batch *axes token width"], members: Members
) -> Float[Tensor, "batch *axes group width"]:
    """Sums over the groups, accumulated in float32 at least.

    Home section: *Token merging*.
    """
    wide = tokens.to(_wide(tokens))
    empty = wide.new_zeros(*tokens.shape[:-2], members.count, tokens.shape[-1])
    return empty.scatter_add(-2, along(members.assignment, tokens).expand_as(tokens), wide)


def along(
    entries: Float[Tensor, "batch row"] | Int64[Tensor, "batch row"], tokens: Tensor
) -> Tensor:
    """Entries of batch and row, with axes of length one to stand beside the tokens.

    Home section: *Token merging*.
    """
    return entries.view(len(entries), *[1] * (tokens.ndim - 3), entries.shape[1], 1)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)

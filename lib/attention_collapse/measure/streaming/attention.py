"""Attention of queries on keys, measured without its matrix."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attention_collapse.measure.streaming.backend import Backend, ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.choice import choose_backend
from attention_collapse.measure.streaming.fields import joined_fields
from attention_collapse.measure.streaming.frame_shape import require_whole_frames
from attention_collapse.measure.streaming.progress import Progress, silent
from attention_collapse.measure.streaming.shards import (
    ShardError,
    Shards,
    SingleProcess,
)
from attention_collapse.measure.validation import require_finite
from attention_collapse.tokens import TokenLayout

# Scores of one head from which a CUDA device takes the heads one by one: a tenth of a second.
LARGE_HEAD = 2**36
ALL_HEADS = slice(None)

_Statistics = TypeVar("_Statistics", RowStatistics, ColumnStatistics)


class StreamedAttention:
    r"""Exact statistics and products of :math:`A = \mathrm{softmax}(Q K^\top / \sqrt d)`, by head.

    A statistic is computed when it is first read, and kept: one pass gives all those of the rows,
    another all those of the columns. With ``shards`` the queries are those of this process and the
    keys those of all; rows are then this process's own, and whatever sums over the queries is of
    all.

    Args:
        query: Queries of every head after normalisation and rotation, ``[head query dim]``.
        key: Keys, ``[head key dim]``.
        backend: What computes the passes; ``None`` for the choice of ``choose_backend``.
        layout: Where the tokens sit, for the mass from frame to frame.
        report: Told after each head of a pass.
        shards: The processes that share the queries.

    Raises:
        ValueError: If a tensor has not three axes, is empty or not finite, the two differ in heads,
            dimension, type or device, or the layout is not that of the tokens.
        ShardError: If another process refuses its queries or keys.

    Home section: *Measuring collapse*.
    """

    def __init__(
        self,
        query: Float[Tensor, "..."],
        key: Float[Tensor, "..."],
        *,
        backend: Backend | None = None,
        layout: TokenLayout | None = None,
        report: Progress = silent,
        shards: Shards | None = None,
    ) -> None:
        self.shards = shards or SingleProcess()
        self.query_count = _agreed_count(query, key, layout, self.shards)
        self.query = query
        self.key = key
        self.backend = backend or choose_backend(query.device, query.dtype, query.shape[-1])
        self.report = report
        self.layout = layout
        if layout is not None:
            _require_all_tokens("queries", self.query_count, layout)

    @property
    def heads(self) -> int:
        """Number of heads."""
        return len(self.query)

    @cached_property
    def rows(self) -> RowStatistics:
        """Normaliser, entropy and energy of every row of this process."""
        return self._by_heads(
            "rows", lambda heads: self.backend.rows(self.query[heads], self.key[heads])
        )

    @cached_property
    def columns(self) -> ColumnStatistics:
        """Column sums over all queries and, with a layout, the mass of this process's frames."""
        tokens = None if self.layout is None else self.layout.per_frame
        log_sum_exp = self.rows.log_sum_exp
        own = self._by_heads(
            "columns",
            lambda heads: self.backend.columns(
                self.query[heads], self.key[heads], log_sum_exp[heads], tokens_per_frame=tokens
            ),
        )
        return ColumnStatistics(self.shards.sum(own.sums.double()), own.frame_sums)

    @property
    def row_entropy(self) -> Float[Tensor, "head query"]:
        r"""Entropy of every row, :math:`-\sum_j A_{ij} \ln A_{ij}`, nats."""
        return self.rows.entropy

    @property
    def row_energy(self) -> Float[Tensor, "head query"]:
        r"""Energy of every row, :math:`\sum_j A_{ij}^2`."""
        return self.rows.energy

    @property
    def column_sums(self) -> Float64[Tensor, "head key"]:
        r"""Attention that a key receives from all queries, :math:`\sum_i A_{ij}`."""
        return self.columns.sums

    @cached_property
    def frobenius_squared(self) -> Float64[Tensor, "head"]:
        r"""Squared Frobenius norm, :math:`\|A\|_F^2 = \sum_{ij} A_{ij}^2`."""
        return self.shards.sum(self.rows.energy.double().sum(-1))

    @cached_property
    def distance_from_rank_one(self) -> Float64[Tensor, "head"]:
        r"""Relative squared distance of :math:`A` from the matrix whose rows are their mean.

        .. math:: 1 - \frac{N \|\pi\|^2}{\|A\|_F^2}, \qquad \pi = \tfrac1N A^\top \mathbf 1,

        for :math:`N` queries. It is a difference of numbers near one: below the relative error of
        the backend's sums, 1e-6 in both that compute in float32, only its smallness is known.
        """
        mean = self.column_sums / self.query_count
        share = self.query_count * mean.square().sum(-1) / self.frobenius_squared
        return (1 - share).clamp_min(0)

    @cached_property
    def frame_mass(self) -> Float64[Tensor, "head frame frame"]:
        r"""Mean attention mass that a token of one frame puts on each frame; rows sum to one.

        .. math:: F_{st} = \frac1P \sum_{i \in s} \sum_{j \in t} A_{ij}

        for frames of :math:`P` tokens.

        Raises:
            ValueError: If no layout was given.
        """
        if self.layout is None:
            raise ValueError(
                "mass from frame to frame needs the layout of the tokens; got none: pass "
                "StreamedAttention(..., layout=...)."
            )
        return self.shards.concatenate(self.columns.frame_sums.double()) / self.layout.per_frame

    @property
    def reference_mass(self) -> Float64[Tensor, "head frame"]:
        """Mean attention mass that a token of each frame puts on the first frame.

        Raises:
            ValueError: If no layout was given.
        """
        return self.frame_mass[..., 0]

    def apply(
        self, columns: Float[Tensor, "head key column"], *, heads: slice = ALL_HEADS
    ) -> Float[Tensor, "head query column"]:
        r"""The product :math:`A \, \Omega` of some heads, at the queries of this process."""
        rows = self.rows.log_sum_exp[heads]
        return self.backend.apply(self.query[heads], self.key[heads], rows, columns)

    def apply_transposed(
        self, columns: Float[Tensor, "head query column"], *, heads: slice = ALL_HEADS
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y` of some heads, summed over the queries of all processes."""
        rows = self.rows.log_sum_exp[heads]
        own = self.backend.apply_transposed(self.query[heads], self.key[heads], rows, columns)
        return self.shards.sum(own)

    def _by_heads(self, task: str, run: Callable[[slice], _Statistics]) -> _Statistics:
        """One pass, in steps of one head where a head takes long enough to be worth a report."""
        large = self.query.shape[1] * self.key.shape[1] >= LARGE_HEAD
        step = 1 if large or self.query.device.type == "cpu" else self.heads
        parts = []
        for start in range(0, self.heads, step):
            parts.append(run(slice(start, start + step)))
            self.report(task, min(start + step, self.heads), self.heads)
        return joined_fields(parts, torch.cat)


def _agreed_count(
    query: Float[Tensor, "..."],
    key: Float[Tensor, "..."],
    layout: TokenLayout | None,
    shards: Shards,
) -> int:
    """Queries of all processes, once each process has found its own to be good.

    A process that refused its tensors without a word would leave the others waiting.
    """
    refusal = None
    try:
        _require_heads(query, key)
        if layout is not None:
            _require_all_tokens("keys", key.shape[1], layout)
            require_whole_frames(query, key, layout.per_frame)
    except ValueError as error:
        refusal = error
    own = [0, 1] if refusal else [query.shape[1], 0]
    count, refused = shards.sum(query.new_tensor(own, dtype=torch.float64)).tolist()
    if refusal:
        raise refusal
    if refused:
        raise ShardError(
            f"every process must have good queries and keys, {refused:.0f} refused theirs: look "
            "for the first error of the other ranks, then start all of them again."
        )
    return int(count)


def _require_all_tokens(name: str, count: int, layout: TokenLayout) -> None:
    if count != layout.count:
        raise ValueError(
            f"{name} must be the {layout.count} tokens of the layout; got {count}: pass global "
            "attention, or the layout of its tokens."
        )


def _require_heads(query: Float[Tensor, "..."], key: Float[Tensor, "..."]) -> None:
    for name, tensor in (("query", query), ("key", key)):
        if tensor.ndim != 3:
            raise ValueError(
                f"{name} must have the axes [head token dim]; got shape {tuple(tensor.shape)}: "
                "flatten leading axes with flatten(0, -3)."
            )
        require_finite(name, tensor)
    for quality in ("dtype", "device"):
        if getattr(query, quality) != getattr(key, quality):
            raise ValueError(
                f"query and key must have the same {quality}; got {getattr(query, quality)} and "
                f"{getattr(key, quality)}: take both from one head."
            )
    if (len(query), query.shape[-1]) != (len(key), key.shape[-1]):
        raise ValueError(
            "query and key must have the same heads and dimension; got shapes "
            f"{tuple(query.shape)} and {tuple(key.shape)}: take both from one layer."
        )

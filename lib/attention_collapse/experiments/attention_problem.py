"""Queries and keys on which streamed attention is timed and checked against float64."""

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attention_collapse.experiments import device_cost
from attention_collapse.measure.streaming.backend import Backend, RowStatistics
from attention_collapse.measure.streaming.portable import PortableBackend

# Keys that every query attends to, as the first tokens of a trained network are.
SINKS = 5
CLUSTERS = 64
_AMPLITUDE, _SINK_QUERY, _SINK_KEY = 0.75, 0.35, 3.0

# Rows of attention that the plain route holds at a time.
EAGER_ROWS = 4096


def clustered(
    tokens: int, *, heads: int, dim: int, generator: torch.Generator, dtype: torch.dtype
) -> tuple[Float[Tensor, "head token dim"], Float[Tensor, "head token dim"]]:
    """Random queries and keys around common centres, with five sink keys.

    Attention then has a strong first direction, a decaying spectrum, and rows whose entropy grows
    with the number of tokens.

    Args:
        tokens: Number of queries and of keys.
        heads: Number of heads.
        dim: Their dimension.
        generator: Source of the numbers, and their device.
        dtype: Number format of the result.

    Home section: *Measuring collapse*.
    """
    draw = {"generator": generator, "device": generator.device}
    centres = _AMPLITUDE * torch.randn(heads, CLUSTERS, dim, **draw)
    common = torch.randn(heads, 1, dim, **draw)
    cluster = torch.randint(CLUSTERS, (tokens,), **draw)
    query, key = (
        torch.empty(heads, tokens, dim, dtype=dtype, device=generator.device) for _ in range(2)
    )
    # One head at a time: all of them in float32 would take twice the memory of the result.
    for head in range(heads):
        centre = centres[head, cluster]
        query[head] = centre + torch.randn(tokens, dim, **draw) + _SINK_QUERY * common[head]
        key[head] = centre + torch.randn(tokens, dim, **draw)
        key[head, :SINKS] += (_SINK_KEY * common[head]).to(dtype)
    return query, key


@dataclasses.dataclass
class AttentionProblem:
    """One size of attention: its inputs, the operations to time, and their errors.

    Attributes:
        query: queries.
        key: keys.
        backend: what computes the passes.
        tokens_per_frame: tokens of a frame.
        columns: the matrix of the products.
        checked: rows and columns compared with float64.

    Home section: *Measuring collapse*.
    """

    query: Float[Tensor, "head token dim"]
    key: Float[Tensor, "head token dim"]
    backend: Backend
    tokens_per_frame: int
    columns: Float[Tensor, "head token column"]
    checked: Int64[Tensor, "spot"]

    @cached_property
    def rows(self) -> RowStatistics:
        """The rows, computed once."""
        return self.backend.rows(self.query, self.key)

    def operations(self) -> dict[str, Callable[[], object]]:
        """What is timed, by name; ``eager`` is the entropy from chunks of the matrix."""
        query, key, backend = self.query, self.key, self.backend
        inputs = query, key, self.rows.log_sum_exp
        return {
            "rows": lambda: backend.rows(query, key),
            "columns": lambda: backend.columns(*inputs),
            "frame_mass": lambda: backend.columns(*inputs, tokens_per_frame=self.tokens_per_frame),
            "apply": lambda: backend.apply(*inputs, self.columns),
            "apply_transposed": lambda: backend.apply_transposed(*inputs, self.columns),
            "attention": self._attention,
            "eager": self._eager_entropy,
        }

    def errors(self, *, whole: bool = True) -> dict[str, float]:
        """Largest differences from float64 at the checked rows and columns.

        Log-sum-exp and entropy in nats, the others relative: to each number, and for the products
        to the norm of the checked part. Columns are compared at the normalisers that the backend
        found, which leaves the errors of the rows out; ``column_sums_whole`` at those of float64.

        Args:
            whole: Take every row in float64, for ``column_sums_whole``; NaN without.

        Home section: *Measuring collapse*.
        """
        rows, spots = self.rows, self.checked
        attention, exact = self.exact_rows()
        inputs = self.query, self.key, rows.log_sum_exp
        columns = self.backend.columns(*inputs, tokens_per_frame=self.tokens_per_frame)
        weights = self._exact_columns(rows.log_sum_exp)
        product = self.backend.apply(*inputs, self.columns)[:, spots]
        transposed = self.backend.apply_transposed(*inputs, self.columns)[:, spots]
        return {
            "log_sum_exp": _largest(rows.log_sum_exp[:, spots] - exact.log_sum_exp),
            "entropy": _largest(rows.entropy[:, spots] - exact.entropy),
            "energy": _largest(rows.energy[:, spots] / exact.energy - 1),
            "column_sums": _largest(columns.sums[:, spots] / weights.sum(-1) - 1),
            "column_sums_whole": self._whole_error(columns.sums[:, spots]) if whole else math.nan,
            "frame_mass": _largest(columns.frame_sums[:, -1] / self._exact_frame_mass() - 1),
            "apply": _distance(product, attention @ self.columns.double()),
            "apply_transposed": _distance(transposed, weights @ self.columns.double()),
        }

    def exact_rows(self) -> tuple[Float[Tensor, "head spot token"], RowStatistics]:
        """The checked rows of the attention in float64, and their statistics."""
        scores = self._exact_scores(self.query, self.key)
        weights = scores.softmax(-1)
        entropy = torch.special.entr(weights).sum(-1)
        energy = weights.square().sum(-1)
        return weights, RowStatistics(scores.logsumexp(-1), entropy, energy)

    def _exact_columns(
        self, log_sum_exp: Float[Tensor, "head token"]
    ) -> Float[Tensor, "head spot token"]:
        """The checked columns in float64, given the normalisers of the rows."""
        scores = self._exact_scores(self.key, self.query)
        return (scores - log_sum_exp.double()[:, None]).exp()

    def _whole_error(self, found: Float[Tensor, "head spot"]) -> float:
        """Largest relative error of the checked column sums, their normalisers included."""
        exact = PortableBackend(dtype=torch.float64).rows(self.query, self.key)
        return _largest(found / self._exact_columns(exact.log_sum_exp).sum(-1) - 1)

    def _exact_frame_mass(self) -> Float[Tensor, "head key_frame"]:
        """Mass of the queries of the last frame on each frame, in float64."""
        last = self.query[:, -self.tokens_per_frame :].double() * self.query.shape[-1] ** -0.5
        masses = []
        for query, key in zip(last, self.key, strict=True):
            weights = (query @ key.double().mT).softmax(-1)
            masses.append(weights.sum(0).unflatten(0, (-1, self.tokens_per_frame)).sum(-1))
        return torch.stack(masses)

    def _exact_scores(
        self, kept: Float[Tensor, "head token dim"], other: Float[Tensor, "head token dim"]
    ) -> Float[Tensor, "head spot token"]:
        kept = kept[:, self.checked].double() * kept.shape[-1] ** -0.5
        # One head at a time: float64 copies of all would take four times their memory.
        return torch.stack([a @ b.double().mT for a, b in zip(kept, other, strict=True)])

    def _attention(self) -> Float[Tensor, "1 head token dim"]:
        """The output of attention, with the keys as values."""
        query, key = self.query[None], self.key[None]
        with device_cost.fastest_attention(str(query.device)):
            return scaled_dot_product_attention(query, key, key)

    def _eager_entropy(self) -> Float[Tensor, "head token"]:
        """Entropy of every row in float32 by plain operations on chunks of rows."""
        scale = self.query.shape[-1] ** -0.5
        found = torch.empty(self.query.shape[:2], device=self.query.device)
        for head, (query, key) in enumerate(zip(self.query, self.key, strict=True)):
            transposed = key.float().mT
            for start in range(0, len(query), EAGER_ROWS):
                rows = slice(start, start + EAGER_ROWS)
                weights = (scale * query[rows].float() @ transposed).softmax(-1)
                found[head, rows] = torch.special.entr(weights).sum(-1)
        return found


def _largest(difference: Float[Tensor, "..."]) -> float:
    return float(difference.abs().max())


def _distance(found: Float[Tensor, "*shape"], exact: Float[Tensor, "*shape"]) -> float:
    return float((found - exact).norm() / exact.norm())

"""Tiles of the score matrix of one head, computed in place in two buffers."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor


class Tiles:
    """Scores and weights of chunks of queries against chunks of keys.

    Every call overwrites what the call before returned.

    Args:
        query_chunk: Most queries of a tile.
        key_chunk: Most keys of a tile.
        dtype: Type of the tiles.
        device: Where they are computed.

    Home section: *Measuring collapse*.
    """

    def __init__(
        self, query_chunk: int, key_chunk: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.query_chunk = query_chunk
        self.key_chunk = key_chunk
        self.dtype = dtype
        self._buffers = torch.empty(2, query_chunk * key_chunk, dtype=dtype, device=device)

    def query_ranges(self, count: int) -> list[slice]:
        """The chunks of so many queries."""
        return _ranges(count, self.query_chunk)

    def key_ranges(self, count: int) -> list[slice]:
        """The chunks of so many keys."""
        return _ranges(count, self.key_chunk)

    def scaled(self, query: Float[Tensor, "query dim"]) -> Float[Tensor, "query dim"]:
        r"""The queries over :math:`\sqrt d`, so that a product with keys is a score."""
        return query.to(self.dtype) / query.shape[-1] ** 0.5

    def row_parts(
        self, query: Float[Tensor, "query dim"], key: Float[Tensor, "key dim"]
    ) -> Float64[Tensor, "4 query"]:
        r"""Largest score :math:`m_i` and the sums over the keys of one tile.

        With :math:`w_{ij} = e^{S_{ij} - m_i}` the sums are of :math:`w_{ij}`,
        :math:`w_{ij} (S_{ij} - m_i)` and :math:`w_{ij}^2`. Queries are scaled.
        """
        scores = torch.mm(query, key.mT, out=self._view(0, query, key))
        peak = scores.amax(-1)
        scores.sub_(peak[:, None])
        weights = torch.exp(scores, out=self._view(1, query, key))
        total = weights.sum(-1)
        weighted = scores.mul_(weights).sum(-1)
        return torch.stack((peak, total, weighted, weights.square_().sum(-1))).double()

    def weights(
        self,
        query: Float[Tensor, "query dim"],
        key: Float[Tensor, "key dim"],
        log_sum_exp: Float[Tensor, "query"],
    ) -> Float[Tensor, "query key"]:
        """Attention of scaled queries whose normalisers are known."""
        scores = torch.mm(query, key.mT, out=self._view(0, query, key))
        return scores.sub_(log_sum_exp.to(self.dtype)[:, None]).exp_()

    def _view(
        self, buffer: int, query: Float[Tensor, "query dim"], key: Float[Tensor, "key dim"]
    ) -> Float[Tensor, "query key"]:
        shape = (len(query), len(key))
        return self._buffers[buffer, : shape[0] * shape[1]].view(shape)


def merge_row_parts(
    parts: Float64[Tensor, "tile 4 query"],
) -> Float64[Tensor, "3 query"]:
    """Log-sum-exp, entropy and energy of rows from the parts of their tiles."""
    peaks, totals, weighted, energies = parts.unbind(1)
    peak = peaks.amax(0)
    below = peaks - peak
    factors = below.exp()
    total = (factors * totals).sum(0)
    mean_below = (factors * (weighted + totals * below)).sum(0) / total
    energy = (factors.square() * energies).sum(0) / total.square()
    # A single key leaves a rounding of either sign.
    entropy = (total.log() - mean_below).clamp_min(0)
    return torch.stack((peak + total.log(), entropy, energy))


def _ranges(count: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, count)) for start in range(0, count, chunk)]

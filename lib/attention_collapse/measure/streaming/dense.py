"""The reference: whole attention matrices in float64."""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.streaming.backend import ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.frame_shape import require_whole_frames

GIBIBYTE = 2**30


class DenseBackend:
    """Every pass from the whole matrix in float64, for checks and small inputs.

    Args:
        byte_limit: Largest size of the matrices of all heads, in bytes; about three of that size
            live at once.

    Raises:
        ValueError: By a pass, if the matrices would exceed ``byte_limit``.

    Home section: *Measuring collapse*.
    """

    name = "dense"

    def __init__(self, *, byte_limit: int = 2 * GIBIBYTE) -> None:
        self._byte_limit = byte_limit

    def rows(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> RowStatistics:
        """Normaliser, entropy and energy of every row."""
        scores = self._scores(query, key)
        weights = scores.softmax(-1)
        return RowStatistics(
            log_sum_exp=scores.logsumexp(-1),
            entropy=torch.special.entr(weights).sum(-1),
            energy=weights.square().sum(-1),
        )

    def columns(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        *,
        tokens_per_frame: int | None = None,
    ) -> ColumnStatistics:
        """Column sums and, given the tokens of a frame, the mass from frame to frame."""
        weights = self._weights(query, key, log_sum_exp)
        if tokens_per_frame is None:
            return ColumnStatistics(weights.sum(-2))
        require_whole_frames(query, key, tokens_per_frame)
        by_key_frame = weights.unflatten(-1, (-1, tokens_per_frame)).sum(-1)
        mass = by_key_frame.unflatten(-2, (-1, tokens_per_frame)).sum(-2)
        return ColumnStatistics(weights.sum(-2), mass)

    def apply(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head key column"],
    ) -> Float[Tensor, "head query column"]:
        r"""The product :math:`A \, \Omega`."""
        return self._weights(query, key, log_sum_exp) @ columns.double()

    def apply_transposed(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head query column"],
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y`."""
        return self._weights(query, key, log_sum_exp).mT @ columns.double()

    def _weights(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
    ) -> Float[Tensor, "head query key"]:
        return (self._scores(query, key) - log_sum_exp.double()[..., None]).exp()

    def _scores(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> Float[Tensor, "head query key"]:
        needed = 8 * query.shape[0] * query.shape[1] * key.shape[1]
        if needed > self._byte_limit:
            raise ValueError(
                f"whole attention matrices must not exceed {self._byte_limit} bytes; "
                f"{query.shape[0]} of {query.shape[1]} x {key.shape[1]} in float64 need {needed} "
                f"({needed / GIBIBYTE:.1f} GiB): take PortableBackend(), or raise byte_limit."
            )
        return query.double() @ key.double().mT / query.shape[-1] ** 0.5

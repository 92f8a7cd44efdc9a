"""The reference: whole attention matrices in float64."""

from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.streaming.backend import ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.frame_shape import require_whole_frames
from attention_collapse.measure.streaming.memory import explain_out_of_memory

GIBIBYTE = 2**30
# Exponents of scores of order ten are good to a few units in the last place of float64.
ROUNDING = 2.0**-44


class DenseBackend:
    """Every pass from the whole matrix in float64, for checks and small inputs.

    Args:
        byte_limit: Largest size of the matrices of all heads, in bytes; about three of that size
            live at once.

    Raises:
        ValueError: By a pass, if the matrices would exceed ``byte_limit``.
        MemoryError: By a pass, if the device has no room for them.

    Home section: *Measuring collapse*.
    """

    name = "dense"
    rounding = ROUNDING

    def __init__(self, *, byte_limit: int = 2 * GIBIBYTE) -> None:
        self._byte_limit = byte_limit

    def rows(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> RowStatistics:
        """Normaliser, entropy and energy of every row."""
        with self._room(query, key):
            scores = _scores(query, key)
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
        if tokens_per_frame is not None:
            require_whole_frames(query, key, tokens_per_frame)
        with self._room(query, key):
            weights = _weights(query, key, log_sum_exp)
            if tokens_per_frame is None:
                return ColumnStatistics(weights.sum(-2))
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
        with self._room(query, key):
            return _weights(query, key, log_sum_exp) @ columns.double()

    def apply_transposed(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head query column"],
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y`."""
        with self._room(query, key):
            return _weights(query, key, log_sum_exp).mT @ columns.double()

    def _room(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> AbstractContextManager[None]:
        needed = 8 * query.shape[0] * query.shape[1] * key.shape[1]
        if needed > self._byte_limit:
            raise ValueError(
                f"whole attention matrices must not exceed {self._byte_limit} bytes; "
                f"{query.shape[0]} of {query.shape[1]} x {key.shape[1]} in float64 need {needed} "
                f"({needed / GIBIBYTE:.1f} GiB): take PortableBackend(), or raise byte_limit."
            )
        return explain_out_of_memory(
            "three whole attention matrices of each head in float64",
            needed=3 * needed,
            remedy="take PortableBackend(), or fewer heads at once",
        )


def _weights(
    query: Float[Tensor, "head query dim"],
    key: Float[Tensor, "head key dim"],
    log_sum_exp: Float[Tensor, "head query"],
) -> Float[Tensor, "head query key"]:
    return (_scores(query, key) - log_sum_exp.double()[..., None]).exp()


def _scores(
    query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
) -> Float[Tensor, "head query key"]:
    return query.double() @ key.double().mT / query.shape[-1] ** 0.5

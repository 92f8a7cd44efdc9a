"""What a backend computes for streamed attention, whichever processor it runs on."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RowStatistics:
    r"""What one pass over the scores knows of every row.

    Attributes:
        log_sum_exp: :math:`l_i = \ln \sum_j e^{S_{ij}}`.
        entropy: :math:`H_i = l_i - \sum_j A_{ij} S_{ij}`, nats.
        energy: :math:`\sum_j A_{ij}^2`.

    Home section: *Measuring collapse*.
    """

    log_sum_exp: Float[Tensor, "head query"]
    entropy: Float[Tensor, "head query"]
    energy: Float[Tensor, "head query"]


@dataclass(frozen=True)
class ColumnStatistics:
    r"""What one pass over the columns knows, the row normalisers being known.

    Attributes:
        sums: :math:`c_j = \sum_i A_{ij}`.
        frame_sums: :math:`\sum_{i \in s} \sum_{j \in t} A_{ij}` over the queries of frame
            :math:`s` and the keys of frame :math:`t`; ``None`` unless asked for.

    Home section: *Measuring collapse*.
    """

    sums: Float[Tensor, "head key"]
    frame_sums: Float[Tensor, "head query_frame key_frame"] | None = None


@runtime_checkable
class Backend(Protocol):
    r"""The four passes over :math:`A = \mathrm{softmax}(Q K^\top / \sqrt d)` of several heads.

    No pass holds a matrix of queries by keys, the dense reference excepted. Queries and keys may
    differ in number. ``log_sum_exp`` is that of ``rows``: with it a pass needs no running maximum.

    Attributes:
        name: Of the backend.
        rounding: Error of its products relative to :math:`\|A\|_2` times that of the columns, at
            scores of ordinary size. By Weyl's inequality no singular value is off by more than
            this part of the largest.

    Home section: *Measuring collapse*.
    """

    name: str
    rounding: float

    def rows(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> RowStatistics:
        """Normaliser, entropy and energy of every row."""
        ...

    def columns(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        *,
        tokens_per_frame: int | None = None,
    ) -> ColumnStatistics:
        """Column sums and, given the tokens of a frame, the mass from frame to frame."""
        ...

    def apply(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head key column"],
    ) -> Float[Tensor, "head query column"]:
        r"""The product :math:`A \, \Omega`."""
        ...

    def apply_transposed(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head query column"],
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y`."""
        ...

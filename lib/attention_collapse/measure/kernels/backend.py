"""The streamed passes by Triton kernels on a CUDA device."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.kernels.column_statistics import column_statistics
from attention_collapse.measure.kernels.products import (
    apply_attention,
    apply_attention_transposed,
)
from attention_collapse.measure.kernels.row_statistics import row_statistics
from attention_collapse.measure.kernels.tiles import ALIGNMENT, CHUNK, TILES, Tiles
from attention_collapse.measure.streaming.backend import ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.choice import TRITON_DIMENSIONS
from attention_collapse.measure.streaming.frame_shape import require_whole_frames

STORAGE = (torch.bfloat16, torch.float16)

# Tile coordinates and the place of a third number a row are 32-bit, over all heads.
MOST_ROWS = 2**30


@dataclass(frozen=True)
class TritonBackend:
    r"""The four passes on the tensor cores of an Ampere or Hopper device.

    Scores are products of 16-bit queries and keys, summed in single precision; everything after
    them is single precision, but for the weights and columns of the products, which are half
    precision. Nothing of the size of queries times keys is stored.

    Attributes:
        storage: 16-bit format to which queries and keys of another are rounded; ``None`` refuses
            them, so that nothing is rounded unasked.
        chunk: keys or queries summed at a time; these sums are then added.
        tiles: tile sizes by pass, ``"rows"``, ``"columns"``, ``"apply"``, ``"apply_transposed"``.

    Raises:
        ValueError: If the storage format has not 16 bits, the chunk is no multiple of 128,
            or a pass has no tiles.

    Home section: *Measuring collapse*.
    """

    storage: torch.dtype | None = None
    chunk: int = CHUNK
    tiles: Mapping[str, Tiles] = field(default_factory=lambda: TILES)

    name: ClassVar[str] = "triton"

    def __post_init__(self) -> None:
        if self.storage not in (None, *STORAGE):
            raise ValueError(
                f"storage must be torch.bfloat16, torch.float16 or None, got {self.storage}: the "
                "tensor cores take 16 bits; use another backend for more"
            )
        if self.chunk < 1 or self.chunk % ALIGNMENT:
            raise ValueError(
                f"chunk must be a multiple of {ALIGNMENT}, got {self.chunk}: {CHUNK} is a good size"
            )
        if missing := set(TILES) - set(self.tiles):
            raise ValueError(
                f"tiles must hold every pass, got none for {sorted(missing)}: start from a copy "
                "of TILES"
            )

    def rows(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> RowStatistics:
        """Normaliser, entropy and energy of every row."""
        query, key = self._stored(query, key)
        return row_statistics(query, key, tiles=self.tiles["rows"], chunk=self.chunk)

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
        query, key = self._stored(query, key)
        return column_statistics(
            query,
            key,
            log_sum_exp,
            tokens_per_frame=tokens_per_frame,
            tiles=self.tiles["columns"],
            chunk=self.chunk,
        )

    def apply(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head key column"],
    ) -> Float[Tensor, "head query column"]:
        r"""The product :math:`A \, \Omega`."""
        query, key = self._stored(query, key)
        tiles = self.tiles["apply"]
        return apply_attention(query, key, log_sum_exp, columns, tiles=tiles, chunk=self.chunk)

    def apply_transposed(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head query column"],
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y`."""
        query, key = self._stored(query, key)
        tiles = self.tiles["apply_transposed"]
        return apply_attention_transposed(
            query, key, log_sum_exp, columns, tiles=tiles, chunk=self.chunk
        )

    def _stored(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> tuple[Tensor, Tensor]:
        """Queries and keys as the kernels read them: 16 bits, rows one after another."""
        _require_sizes(query, key)
        if self.storage is None and (query.dtype not in STORAGE or key.dtype != query.dtype):
            raise ValueError(
                "query and key must both be bfloat16 or both float16, got "
                f"{query.dtype} and {key.dtype}: convert them, or let "
                "TritonBackend(storage=torch.bfloat16) round them"
            )
        storage = self.storage or query.dtype
        return query.to(storage).contiguous(), key.to(storage).contiguous()


def _require_sizes(
    query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
) -> None:
    if query.shape[-1] not in TRITON_DIMENSIONS:
        raise ValueError(
            f"the dimension of a head must be one of {TRITON_DIMENSIONS}, got {query.shape[-1]}: "
            "pad queries and keys with zeros and rescale the queries, or use the portable backend"
        )
    heads, rows = query.shape[0], max(query.shape[1], key.shape[1])
    if not min(query.shape[1], key.shape[1]) or heads * rows >= MOST_ROWS:
        raise ValueError(
            f"queries and keys must number at least 1, and heads times either below {MOST_ROWS}, "
            f"got {heads} heads, {query.shape[1]} queries and {key.shape[1]} keys: pass fewer "
            "heads at a time"
        )

"""The streamed passes by Triton kernels on a CUDA device."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.kernels.column_statistics import (
    CHUNK_GROUP,
    FRAME_GROUP,
    column_statistics,
)
from attention_collapse.measure.kernels.products import (
    apply_attention,
    apply_attention_transposed,
)
from attention_collapse.measure.kernels.row_statistics import row_statistics
from attention_collapse.measure.kernels.tiles import ALIGNMENT, CHUNK, TILES, Tiles
from attention_collapse.measure.streaming.backend import ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.choice import TRITON_DIMENSIONS
from attention_collapse.measure.streaming.frame_shape import require_whole_frames
from attention_collapse.measure.streaming.memory import explain_out_of_memory

STORAGE = (torch.bfloat16, torch.float16)

# Tile coordinates and the place of a third number a row are 32-bit, over all heads.
MOST_ROWS = 2**30

# Of products: weights and columns are halves, each good to 2^-12 of itself. Attention has no
# negative entry, so that the first moves no singular value by more than 2^-12 of the largest. At
# 2082 tokens the values were off by 2.2e-4 of it where attention is sharp, and those behind the
# first by 1e-7 near rank one, where rounding averages out.
ROUNDING = 5e-4


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
        frames_at_once: frames of queries whose sums for every key are held at a time.
        tiles: tile sizes by pass, ``"rows"``, ``"columns"``, ``"apply"``, ``"apply_transposed"``.

    Raises:
        ValueError: If the storage format has not 16 bits, the chunk is no multiple of 128,
            no frame is held, or a pass has no tiles.
        MemoryError: By a pass, if the device has no room for its results.

    Home section: *Measuring collapse*.
    """

    storage: torch.dtype | None = None
    chunk: int = CHUNK
    frames_at_once: int = FRAME_GROUP
    tiles: Mapping[str, Tiles] = field(default_factory=lambda: TILES)

    name: ClassVar[str] = "triton"
    rounding: ClassVar[float] = ROUNDING

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
        if self.frames_at_once < 1:
            raise ValueError(
                f"frames_at_once must be at least 1, got {self.frames_at_once}: {FRAME_GROUP} is "
                "fast, fewer take less memory"
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
        with _room("the sums of every row", 60 * query[..., 0].numel()):
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
        parts = CHUNK_GROUP if tokens_per_frame is None else self.frames_at_once
        fewer = f"take TritonBackend(frames_at_once={max(1, parts // 4)}), or fewer heads at once"
        with _room(f"{parts} sums of every key", (4 * parts + 20) * key[..., 0].numel(), fewer):
            query, key = self._stored(query, key)
            return column_statistics(
                query,
                key,
                log_sum_exp,
                tokens_per_frame=tokens_per_frame,
                tiles=self.tiles["columns"],
                chunk=self.chunk,
                frames_at_once=self.frames_at_once,
            )

    def apply(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head key column"],
    ) -> Float[Tensor, "head query column"]:
        r"""The product :math:`A \, \Omega`."""
        tiles = self.tiles["apply"]
        with _room_for_product(query, columns):
            query, key = self._stored(query, key)
            return apply_attention(query, key, log_sum_exp, columns, tiles=tiles, chunk=self.chunk)

    def apply_transposed(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head query column"],
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y`."""
        tiles = self.tiles["apply_transposed"]
        with _room_for_product(key, columns):
            query, key = self._stored(query, key)
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


def _room(
    what: str, needed: int, remedy: str = "take fewer heads at once"
) -> AbstractContextManager[None]:
    return explain_out_of_memory(what, needed=needed, remedy=remedy)


def _room_for_product(
    kept: Float[Tensor, "head kept dim"], columns: Float[Tensor, "head streamed column"]
) -> AbstractContextManager[None]:
    width = columns.shape[-1]
    return _room(
        f"{width} columns in half precision and a product as wide",
        2 * columns.numel() + 4 * kept[..., 0].numel() * width,
        f"take {max(1, width // 2)} columns at a time, or fewer heads at once",
    )


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

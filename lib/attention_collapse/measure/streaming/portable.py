"""Tiles of attention by plain torch operations, on the CPU and on any CUDA device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attention_collapse.measure.streaming.backend import ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.frame_shape import require_whole_frames
from attention_collapse.measure.streaming.memory import explain_out_of_memory
from attention_collapse.measure.streaming.precision import full_precision
from attention_collapse.measure.streaming.tiles import Tiles, merge_row_parts

# Two tiles of this size stay in the caches of two cores; the fastest of those tried.
CPU_CHUNKS = (256, 2048)
# Two tiles of 256 MiB in float32: large enough for the launches not to show.
CUDA_CHUNKS = (4096, 16384)
# Of products, by the exponents: in float32 scores of order ten, and normalisers, to 2^-24 each.
ROUNDING = {torch.float32: 5e-6, torch.float64: 2.0**-44}


class PortableBackend:
    r"""Every pass tile by tile, in memory that does not grow with queries times keys.

    A tile is multiplied, exponentiated and summed in ``dtype``; tiles are added in float64, so that
    rounding does not grow with the number of keys. In float32, at 2000 keys and scores of ordinary
    size, entropies are good to 5e-5, column sums to 1e-6 and products to 5e-4 of their size.
    Statistics come in float64, products in ``dtype``.

    Args:
        query_chunk: Queries of a tile; ``None`` for 256 on the CPU and 4096 elsewhere.
        key_chunk: Keys of a tile; ``None`` for 2048 on the CPU and 16384 elsewhere.
        dtype: Type of the tiles, float32 or float64.

    Raises:
        ValueError: If a chunk is not positive or ``dtype`` is another type.
        MemoryError: By a pass, if the device has no room for its tiles or its result.

    Home section: *Measuring collapse*.
    """

    name = "portable"

    def __init__(
        self,
        *,
        query_chunk: int | None = None,
        key_chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        for name, chunk in (("query_chunk", query_chunk), ("key_chunk", key_chunk)):
            if chunk is not None and chunk < 1:
                raise ValueError(
                    f"{name} must be at least 1, got {chunk}: None takes the device's."
                )
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"dtype must be torch.float32 or torch.float64, got {dtype}: shorter types lose "
                "the low bits of the sums."
            )
        self._query_chunk, self._key_chunk = query_chunk, key_chunk
        self._dtype = dtype
        self.rounding = ROUNDING[dtype]

    def rows(
        self, query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
    ) -> RowStatistics:
        """Normaliser, entropy and energy of every row."""
        results = 3 * query[..., 0].numel()
        with self._tiles(query, results=results) as tiles:
            heads = [_row_statistics(tiles, *head) for head in zip(query, key, strict=True)]
            log_sum_exp, entropy, energy = torch.stack(heads, dim=1)
            return RowStatistics(log_sum_exp, entropy, energy)

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
        results = key[..., 0].numel()
        with self._tiles(query, results=results, tokens_per_frame=tokens_per_frame) as tiles:
            heads = zip(query, key, log_sum_exp, strict=True)
            if tokens_per_frame is None:
                return ColumnStatistics(torch.stack([_column_sums(tiles, *head) for head in heads]))
            by_frame = [_columns_by_frame(tiles, *head, tokens_per_frame) for head in heads]
            sums, frame_mass = zip(*by_frame, strict=True)
            return ColumnStatistics(torch.stack(sums), torch.stack(frame_mass))

    def apply(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head key column"],
    ) -> Float[Tensor, "head query column"]:
        r"""The product :math:`A \, \Omega`."""
        results = query[..., 0].numel() * columns.shape[-1]
        with self._tiles(query, results=results) as tiles:
            heads = zip(query, key, log_sum_exp, columns, strict=True)
            return torch.stack([_product(tiles, *head) for head in heads])

    def apply_transposed(
        self,
        query: Float[Tensor, "head query dim"],
        key: Float[Tensor, "head key dim"],
        log_sum_exp: Float[Tensor, "head query"],
        columns: Float[Tensor, "head query column"],
    ) -> Float[Tensor, "head key column"]:
        r"""The product :math:`A^\top Y`."""
        results = key[..., 0].numel() * columns.shape[-1]
        with self._tiles(query, results=results) as tiles:
            heads = zip(query, key, log_sum_exp, columns, strict=True)
            return torch.stack([_transposed_product(tiles, *head) for head in heads])

    @contextmanager
    def _tiles(
        self,
        query: Float[Tensor, "head query dim"],
        *,
        results: int,
        tokens_per_frame: int | None = None,
    ) -> Iterator[Tiles]:
        defaults = CPU_CHUNKS if query.device.type == "cpu" else CUDA_CHUNKS
        rows, keys = self._query_chunk or defaults[0], self._key_chunk or defaults[1]
        if tokens_per_frame is not None:
            # Whole frames of queries, in a tile of the same size.
            area = rows * keys
            rows = tokens_per_frame * max(1, rows // tokens_per_frame)
            keys = max(1, area // rows)
        smaller = f"query_chunk={max(1, rows // 4)}, key_chunk={max(1, keys // 4)}"
        room = explain_out_of_memory(
            f"two tiles of {rows} queries x {keys} keys and the results",
            needed=2 * rows * keys * self._dtype.itemsize + 8 * results,
            remedy=f"take PortableBackend({smaller}), or fewer heads at once",
        )
        with room, full_precision():
            yield Tiles(rows, keys, dtype=self._dtype, device=query.device)


def _row_statistics(
    tiles: Tiles, query: Float[Tensor, "query dim"], key: Float[Tensor, "key dim"]
) -> Float64[Tensor, "3 query"]:
    query, key = tiles.scaled(query), key.to(tiles.dtype)
    statistics = []
    for rows in tiles.query_ranges(len(query)):
        parts = [tiles.row_parts(query[rows], key[keys]) for keys in tiles.key_ranges(len(key))]
        statistics.append(merge_row_parts(torch.stack(parts)))
    return torch.cat(statistics, dim=1)


def _column_sums(
    tiles: Tiles,
    query: Float[Tensor, "query dim"],
    key: Float[Tensor, "key dim"],
    log_sum_exp: Float[Tensor, "query"],
) -> Float64[Tensor, "key"]:
    query, key = tiles.scaled(query), key.to(tiles.dtype)
    sums = key.new_zeros(len(key), dtype=torch.float64)
    for keys in tiles.key_ranges(len(key)):
        for rows in tiles.query_ranges(len(query)):
            sums[keys] += tiles.weights(query[rows], key[keys], log_sum_exp[rows]).sum(0)
    return sums


def _columns_by_frame(
    tiles: Tiles,
    query: Float[Tensor, "query dim"],
    key: Float[Tensor, "key dim"],
    log_sum_exp: Float[Tensor, "query"],
    tokens_per_frame: int,
) -> tuple[Float64[Tensor, "key"], Float64[Tensor, "query_frame key_frame"]]:
    """Column sums and frame mass from tiles whose queries are whole frames."""
    query, key = tiles.scaled(query), key.to(tiles.dtype)
    sums = key.new_zeros(len(key), dtype=torch.float64)
    mass = sums.new_zeros(len(query) // tokens_per_frame, len(key) // tokens_per_frame)
    frame_of_key = torch.arange(len(key), device=key.device) // tokens_per_frame
    for rows in tiles.query_ranges(len(query)):
        frames = slice(rows.start // tokens_per_frame, rows.stop // tokens_per_frame)
        for keys in tiles.key_ranges(len(key)):
            weights = tiles.weights(query[rows], key[keys], log_sum_exp[rows])
            by_frame = weights.unflatten(0, (-1, tokens_per_frame)).sum(1).double()
            sums[keys] += by_frame.sum(0)
            mass[frames].index_add_(1, frame_of_key[keys], by_frame)
    return sums, mass


def _product(
    tiles: Tiles,
    query: Float[Tensor, "query dim"],
    key: Float[Tensor, "key dim"],
    log_sum_exp: Float[Tensor, "query"],
    columns: Float[Tensor, "key column"],
) -> Float[Tensor, "query column"]:
    query, key, columns = tiles.scaled(query), key.to(tiles.dtype), columns.to(tiles.dtype)
    product = query.new_empty(len(query), columns.shape[-1])
    for rows in tiles.query_ranges(len(query)):
        total = torch.zeros_like(product[rows], dtype=torch.float64)
        for keys in tiles.key_ranges(len(key)):
            total += tiles.weights(query[rows], key[keys], log_sum_exp[rows]) @ columns[keys]
        product[rows] = total
    return product


def _transposed_product(
    tiles: Tiles,
    query: Float[Tensor, "query dim"],
    key: Float[Tensor, "key dim"],
    log_sum_exp: Float[Tensor, "query"],
    columns: Float[Tensor, "query column"],
) -> Float[Tensor, "key column"]:
    query, key, columns = tiles.scaled(query), key.to(tiles.dtype), columns.to(tiles.dtype)
    product = key.new_empty(len(key), columns.shape[-1])
    for keys in tiles.key_ranges(len(key)):
        total = torch.zeros_like(product[keys], dtype=torch.float64)
        for rows in tiles.query_ranges(len(query)):
            weights = tiles.weights(query[rows], key[keys], log_sum_exp[rows])
            total += weights.mT @ columns[rows]
        product[keys] = total
    return product

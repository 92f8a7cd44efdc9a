"""Rows of a table, or of one table for each frame."""

import torch
from torch import Tensor


def rows_at(table: Tensor, index: Tensor, *, frame_axes: int) -> Tensor:
    """The rows of each frame's table at the indices of its rays.

    ``index_select`` on the flat table is several times faster than indexing, on a CPU.
    Home section: *The phenomenon*.

    Args:
        table: ``[row *channel]``, or ``[frame row *channel]`` with one table for each frame.
        index: ``[*axis ray]``, or ``[*axis frame ray]``.
        frame_axes: how many axes of the table come before its rows, 0 or 1.
    """
    if frame_axes:
        frames, rows = table.shape[:2]
        first = torch.arange(0, frames * rows, rows, dtype=index.dtype, device=index.device)
        table, index = table.flatten(0, 1), index + first[:, None]
    return table.index_select(0, index.flatten()).view(*index.shape, *table.shape[1:])

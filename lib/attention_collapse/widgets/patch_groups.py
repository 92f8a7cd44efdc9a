"""Groups of patches by the cosine of their coordinates, in numpy: for a widget's still image."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int64

from attention_collapse.tokens import TokenLayout

REFERENCES = ("grid", "destination", "protected")
"""Roles of the first frame: as other frames, all destinations, or kept apart."""


def destination_patches(
    layout: TokenLayout, *, cell: int, reference: str
) -> tuple[Bool[np.ndarray, "token"], Bool[np.ndarray, "token"]]:
    """Which patches are destinations, and which are sources that may join one.

    The first patch of every cell is its destination.

    Args:
        layout: Where the patches sit, without special tokens.
        cell: Rows and columns of a cell.
        reference: One of ``REFERENCES``.

    Home section: *Token merging*.
    """
    frame, patch = np.divmod(np.arange(layout.count), layout.patches)
    row, column = np.divmod(patch, layout.columns)
    first = (row % cell == 0) & (column % cell == 0)
    leading = frame == 0
    if reference == "destination":
        first = first | leading
    apart = leading if reference == "protected" else np.zeros_like(leading)
    return first & ~apart, ~first & ~apart


def patch_groups(
    tokens: Float[np.ndarray, "token direction"],
    layout: TokenLayout,
    *,
    cell: int,
    ratio: float,
    reference: str,
) -> Int64[np.ndarray, "token"]:
    """The token that every patch is merged into: a destination, or itself.

    A source joins the destination of the largest cosine; the sources of the largest cosines join,
    as many as the ratio asks for or as there are.

    Args:
        tokens: Coordinates of the patches.
        layout: Where they sit, without special tokens.
        cell: Rows and columns of a cell.
        ratio: Share of all tokens to remove.
        reference: One of ``REFERENCES``.

    Source: as ``merging.grouping.GridGrouping``, which refuses a ratio that is too large.
    Home section: *Token merging*.
    """
    free, joining = destination_patches(layout, cell=cell, reference=reference)
    destinations, sources = np.flatnonzero(free), np.flatnonzero(joining)
    norms = np.linalg.norm(tokens, axis=1, keepdims=True)
    units = tokens / np.where(norms > 0, norms, 1)
    cosines = units[sources] @ units[destinations].T
    order = np.argsort(-cosines.max(axis=1), kind="stable")
    merged = order[: min(math.floor(ratio * len(tokens) + 1e-9), len(sources))]
    groups = np.arange(len(tokens))
    groups[sources[merged]] = destinations[cosines.argmax(axis=1)[merged]]
    return groups

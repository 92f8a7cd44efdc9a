"""Which tokens may be merged: a partition of the patches that knows their grid."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from attention_collapse.tokens import TokenLayout

REFERENCES = ("destination", "protected", "grid")
"""Roles of the patches of the first frame: all destinations, all protected, or as other frames."""


@dataclass(frozen=True)
class Partition:
    """The roles of the tokens in merging: destination, source, or kept as it is.

    A source may join a destination. Every token has one role, and the special tokens are always
    kept, so that no patch is averaged into a camera or register token.

    Args:
        layout: Where each token sits.
        destinations: Flat indices, ascending.
        sources: Flat indices, ascending.

    Raises:
        ValueError: An index is out of range, not ascending, has two roles or is a special token,
            or there are sources and no destination.

    Source: roles as in FastVGGT (arXiv 2509.02560), section 3. Home section: *Token merging*.
    """

    layout: TokenLayout
    destinations: Int64[Tensor, "destination"]
    sources: Int64[Tensor, "source"]

    def __post_init__(self) -> None:
        for name, tokens in (("destinations", self.destinations), ("sources", self.sources)):
            _check_ascending(name, tokens, self.layout)
        shared = torch.isin(self.sources, self.destinations)
        if shared.any():
            raise ValueError(
                f"a token must have one role, got {int(shared.sum())} tokens that are source and "
                f"destination, such as {int(self.sources[shared][0])}; drop them from one"
            )
        if len(self.sources) and not len(self.destinations):
            raise ValueError(
                f"sources need a destination, got {len(self.sources)} sources and none; name at "
                "least one destination"
            )

    @property
    def kept(self) -> Int64[Tensor, "kept"]:
        """Flat indices of the tokens that are neither source nor destination, ascending."""
        free = torch.ones(self.layout.count, dtype=torch.bool, device=self.sources.device)
        free[self.destinations] = False
        free[self.sources] = False
        return free.nonzero()[:, 0]

    def merged_tokens(self, ratio: float | None) -> int:
        r"""Number of tokens that merging removes at a ratio, :math:`\lfloor \rho N \rfloor`.

        Args:
            ratio: :math:`\rho`, the share of all tokens to remove; ``None`` merges every source.

        Raises:
            ValueError: The ratio is not in [0, 1), or removes more tokens than there are sources.
        """
        if ratio is None:
            return len(self.sources)
        if not 0 <= ratio < 1:
            raise ValueError(
                f"the ratio must be at least 0 and less than 1, got {ratio}; it is the share of "
                "tokens that merging removes"
            )
        # A share such as 0.29 of 100 is 28.999… in float64.
        merged = math.floor(ratio * self.layout.count + 1e-9)
        if merged > len(self.sources):
            highest = len(self.sources) / self.layout.count
            raise ValueError(
                f"ratio {ratio} must not remove more tokens than there are sources, got {merged} "
                f"of {self.layout.count} tokens and {len(self.sources)} sources; ask for at most "
                f"{highest:.4g}, protect fewer tokens or take larger cells"
            )
        return merged


def grid_partition(
    layout: TokenLayout,
    *,
    cell: tuple[int, int] = (2, 2),
    balanced: bool = False,
    reference: str = "destination",
    protected: Int64[Tensor, "protected"] | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Partition:
    r"""A partition with one destination in every cell of the patch grid.

    The cells tile every frame. Where its rows or columns are no multiple of the cell, the last
    cells are smaller and have a destination too. Balanced cells are spread evenly instead: of
    :math:`R` rows and cells of :math:`c` rows, row :math:`y` lies in cell

    .. math:: \left\lfloor \frac{y\, n}{R} \right\rfloor, \qquad
        n = \max\Bigl(1, \Bigl\lfloor \frac{R}{c} \Bigr\rfloor\Bigr),

    and columns likewise. No cell has fewer rows than :math:`c`, unless the grid has, and all have
    :math:`\lfloor R / n \rfloor` or :math:`\lceil R / n \rceil`.

    The destination of a cell is drawn among its patches that are not protected; a cell whose
    patches are all protected has none.

    Args:
        layout: Where each token sits.
        cell: Rows and columns of a cell; the least of them where cells are balanced.
        balanced: Make all cells alike, one row and one column apart at most.
        reference: Role of the patches of the first frame, one of ``REFERENCES``.
        protected: Flat indices of patches that stay as they are; special tokens always do.
        generator: Source of the draws, on the CPU; ``None`` takes the first patch of the cell.
        device: Where the partition is used.

    Raises:
        ValueError: A side of the cell is below 1, ``reference`` is unknown, an index is out of
            range, or no patch is left to merge into.

    Source: cells as in FastVGGT (arXiv 2509.02560), section 3. Home section: *Token merging*.
    """
    if min(cell) < 1:
        raise ValueError(
            f"a cell must have at least 1 row and 1 column, got {cell}; such as (2, 2)"
        )
    free = _free_patches(layout, reference, protected)
    chosen = _first_of_cell(_cells(layout, cell, balanced), _order(layout, generator), free)
    if reference == "destination":
        chosen = chosen | (free & _of_frame(layout, 0))
    patches = _patch_indices(layout)
    return Partition(layout, patches[chosen].to(device), patches[free & ~chosen].to(device))


def protected_patches(
    layout: TokenLayout, *, share: float, generator: torch.Generator | None = None
) -> Int64[Tensor, "protected"]:
    """Flat indices of a share of all patches, drawn at random or evenly spaced, ascending.

    Args:
        layout: Where each token sits.
        share: Share of the patches, rounded down to whole patches.
        generator: Source of the draw; ``None`` spaces them evenly over the sequence.

    Raises:
        ValueError: The share is not in [0, 1).

    Home section: *Token merging*.
    """
    if not 0 <= share < 1:
        raise ValueError(
            f"the share of protected patches must be at least 0 and less than 1, got {share}; "
            "protect some and leave some to merge"
        )
    total = layout.frames * layout.patches
    count = math.floor(share * total + 1e-9)
    if generator is None:
        taken = torch.arange(count) * total // max(count, 1)
    else:
        taken = torch.randperm(total, generator=generator)[:count].sort().values
    return _patch_indices(layout).flatten()[taken]


def _free_patches(
    layout: TokenLayout, reference: str, protected: Tensor | None
) -> Bool[Tensor, "frame patch"]:
    """Patches that may be source or destination."""
    if reference not in REFERENCES:
        raise ValueError(
            "reference must be 'destination', 'protected' or 'grid', got "
            f"{reference!r}; choose the role of the first frame"
        )
    free = torch.ones(layout.count, dtype=torch.bool)
    if protected is not None:
        _check_range("protected", protected, layout)
        free[protected.cpu()] = False
    free = free[_patch_indices(layout)]
    if reference == "protected":
        free = free & ~_of_frame(layout, 0)
    if not free.any():
        raise ValueError(
            "protected tokens must leave a patch to merge into, got all "
            f"{layout.frames * layout.patches} patches protected; protect fewer"
        )
    return free


def _patch_indices(layout: TokenLayout) -> Int64[Tensor, "frame patch"]:
    patches = (~torch.from_numpy(layout.is_special())).nonzero()[:, 0]
    return patches.view(layout.frames, layout.patches)


def _of_frame(layout: TokenLayout, frame: int) -> Bool[Tensor, "frame 1"]:
    return (torch.arange(layout.frames) == frame)[:, None]


def _cells(
    layout: TokenLayout, cell: tuple[int, int], balanced: bool
) -> Int64[Tensor, "frame patch"]:
    """The cell of every patch, numbered over all frames."""
    divide = _balanced_stripes if balanced else _stripes
    rows, columns = divide(layout.rows, cell[0]), divide(layout.columns, cell[1])
    down, across = int(rows[-1]) + 1, int(columns[-1]) + 1
    frames = torch.arange(layout.frames)[:, None]
    return frames * down * across + (rows[:, None] * across + columns).flatten()


def _stripes(lines: int, side: int) -> Int64[Tensor, "line"]:
    """The cell of every row or column; the last may be smaller."""
    return torch.arange(lines) // side


def _balanced_stripes(lines: int, side: int) -> Int64[Tensor, "line"]:
    """The cell of every row or column where none is below the side; one cell of fewer lines."""
    return torch.arange(lines) * (lines // side) // lines


def _order(layout: TokenLayout, generator: torch.Generator | None) -> Int64[Tensor, "frame patch"]:
    """The order in which the patches are offered to their cells."""
    total = layout.frames * layout.patches
    order = torch.arange(total) if generator is None else torch.randperm(total, generator=generator)
    return order.view(layout.frames, layout.patches)


def _first_of_cell(
    cells: Int64[Tensor, "frame patch"],
    order: Int64[Tensor, "frame patch"],
    free: Bool[Tensor, "frame patch"],
) -> Bool[Tensor, "frame patch"]:
    """The free patch of every cell that comes first in the order."""
    offered = torch.where(free, order, order.numel())
    first = torch.full((int(cells.max()) + 1,), order.numel())
    first = first.scatter_reduce(0, cells.flatten(), offered.flatten(), "amin")
    return free & (first[cells] == offered)


def _check_ascending(name: str, tokens: Tensor, layout: TokenLayout) -> None:
    _check_range(name, tokens, layout)
    if (tokens.diff() <= 0).any():
        raise ValueError(f"{name} must be ascending and different; sort them and drop repeats")
    special = torch.from_numpy(layout.is_special()).to(tokens.device)[tokens]
    if special.any():
        raise ValueError(
            f"{name} must be patches, got {int(special.sum())} special tokens, such as "
            f"{int(tokens[special][0])}; a camera or register token is never merged"
        )


def _check_range(name: str, tokens: Tensor, layout: TokenLayout) -> None:
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < layout.count:
        raise ValueError(
            f"{name} must be at least 0 and less than {layout.count}, got {int(tokens.min())} to "
            f"{int(tokens.max())}; use flat indices of the layout"
        )

"""Where the members of every group are: what sums over groups and copies to tokens are led by."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int, Int64
from torch import Tensor


@dataclass(frozen=True)
class Members:
    """The tokens of every batch entry by group, each table made once, when it is first asked for.

    Nothing is checked here, and the device is not waited for.

    Args:
        assignment: Group of every token, from zero.
        count: Number of groups, none of them empty.

    Home section: *Token merging*.
    """

    assignment: Int64[Tensor, "batch token"]
    count: int

    @cached_property
    def sizes(self) -> Int64[Tensor, "batch group"]:
        """Number of tokens of every group."""
        empty = self.assignment.new_zeros(len(self.assignment), self.count)
        return empty.scatter_add(1, self.assignment, torch.ones_like(self.assignment))

    @cached_property
    def order(self) -> Int[Tensor, "batch token"]:
        """The tokens, one group after the other and ascending within it."""
        return self._sorted[1].int()

    @cached_property
    def sorted_groups(self) -> Int[Tensor, "batch token"]:
        """The group of each token in this order."""
        return self._sorted[0]

    @cached_property
    def starts(self) -> Int[Tensor, "batch bound"]:
        """Where each group starts in this order, and the end of the last one."""
        ends = self.sizes.cumsum(1)
        return torch.nn.functional.pad(ends, (1, 0)).int()

    @cached_property
    def _sorted(self) -> tuple[Int[Tensor, "batch token"], Int64[Tensor, "batch token"]]:
        # Groups of 32 bits sort in half the time.
        return self.assignment.int().sort(dim=1, stable=True)

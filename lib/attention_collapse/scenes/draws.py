"""Random numbers for scene parameters: one explicit generator, on the CPU, in a fixed order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

Option = TypeVar("Option")

# The CPU generator reads 32 bits of the seed: larger seeds would repeat smaller ones.
SEEDS = 2**32


@dataclass(frozen=True)
class Draws:
    """Scalars drawn one after the other, so that a longer sequence begins with a shorter one.

    Home section: *The phenomenon*.

    Attributes:
        generator: the CPU generator all draws come from.
    """

    generator: torch.Generator

    @classmethod
    def from_seed(cls, seed: int) -> "Draws":
        """Start the draws of a seed.

        Raises:
            ValueError: the seed is negative or needs more than 32 bits.
        """
        if not 0 <= seed < SEEDS:
            raise ValueError(f"seed must be in [0, 2**32), got {seed}; use seed % 2**32")
        return cls(torch.Generator().manual_seed(seed))

    def uniform(self, low: float, high: float) -> float:
        """A number uniform in [low, high)."""
        unit = torch.rand((), generator=self.generator, dtype=torch.float64).item()
        return low + (high - low) * unit

    def choice(self, options: Sequence[Option]) -> Option:
        """One of the options, all equally likely."""
        return options[int(torch.randint(len(options), (), generator=self.generator))]

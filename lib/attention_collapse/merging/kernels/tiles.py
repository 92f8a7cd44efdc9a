"""Sizes of the tiles that each kernel works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor


@dataclass(frozen=True)
class Tiles:
    """How one kernel divides its work.

    Attributes:
        kept: rows that a program keeps for its whole life.
        streamed: rows that it reads in each step.
        width: columns that it reads in each step; 0 where it reads whole rows.
        warps: warps of 32 threads in a program.
        stages: steps whose reads are under way at a time.

    Home section: *Token merging*.
    """

    kept: int
    streamed: int
    width: int
    warps: int
    stages: int

    def options(self) -> dict[str, int]:
        """What the compiler is told of them, as arguments of a launch."""
        return {"num_warps": self.warps, "num_stages": self.stages}


# Those of the match are for features of more than 128 numbers and for shorter ones. A program of
# the means keeps one group and reads some members at a time, one of the copies keeps some tokens.
# Each was the fastest of a search over some sizes on an NVIDIA H200, at 100 frames of VGGT.
TILES: Mapping[str, Tiles] = MappingProxyType(
    {
        "nearest": Tiles(128, 256, 64, 8, 4),
        "nearest_short": Tiles(64, 128, 0, 4, 3),
        "means": Tiles(1, 4, 1024, 2, 2),
        "copies": Tiles(8, 1, 1024, 4, 1),
        "attend": Tiles(128, 64, 0, 4, 3),
        "attend_running": Tiles(64, 128, 0, 4, 2),
    }
)


def descriptor(
    tensor: Float[Tensor, "batch row width"], rows: int, width: int = 0
) -> TensorDescriptor:
    """Describe a tensor as the stack of its entries' rows, read ``rows`` at a time.

    Row numbers stay below :math:`2^{31}` where element numbers do not. A read past the last row of
    an entry gives rows of the next, and zeros past the last entry and past the width.

    Home section: *Token merging*.
    """
    return TensorDescriptor.from_tensor(tensor.flatten(0, 1), [rows, width or tensor.shape[-1]])

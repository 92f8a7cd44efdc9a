"""Sizes of the tiles that each kernel works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

# Keys or queries that are summed at a time. Sums of more lose low bits in single precision, and
# what a head streams no longer stays in the second-level cache.
CHUNK = 65_536

# Chunks, and the rows of one number a row, start at multiples of this: a read of a tile must start
# at 16 bytes.
ALIGNMENT = 128

# Base-2 units: natural logarithms and scores times this are powers of two.
LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Tiles:
    """How one kernel divides its work.

    Attributes:
        kept: rows that a program keeps for its whole life.
        streamed: rows that it reads in each step.
        warps: warps of 32 threads in a program.
        stages: steps whose reads are under way at a time.
        polynomials: of every 8 exponentials, those that the multiply-add units compute.

    Home section: *Measuring collapse*.
    """

    kept: int
    streamed: int
    warps: int
    stages: int
    polynomials: int = 0

    def options(self) -> dict[str, int]:
        """What the compiler is told of them, as arguments of a launch."""
        return {"num_warps": self.warps, "num_stages": self.stages}


# The fastest of 102 variants timed on one H200 with 100 frames of 1041 tokens in 16 heads of
# dimension 64.
TILES: Mapping[str, Tiles] = MappingProxyType(
    {
        "rows": Tiles(128, 64, 4, 2),
        "columns": Tiles(128, 64, 4, 2, 1),
        "apply": Tiles(128, 64, 4, 3, 1),
        "apply_transposed": Tiles(128, 64, 4, 3),
    }
)


def descriptor(tensor: Float[Tensor, "head token dim"], rows: int) -> TensorDescriptor:
    """Describe a tensor as the stack of its heads' rows, read ``rows`` at a time.

    Row numbers stay below :math:`2^{31}` where element numbers do not. A read past the last token
    of a head gives rows of the next head, and zeros past the last head.

    Home section: *Measuring collapse*.
    """
    return TensorDescriptor.from_tensor(tensor.flatten(0, 1), [rows, tensor.shape[-1]])


def row_descriptor(values: Float[Tensor, "head token"], rows: int) -> TensorDescriptor:
    """Describe one number a row as ``descriptor`` does, read ``rows`` at a time.

    Home section: *Measuring collapse*.
    """
    return TensorDescriptor.from_tensor(values.flatten(), [rows])


def base_two_scale(dim: int) -> float:
    r"""The factor :math:`\log_2 e / \sqrt d` from a product :math:`q \cdot k` to a power of two.

    It is rounded to single precision, as the kernels read it.

    Home section: *Measuring collapse*.
    """
    return float(np.float32(LOG2_E * dim**-0.5))


def powers_per_nat(dim: int) -> float:
    r"""Powers of two for a unit of the scores, :math:`\log_2 e` by the rounded scale.

    Scores and normalisers must be converted alike: what the rounding of the scale adds to a large
    score then cancels in the exponent of a weight.

    Home section: *Measuring collapse*.
    """
    return base_two_scale(dim) * dim**0.5


def base_two(log_sum_exp: Float[Tensor, "head query"], *, dim: int) -> Float[Tensor, "head query"]:
    """Normalisers as single-precision powers of two, rounded once; ``dim`` is that of a head.

    Home section: *Measuring collapse*.
    """
    return (log_sum_exp.double() * powers_per_nat(dim)).to(torch.float32)

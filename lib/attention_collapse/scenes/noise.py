"""Solid noise: a random number per lattice cell of space, interpolated, summed over octaves.

Value noise with a permutation as the hash of the cell, after K. Perlin, "An image synthesizer",
SIGGRAPH 1985. The lattice is drawn on the CPU and moved, so every device sees the same noise.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.lookup import rows_at

# Cells along each axis until the noise repeats. A power of two, so that the remainder is a mask.
PERIOD = 4096

# (cells per unit length, amplitude). No frequency is a multiple of another, so that the cell
# walls of different octaves do not line up.
OCTAVES = ((1.3, 0.40), (2.9, 0.28), (6.7, 0.20), (14.9, 0.14))

# A rotation, which turns the cells away from the walls of a room.
TILT = ((2 / 3, -1 / 3, 2 / 3), (2 / 3, 2 / 3, -1 / 3), (-1 / 3, 2 / 3, 2 / 3))


@dataclass(frozen=True)
class Lattice:
    """The hash and the values of solid noise, of one world or of each of many.

    Home section: *The phenomenon*.

    Attributes:
        permutation: a random order of the cells, the hash.
        values: a number in [-1, 1) for each hash.
    """

    permutation: Int32[Tensor, "*world cell"]
    values: Float[Tensor, "*world cell"]

    @classmethod
    def sample(cls, draws: Draws, *, dtype: torch.dtype, device: torch.device) -> "Lattice":
        """Draw a lattice on the CPU and move it to the device."""
        permutation = torch.randperm(PERIOD, generator=draws.generator)
        values = 2 * torch.rand(PERIOD, generator=draws.generator, dtype=torch.float64) - 1
        return cls(permutation.to(device, torch.int32), values.to(device, dtype))

    def hash(self, index: Int32[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
        """The permutation at indices, which may lie outside one period."""
        return rows_at(self.permutation, index & (PERIOD - 1), frame_axes=self.frame_axes)

    def value(self, hashed: Int32[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The values of hashes."""
        return rows_at(self.values, hashed, frame_axes=self.frame_axes)

    @property
    def frame_axes(self) -> int:
        """1 if each frame has noise of its own, 0 if there is one noise."""
        return self.permutation.ndim - 1


def value_noise(
    points: Float[Tensor, "*frame ray 3"], lattice: Lattice
) -> Float[Tensor, "*frame ray"]:
    """Random values at integer points, interpolated smoothly in between; in [-1, 1).

    Home section: *The phenomenon*.
    """
    floor = points.floor()
    fraction = points - floor
    # The corners of each point's cell, one axis of length 2 before the other: "z y x *frame ray".
    corners = torch.zeros_like(floor[..., 0], dtype=torch.int32)
    for axis, cell in enumerate(floor.int().unbind(-1)):
        ends = torch.stack([cell, cell + 1])
        corners = lattice.hash(corners + ends.view(2, *[1] * axis, *cell.shape))
    noise = lattice.value(corners)
    for weight in reversed((fraction.square() * (3 - 2 * fraction)).unbind(-1)):
        noise = torch.lerp(noise[0], noise[1], weight)
    return noise


def fractal_noise(
    points: Float[Tensor, "*frame ray 3"],
    lattice: Lattice,
    *,
    footprint: Float[Tensor, "*frame ray"],
) -> Float[Tensor, "*frame ray"]:
    """Value noise summed over octaves, each faded out where pixels are too coarse for it.

    An octave of frequency :math:`f` seen with pixels of size :math:`w` has full weight up to
    :math:`f w = 1/4` and none from the Nyquist limit :math:`f w = 1/2` on.
    Home section: *The phenomenon*.

    Args:
        points: positions, in units of length.
        lattice: the random numbers.
        footprint: size of a pixel on the surface, in units of length.
    """
    # Elementwise: a matrix product in TF32 would keep 10 bits of the place in the lattice.
    tilted = (points[..., None, :] * points.new_tensor(TILT)).sum(-1)
    total = torch.zeros_like(footprint)
    for frequency, amplitude in OCTAVES:
        fade = (2 - 4 * frequency * footprint).clamp(0, 1)
        total = total + amplitude * fade * value_noise(tilted * frequency, lattice)
    return total

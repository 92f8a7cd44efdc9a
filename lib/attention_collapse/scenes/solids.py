"""Balls and blocks, and where rays meet them."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.scenes.materials import Material

HAS_TRITON = find_spec("triton") is not None
"""Whether CUDA devices look for the first solid by a kernel, in single precision."""

# x, y and z of many vectors.
Coordinates = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Solid:
    """A ball, or a block turned about the vertical axis.

    Home section: *The phenomenon*.

    Attributes:
        centre: in the world.
        half_size: half the extent along the solid's own axes; three times the radius for a ball.
        material: the look of its surface.
        yaw: angle from the world's to the solid's own axes about y, in radians.
        is_ball: ball or block.
    """

    centre: tuple[float, float, float]
    half_size: tuple[float, float, float]
    material: Material
    yaw: float = 0.0
    is_ball: bool = False


@dataclass(frozen=True)
class Solids:
    """The solids of a world, or of each of many, as tensors, the balls first.

    Home section: *The phenomenon*.

    Attributes:
        centre: in the world.
        half_size: half the extent along the solid's own axes.
        heading: cosine and sine of the yaw, the angle from the world's to the solid's own axes
            about y.
        balls: how many of the solids are balls.
    """

    centre: Float[Tensor, "*world solid 3"]
    half_size: Float[Tensor, "*world solid 3"]
    heading: Float[Tensor, "*world solid 2"]
    balls: int

    @classmethod
    def stack(
        cls, solids: Sequence[Solid], *, dtype: torch.dtype, device: torch.device
    ) -> "Solids":
        """Turn solids, the balls first, into tensors."""

        def column(name: str) -> Tensor:
            rows = [getattr(solid, name) for solid in solids]
            return torch.tensor(rows, dtype=dtype, device=device)

        balls, yaw = sum(solid.is_ball for solid in solids), column("yaw")
        heading = torch.stack([yaw.cos(), yaw.sin()], dim=-1)
        return cls(column("centre"), column("half_size"), heading, balls)

    def nearest(
        self, origins: Float[Tensor, "*frame #ray 3"], directions: Float[Tensor, "*frame #ray 3"]
    ) -> tuple[Float[Tensor, "*frame ray"], Int64[Tensor, "*frame ray"]]:
        """How far along each ray the first solid begins, in lengths of the direction, and which.

        The distance is inf for a miss. Rays from one origin, and parallel rays, are cheaper than
        rays in general.
        """
        if origins.is_cuda and origins.dtype == torch.float32 and HAS_TRITON:
            return self._nearest_by_kernel(origins, directions)
        # Balls and blocks by themselves: a compiler then keeps no distance but the least.
        ball, block = (_least(part) for part in self.distances(origins, directions))
        first = ball[0] <= block[0]
        index = torch.where(first, ball[1], self.balls + block[1])
        return torch.where(first, ball[0], block[0]), index

    def _nearest_by_kernel(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        # Triton is absent from most machines; its kernels are imported where they run.
        from attention_collapse.scenes.ray_kernel import nearest_solid

        table = torch.cat([self.centre, self.half_size, self.heading], dim=-1)
        if origins.ndim == 2:
            found = nearest_solid(origins[None], directions[None], table[None], self.balls)
            return found[0][0], found[1][0]
        return nearest_solid(origins, directions, table, self.balls)

    def distances(
        self, origins: Float[Tensor, "*frame #ray 3"], directions: Float[Tensor, "*frame #ray 3"]
    ) -> tuple[Float[Tensor, "ball *frame ray"], Float[Tensor, "block *frame ray"]]:
        """How far along each ray each ball and each block begins; inf for a miss."""
        # Coordinates first, then solids: "3 solid *frame ray".
        centre, half_size = (
            table.movedim((-1, -2), (0, 1))[..., None] for table in (self.centre, self.half_size)
        )
        start = origins.movedim(-1, 0)[:, None] - centre
        aims = directions.movedim(-1, 0).contiguous()[:, None]
        balls, blocks = slice(None, self.balls), slice(self.balls, None)
        heading = self.heading.movedim((-1, -2), (0, 1))[:, blocks, ..., None]
        ball = ball_distances(start[:, balls], aims, radius=half_size[0, balls])
        turned = (turn(vectors, heading) for vectors in (start[:, blocks], aims))
        return ball, block_distances(*turned, half_size=half_size[:, blocks])


def _least(distances: Float[Tensor, "solid *ray"]) -> tuple[Tensor, Tensor]:
    """The least distance and whose it is; inf where there is no solid."""
    if len(distances):
        return tuple(distances.min(dim=0))
    none = distances.new_full(distances.shape[1:], torch.inf)
    return none, none.new_zeros(none.shape, dtype=torch.int64)


def turn(
    vectors: Float[Tensor, "3 *#point"],
    heading: Float[Tensor, "2 *#point"] | tuple[Tensor, Tensor],
) -> Coordinates:
    """Coordinates x, y, z of vectors in axes turned about y.

    Home section: *The phenomenon*.

    Args:
        vectors: in the axes before.
        heading: cosine and sine of the angle from these axes to the new ones.
    """
    (x, y, z), (cosine, sine) = vectors, heading
    return cosine * x - sine * z, y, sine * x + cosine * z


def ball_distances(
    start: Float[Tensor, "3 solid *#ray"],
    directions: Float[Tensor, "3 1 *#ray"],
    *,
    radius: Float[Tensor, "solid *#ray"],
) -> Float[Tensor, "solid *#ray"]:
    """First root of :math:`|o + t d|^2 = r^2` if it lies ahead, else inf.

    Home section: *The phenomenon*.

    Args:
        start: origin :math:`o` of each ray, seen from each ball's centre.
        directions: :math:`d` of each ray.
        radius: :math:`r` of each ball.
    """
    square = directions.square().sum(0)
    half_slope = sum(begin * aim for begin, aim in zip(start, directions, strict=True))
    constant = start.square().sum(0) - radius.square()
    discriminant = half_slope.square() - square * constant
    distance = -(half_slope + discriminant.clamp(min=0).sqrt()) / square
    return torch.where((discriminant > 0) & (distance > 0), distance, torch.inf)


def block_distances(
    start: Coordinates, directions: Coordinates, *, half_size: Float[Tensor, "3 solid *#ray"]
) -> Float[Tensor, "solid *#ray"]:
    """Where rays enter blocks: the last slab is entered before the first is left.

    Home section: *The phenomenon*.

    Args:
        start: origin of each ray, seen from each block's centre in its axes.
        directions: of each ray, in each block's axes.
        half_size: half the extent of each block.
    """
    enter, leave = 0.0, torch.inf
    for begin, direction, half in zip(start, directions, half_size, strict=True):
        inverse = 1 / direction
        one, other = (-half - begin) * inverse, (half - begin) * inverse
        enter = torch.minimum(one, other).clamp(min=enter)
        leave = torch.maximum(one, other).clamp(max=leave)
    return torch.where(enter < leave, enter, torch.inf)

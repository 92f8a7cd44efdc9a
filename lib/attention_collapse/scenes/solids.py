"""Balls and blocks, and where rays meet them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.scenes.materials import Material

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
        yaw: angle from the world's to the solid's own axes about y, in radians.
        balls: how many of the solids are balls.
    """

    centre: Float[Tensor, "*world solid 3"]
    half_size: Float[Tensor, "*world solid 3"]
    yaw: Float[Tensor, "*world solid"]
    balls: int

    @classmethod
    def stack(
        cls, solids: Sequence[Solid], *, dtype: torch.dtype, device: torch.device
    ) -> "Solids":
        """Turn solids, the balls first, into tensors."""

        def column(name: str) -> Tensor:
            rows = [getattr(solid, name) for solid in solids]
            return torch.tensor(rows, dtype=dtype, device=device)

        balls = sum(solid.is_ball for solid in solids)
        return cls(column("centre"), column("half_size"), column("yaw"), balls)

    def distances(
        self, origins: Float[Tensor, "*frame #ray 3"], directions: Float[Tensor, "*frame #ray 3"]
    ) -> Float[Tensor, "solid *frame ray"]:
        """How far along each ray each solid begins, in lengths of the direction; inf for a miss.

        Rays from one origin, and parallel rays, are cheaper than rays in general.
        """
        # Coordinates first, then solids: "3 solid *frame ray".
        centre, half_size = (
            table.movedim((-1, -2), (0, 1))[..., None] for table in (self.centre, self.half_size)
        )
        start = origins.movedim(-1, 0)[:, None] - centre
        aims = directions.movedim(-1, 0).contiguous()[:, None]
        balls, blocks = slice(None, self.balls), slice(self.balls, None)
        yaw = self.yaw.movedim(-1, 0)[blocks, ..., None]
        ball = ball_distances(start[:, balls], aims, radius=half_size[0, balls])
        block = block_distances(
            turn(start[:, blocks], yaw), turn(aims, yaw), half_size=half_size[:, blocks]
        )
        return torch.cat([ball, block])


def turn(vectors: Float[Tensor, "3 *#point"], yaw: Float[Tensor, "*#point"]) -> Coordinates:
    """Coordinates x, y, z of vectors in axes turned by a yaw about y.

    Home section: *The phenomenon*.
    """
    x, y, z = vectors
    cosine, sine = yaw.cos(), yaw.sin()
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

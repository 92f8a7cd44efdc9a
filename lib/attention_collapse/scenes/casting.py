"""Cast rays into a world: what each ray meets first, and whether the light reaches it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from attention_collapse.scenes.lookup import rows_at
from attention_collapse.scenes.solids import turn
from attention_collapse.scenes.world import ROOM_FACES, World

# Shadow rays start this far off the surface, so that rounding does not shade it by itself.
SHADOW_OFFSET = 1e-3


@dataclass(frozen=True)
class Hits:
    """Where rays end.

    Home section: *The phenomenon*.

    Attributes:
        depth: distance along the ray, in lengths of its direction.
        surface: index into the world's materials: the faces of the room, then the solids.
        points: in the world.
        normal: unit normal of the surface, towards the open space.
        local: the points in the axes of the solid; in the world's axes on the room.
        chart: the points on the surface, along and across, in units of length; height and
            longitude on balls.
    """

    depth: Float[Tensor, "*frame ray"]
    surface: Int64[Tensor, "*frame ray"]
    points: Float[Tensor, "*frame ray 3"]
    normal: Float[Tensor, "*frame ray 3"]
    local: Float[Tensor, "*frame ray 3"]
    chart: Float[Tensor, "*frame ray 2"]


def cast(
    world: World, origin: Float[Tensor, "*frame 3"], directions: Float[Tensor, "*frame ray 3"]
) -> Hits:
    """The first surface each ray meets.

    Home section: *The phenomenon*.

    Args:
        world: the room and its solids, or those of each frame.
        origin: common start of the rays of a frame, inside the room and outside the solids.
        directions: directions of the rays; their length is the unit of depth.
    """
    room_depth, room_axis = _room_exit(world, origin, directions)
    solid_depth, solid = world.solids.nearest(origin[..., None, :], directions)
    on_room = room_depth <= solid_depth
    depth = torch.where(on_room, room_depth, solid_depth)
    points = origin[..., None, :] + depth[..., None] * directions
    on_solid = _on_solid(world, points, solid)
    outwards = directions.gather(-1, room_axis[..., None])[..., 0] > 0
    on_face = (
        2 * room_axis + outwards,
        _axis_vector(room_axis, torch.where(outwards, -1.0, 1.0).to(depth)),
        points,
        _flat_chart(points, room_axis),
    )
    surface, normal, local, chart = (
        torch.where(on_room if face.ndim == depth.ndim else on_room[..., None], face, other)
        for face, other in zip(on_face, on_solid, strict=True)
    )
    return Hits(depth, surface, points, normal, local, chart)


def lit(world: World, hits: Hits) -> Bool[Tensor, "*frame ray"]:
    """Whether no solid stands between a hit and the light.

    Home section: *The phenomenon*.
    """
    start = hits.points + SHADOW_OFFSET * hits.normal
    source = world.light.position[..., None, :]
    if world.light.is_sun:
        return world.solids.nearest(start, source)[0] == torch.inf
    return world.solids.nearest(source, start - source)[0] > 1


def _room_exit(world: World, origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Distance at which rays leave the room, and the axis of the face they leave by."""
    above, below = (gap[..., None, :] for gap in (world.upper - origin, origin - world.lower))
    return (torch.where(directions > 0, above, below) / directions.abs()).min(dim=-1)


def _on_solid(world: World, points: Tensor, solid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Surface index, normal, local point and chart of points on the solids with these indices."""
    solids = world.solids
    centre, half_size, heading = (
        rows_at(table, solid, frame_axes=table.ndim - 2)
        for table in (solids.centre, solids.half_size, solids.heading)
    )
    cosine, sine = heading.unbind(-1)
    local = torch.stack(turn((points - centre).movedim(-1, 0), (cosine, sine)), dim=-1)
    scaled = local / half_size
    axis = scaled.abs().argmax(-1)
    is_ball = (solid < solids.balls)[..., None]
    flat = _axis_vector(axis, scaled.gather(-1, axis[..., None])[..., 0].sign())
    facing = torch.where(is_ball, scaled, flat).movedim(-1, 0)
    normal = torch.stack(turn(facing, (cosine, -sine)), dim=-1)
    chart = torch.where(is_ball, _ball_chart(local), _flat_chart(local, axis))
    return ROOM_FACES + solid, normal, local, chart


def _axis_vector(axis: Tensor, length: Tensor) -> Tensor:
    """A vector of the given signed length along one axis."""
    return length[..., None] * (axis[..., None] == torch.arange(3, device=axis.device))


def _flat_chart(points: Tensor, axis: Tensor) -> Tensor:
    """The two coordinates within a face; across is up on upright faces."""
    x, y, z = points.unbind(-1)
    return torch.stack([torch.where(axis == 0, z, x), torch.where(axis == 1, z, y)], dim=-1)


def _ball_chart(points: Tensor) -> Tensor:
    """Height and longitude: stripes along the height are closed rings."""
    x, y, z = points.unbind(-1)
    return torch.stack([y, torch.atan2(z, x)], dim=-1)

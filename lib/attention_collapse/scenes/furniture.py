"""Things to put into a room: doors, pictures and cupboards on walls, crates and balls."""

import math
from dataclasses import dataclass

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.materials import Material
from attention_collapse.scenes.palette import lacquer, rubber, wood
from attention_collapse.scenes.solids import Solid
from attention_collapse.scenes.world import Room


@dataclass(frozen=True)
class Panel:
    """A flat block for a wall, in units of length.

    Home section: *The phenomenon*.

    Attributes:
        material: its look.
        width: along the wall.
        height: upwards.
        depth: out of the wall.
        elevation: of its lower edge above the floor.
    """

    material: Material
    width: float
    height: float
    depth: float
    elevation: float = 0.0


def door(draws: Draws) -> list[Panel]:
    """A door and its frame.

    Home section: *The phenomenon*.
    """
    width, height = draws.uniform(0.8, 0.95), draws.uniform(1.95, 2.1)
    frame = Panel(wood(draws), width + 0.2, height + 0.1, 0.04)
    return [frame, Panel(wood(draws), width, height, 0.07)]


def picture(draws: Draws) -> list[Panel]:
    """A picture in a frame, at eye level.

    Home section: *The phenomenon*.
    """
    width, height = draws.uniform(0.6, 1.1), draws.uniform(0.5, 0.9)
    low = 1.55 - height / 2
    frame = Panel(wood(draws), width + 0.16, height + 0.16, 0.05, low - 0.08)
    return [frame, Panel(lacquer(draws), width, height, 0.06, low)]


def cupboard(draws: Draws) -> list[Panel]:
    """A cupboard or a chest of drawers.

    Home section: *The phenomenon*.
    """
    size = draws.uniform(0.8, 1.2), draws.uniform(0.8, 1.8), draws.uniform(0.25, 0.4)
    return [Panel(wood(draws), *size)]


FITTINGS = (door, picture, picture, cupboard)


def mount(panel: Panel, room: Room, *, wall: int, along: float) -> Solid:
    """The panel on a wall of the room.

    Home section: *The phenomenon*.

    Args:
        panel: what to mount.
        room: the room.
        wall: index of the face: 0 (x low), 1 (x high), 4 (z low) or 5 (z high).
        along: position of the panel's middle on the wall: its z on faces 0 and 1, else its x.
    """
    axis, high = divmod(wall, 2)
    out = room.upper[axis] - panel.depth / 2 if high else room.lower[axis] + panel.depth / 2
    y = room.lower[1] + panel.elevation + panel.height / 2
    centre = (out, y, along) if axis == 0 else (along, y, out)
    across = panel.depth if axis == 0 else panel.width
    deep = panel.width if axis == 0 else panel.depth
    return Solid(centre, (across / 2, panel.height / 2, deep / 2), panel.material)


def crate(draws: Draws, *, x: float, z: float) -> Solid:
    """A block that stands on the floor, turned at random.

    Home section: *The phenomenon*.
    """
    half_size = draws.uniform(0.18, 0.32), draws.uniform(0.15, 0.42), draws.uniform(0.18, 0.32)
    material = draws.choice((lacquer, wood))(draws)
    return Solid((x, half_size[1], z), half_size, material, yaw=draws.uniform(0.0, math.pi))


def ball(draws: Draws, *, x: float, z: float, floor: float = 0.0) -> Solid:
    """A ball that lies at a height.

    Home section: *The phenomenon*.
    """
    radius = draws.uniform(0.13, 0.28)
    centre, half_size = (x, floor + radius, z), (radius, radius, radius)
    return Solid(centre, half_size, rubber(draws), is_ball=True)

"""The world of an orbit: a furnished room with crates and balls near its middle."""

import math

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.furniture import FITTINGS, ball, crate, mount
from attention_collapse.scenes.palette import bricks, paint, planks, plaster, tiles, wallpaper
from attention_collapse.scenes.solids import Solid
from attention_collapse.scenes.world import Light, Room

WALLS = (0, 1, 4, 5)

# Things stand on rings around the middle, each in its own sector, so that none meets another.
INNER, OUTER = 0.95, 1.3
SECTORS = 6


def furnished_room(draws: Draws) -> tuple[Room, list[Solid], Light]:
    """A room about 7 units wide and 3 high, with its middle at x = z = 0 and its floor at y = 0.

    Home section: *The phenomenon*.
    """
    room = _empty_room(draws)
    solids = [solid for wall in WALLS for solid in _wall_fittings(draws, room, wall)]
    lamp = (draws.uniform(-1.0, 1.0), room.upper[1] - 0.3, draws.uniform(-1.0, 1.0))
    light = Light(lamp, ambient=0.35, strength=1.0, reach=4.0)
    return room, solids + _still_life(draws), light


def _empty_room(draws: Draws) -> Room:
    half_x, half_z = draws.uniform(3.4, 4.0), draws.uniform(3.4, 4.0)
    walls = [draws.choice((paint, bricks, wallpaper))(draws) for _ in WALLS]
    floor, ceiling = draws.choice((planks, tiles))(draws), plaster(draws)
    return Room(
        lower=(-half_x, 0.0, -half_z),
        upper=(half_x, draws.uniform(2.7, 3.1), half_z),
        faces=(walls[0], walls[1], floor, ceiling, walls[2], walls[3]),
    )


def _wall_fittings(draws: Draws, room: Room, wall: int) -> list[Solid]:
    """Two fittings, each in its half of the wall."""
    solids = []
    for along in (draws.uniform(-2.2, -1.1), draws.uniform(1.1, 2.2)):
        panels = draws.choice(FITTINGS)(draws)
        solids += [mount(panel, room, wall=wall, along=along) for panel in panels]
    return solids


def _still_life(draws: Draws) -> list[Solid]:
    """A crate in the middle, crates and balls in turn around it, and balls on some crates."""
    turn = draws.uniform(0.0, 2 * math.pi)
    solids = [crate(draws, x=0.0, z=0.0)]
    for sector in range(SECTORS):
        angle = turn + 2 * math.pi * (sector + draws.uniform(-0.1, 0.1)) / SECTORS
        radius = draws.uniform(INNER, OUTER)
        thing = ball if sector % 2 else crate
        solids.append(thing(draws, x=radius * math.cos(angle), z=radius * math.sin(angle)))
    return solids + [_on_top(draws, support) for support in (solids[0], solids[1], solids[3])]


def _on_top(draws: Draws, support: Solid) -> Solid:
    x, _, z = support.centre
    return ball(draws, x=x, z=z, floor=2 * support.half_size[1])

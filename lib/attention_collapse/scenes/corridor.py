"""The world of a walk: a corridor without end, built station after station."""

import math
from dataclasses import dataclass

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.furniture import FITTINGS, Panel, ball, crate, mount
from attention_collapse.scenes.palette import (
    bricks,
    paint,
    planks,
    plaster,
    tiles,
    wallpaper,
    wood,
)
from attention_collapse.scenes.solids import Solid
from attention_collapse.scenes.world import Light, Room

# Length of a station: a piece of wall between two pillars, with what stands in front of it.
STATION = 2.2

# A walking camera sees nothing further behind or ahead than this, shadows and their causes
# included.
BEHIND, AHEAD = 2.0, 8.0


@dataclass(frozen=True)
class Corridor:
    """A corridor along z, about 2.8 units wide and 2.6 high, with its floor at y = 0.

    Station i spans z from ``i * STATION`` to ``(i + 1) * STATION``. Stations are drawn in order,
    so that a longer corridor begins with a shorter one.
    Home section: *The phenomenon*.

    Attributes:
        room: the bare corridor, infinite along z.
        light: a sun.
        first: index of the first station.
        stations: the solids of each station.
    """

    room: Room
    light: Light
    first: int
    stations: tuple[list[Solid], ...]

    @classmethod
    def sample(cls, draws: Draws, *, length: float) -> "Corridor":
        """Draw a corridor for a camera that walks from z = 0 to a length."""
        room = _bare_corridor(draws)
        sun = (-1.0, draws.uniform(1.0, 1.6), draws.uniform(-0.5, 0.5))
        light = Light(sun, ambient=0.4, strength=0.9, is_sun=True)
        first, last = _station(-BEHIND), _station(length + AHEAD)
        stations = tuple(_furnish(draws, room, index) for index in range(first, last + 1))
        return cls(room, light, first, stations)

    def near(self, z: float) -> list[Solid]:
        """The solids that a camera at z can see, or see the shadow of."""
        start, stop = _station(z - BEHIND) - self.first, _station(z + AHEAD) - self.first
        return [solid for station in self.stations[start : stop + 1] for solid in station]


def _station(z: float) -> int:
    return math.floor(z / STATION)


def _bare_corridor(draws: Draws) -> Room:
    end = float("inf")
    wall, floor, ceiling = paint(draws), draws.choice((planks, tiles))(draws), plaster(draws)
    return Room(
        lower=(-1.3, 0.0, -end),
        upper=(draws.uniform(1.3, 1.6), draws.uniform(2.5, 2.8), end),
        faces=(wall, wall, floor, ceiling, wall, wall),
    )


def _furnish(draws: Draws, room: Room, index: int) -> list[Solid]:
    """The facing of the wall at high x, a pillar, a fitting, and a thing on the floor."""
    start, height = index * STATION, room.upper[1]
    facing = Panel(draws.choice((paint, bricks, wallpaper))(draws), STATION, height, 0.02)
    pillar = Panel(wood(draws), 0.16, height, 0.12)
    middle = start + STATION * draws.uniform(0.4, 0.6)
    fitting = draws.choice(FITTINGS)(draws)
    return [
        mount(facing, room, wall=1, along=start + STATION / 2),
        mount(pillar, room, wall=1, along=start),
        *(mount(panel, room, wall=1, along=middle) for panel in fitting),
        *_thing_on_the_floor(draws, room, start),
    ]


def _thing_on_the_floor(draws: Draws, room: Room, start: float) -> list[Solid]:
    """A crate with a ball on it, or a ball alone."""
    x = room.upper[0] - draws.uniform(0.6, 0.8)
    z = start + draws.uniform(0.4, STATION - 0.4)
    if draws.choice((True, False)):
        return [ball(draws, x=x, z=z)]
    box = crate(draws, x=x, z=z)
    return [box, ball(draws, x=x, z=z, floor=2 * box.half_size[1])]

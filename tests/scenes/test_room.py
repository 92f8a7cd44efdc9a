"""Where things stand in the room and the corridor."""

import math

import pytest
import torch

from attention_collapse.scenes.corridor import STATION, Corridor
from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.furniture import Panel, mount
from attention_collapse.scenes.palette import paint
from attention_collapse.scenes.room import furnished_room
from attention_collapse.scenes.solids import Solid
from attention_collapse.scenes.world import Room
from tolerances import FLOAT64

PAINT = paint(Draws.from_seed(0))


def lowest(solid: Solid) -> float:
    return solid.centre[1] - solid.half_size[1]


def apart(one: Solid, other: Solid) -> bool:
    """Whether circles about the two footprints are apart."""
    radii = sum(
        solid.half_size[0] if solid.is_ball else math.hypot(*solid.half_size[::2])
        for solid in (one, other)
    )
    return math.dist(one.centre[::2], other.centre[::2]) > radii


@pytest.mark.parametrize("seed", range(20))
def test_things_in_the_middle_stand_apart_or_on_each_other(seed: int):
    _, solids, _ = furnished_room(Draws.from_seed(seed))
    things = [solid for solid in solids if math.hypot(*solid.centre[::2]) < 1.5]
    assert len(things) == 10
    for index, thing in enumerate(things):
        for other in things[:index]:
            stacked = lowest(thing) == pytest.approx(other.centre[1] + other.half_size[1])
            assert apart(thing, other) or stacked


@pytest.mark.parametrize("seed", range(20))
def test_solids_are_inside_the_room(seed: int):
    room, solids, _ = furnished_room(Draws.from_seed(seed))
    for solid in solids:
        for low, high, centre, half in zip(
            room.lower, room.upper, solid.centre, solid.half_size, strict=True
        ):
            assert low - FLOAT64 <= centre - half
            assert centre + half <= high + FLOAT64


@pytest.mark.parametrize(
    ("wall", "centre", "half_size"),
    [
        (0, (-1.9, 0.7, 0.5), (0.1, 0.2, 0.4)),
        (1, (2.9, 0.7, 0.5), (0.1, 0.2, 0.4)),
        (4, (0.5, 0.7, -3.9), (0.4, 0.2, 0.1)),
        (5, (0.5, 0.7, 4.9), (0.4, 0.2, 0.1)),
    ],
)
def test_panels_hang_on_their_wall(wall: int, centre: tuple, half_size: tuple):
    room = Room((-2.0, -0.5, -4.0), (3.0, 2.5, 5.0), (PAINT,) * 6)
    panel = Panel(PAINT, width=0.8, height=0.4, depth=0.2, elevation=1.0)
    solid = mount(panel, room, wall=wall, along=0.5)
    assert solid.centre == pytest.approx(centre, abs=FLOAT64)
    assert solid.half_size == pytest.approx(half_size, abs=FLOAT64)


def test_a_longer_corridor_begins_with_a_shorter_one():
    short, long = (Corridor.sample(Draws.from_seed(1), length=length) for length in (3.0, 30.0))
    assert short.room == long.room
    assert short.first == long.first
    assert long.stations[: len(short.stations)] == short.stations
    assert len(long.stations) > len(short.stations)


def test_the_solids_near_a_place_cover_its_surroundings():
    corridor = Corridor.sample(Draws.from_seed(1), length=20.0)
    for z in torch.linspace(0, 20, 50).tolist():
        places = [solid.centre[2] for solid in corridor.near(z)]
        assert min(places) <= z - 2 + STATION / 2
        assert max(places) >= z + 8 - STATION / 2
        assert max(places) - min(places) <= 10 + 2 * STATION

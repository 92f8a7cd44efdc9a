"""Ground truth for rendered worlds: signed distances, written from the shapes' definitions."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.noise import Lattice
from attention_collapse.scenes.room import furnished_room
from attention_collapse.scenes.solids import Solid
from attention_collapse.scenes.world import Light, Room, World

Furnished = tuple[Room, list[Solid], Light]


def solid_distance(solid: Solid, points: Tensor) -> Tensor:
    """Signed distance to a solid, negative inside."""
    offset = points - points.new_tensor(solid.centre)
    if solid.is_ball:
        return offset.norm(dim=-1) - solid.half_size[0]
    # The block's own x axis is (cos, 0, -sin) in the world, its z axis (sin, 0, cos).
    cosine, sine = math.cos(solid.yaw), math.sin(solid.yaw)
    axes = points.new_tensor([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    excess = (offset @ axes.T).abs() - points.new_tensor(solid.half_size)
    return excess.clamp(min=0).norm(dim=-1) + excess.amax(-1).clamp(max=0)


def open_distance(room: Room, solids: list[Solid], points: Tensor) -> Tensor:
    """Distance to the nearest surface, positive in the open space of a room."""
    below, above = points - points.new_tensor(room.lower), points.new_tensor(room.upper) - points
    distances = [solid_distance(solid, points) for solid in solids]
    return torch.stack([torch.cat([below, above], dim=-1).amin(-1), *distances]).amin(0)


@pytest.fixture
def signed_distance() -> Callable[[Solid, Tensor], Tensor]:
    return solid_distance


@pytest.fixture
def open_space() -> Callable[[Room, list[Solid], Tensor], Tensor]:
    return open_distance


@pytest.fixture
def furnished() -> Furnished:
    """A room, its solids and its light."""
    return furnished_room(Draws.from_seed(5))


@pytest.fixture
def world(furnished: Furnished) -> World:
    """The furnished room in float64."""
    room, solids, light = furnished
    lattice = Lattice.sample(Draws.from_seed(6), dtype=torch.float64, device=torch.device("cpu"))
    return World.build(room, solids, light=light, lattice=lattice)

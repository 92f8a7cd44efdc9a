"""A world: a room, solids in it, a light and the materials of all surfaces."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.scenes.materials import Material, Materials
from attention_collapse.scenes.noise import Lattice
from attention_collapse.scenes.solids import Solid, Solids

# Surfaces come first in the order x low, x high, floor, ceiling, z low, z high.
ROOM_FACES = 6


@dataclass(frozen=True)
class Room:
    """The inside of a box along the world's axes; y is up. A corridor is infinite along z.

    Home section: *The phenomenon*.

    Attributes:
        lower: lowest x, y, z.
        upper: highest x, y, z.
        faces: materials of x low, x high, floor, ceiling, z low, z high.
    """

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    faces: tuple[Material, Material, Material, Material, Material, Material]


@dataclass(frozen=True)
class Light:
    """A lamp or the sun, and light from everywhere.

    Home section: *The phenomenon*.

    Attributes:
        position: of the lamp; for the sun, the direction towards it.
        ambient: strength of the light from everywhere.
        strength: of the sun, or of the lamp at a distance much smaller than ``reach``.
        reach: distance at which a lamp's light has halved.
        is_sun: sun or lamp.
    """

    position: tuple[float, float, float]
    ambient: float
    strength: float
    reach: float = float("inf")
    is_sun: bool = False


@dataclass(frozen=True)
class Lights:
    """The light of a world, or of each of many, as tensors; all are lamps or all are suns.

    Home section: *The phenomenon*.
    """

    position: Float[Tensor, "*world 3"]
    ambient: Float[Tensor, "*world"]
    strength: Float[Tensor, "*world"]
    reach: Float[Tensor, "*world"]
    is_sun: bool

    @classmethod
    def build(cls, light: Light, *, dtype: torch.dtype, device: torch.device) -> "Lights":
        """One world's light on a device."""
        numbers = (light.position, light.ambient, light.strength, light.reach)
        tensors = (torch.tensor(number, dtype=dtype, device=device) for number in numbers)
        return cls(*tensors, light.is_sun)


@dataclass(frozen=True)
class World:
    """Everything the renderer needs, as tensors on one device: of one world, or of each of many.

    Home section: *The phenomenon*.
    """

    lower: Float[Tensor, "*world 3"]
    upper: Float[Tensor, "*world 3"]
    solids: Solids
    materials: Materials
    light: Lights
    lattice: Lattice

    @classmethod
    def build(
        cls, room: Room, solids: Sequence[Solid], *, light: Light, lattice: Lattice
    ) -> "World":
        """Collect a room and its solids on the lattice's device."""
        options = {"dtype": lattice.values.dtype, "device": lattice.values.device}
        ordered = sorted(solids, key=lambda solid: not solid.is_ball)
        return cls(
            lower=torch.tensor(room.lower, **options),
            upper=torch.tensor(room.upper, **options),
            solids=Solids.stack(ordered, **options),
            materials=Materials.stack(
                [*room.faces, *(solid.material for solid in ordered)], **options
            ),
            light=Lights.build(light, **options),
            lattice=lattice,
        )

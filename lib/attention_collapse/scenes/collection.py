"""Collections: many worlds of one family, filmed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from attention_collapse.scenes.cameras import intrinsics_matrix
from attention_collapse.scenes.corridor import Corridor
from attention_collapse.scenes.drawing import draw_worlds
from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.noise import Lattice
from attention_collapse.scenes.rendering import Frame, Shade, render, shade
from attention_collapse.scenes.room import furnished_room
from attention_collapse.scenes.trajectories import (
    OrbitPath,
    WalkPath,
    choose_paths,
    stack_paths,
)
from attention_collapse.scenes.world import World
from attention_collapse.scenes.world_batches import choose_worlds, move_worlds


@dataclass(frozen=True)
class Clips:
    """Views of worlds of a collection.

    Home section: *mini-VGGT*.

    Attributes:
        frame: what there is to see.
        world_to_camera: from where, in float64 on the CPU.
    """

    frame: Frame
    world_to_camera: Float64[Tensor, "view 3 4"]


@dataclass(frozen=True)
class Collection:
    """Many worlds of one family on a device, and the path of the camera through each.

    The world and the path of a seed are those of ``orbit`` or ``walk``.
    Home section: *mini-VGGT*.

    Attributes:
        worlds: side by side.
        paths: side by side, on the CPU.
    """

    worlds: World
    paths: OrbitPath | WalkPath

    def __len__(self) -> int:
        return len(self.worlds.lower)

    def film(
        self,
        world: Int64[Tensor, "view"],
        frame: Float64[Tensor, "view"],
        *,
        image_size: tuple[int, int],
        shader: Shade = shade,
    ) -> Clips:
        """Views of some of the worlds, all rendered at once.

        Args:
            world: which world each view shows, on the CPU.
            frame: which frame of its path, on the CPU; a walk has frames between frames.
            image_size: height and width in pixels.
            shader: ``shade``, or what a compiler made of it.
        """
        lower = self.worlds.lower
        cameras = choose_paths(self.paths, world).camera(frame)
        view = render(
            choose_worlds(self.worlds, world.to(lower.device)),
            world_to_camera=cameras.to(lower),
            intrinsics=intrinsics_matrix(image_size).to(lower),
            image_size=image_size,
            shader=shader,
        )
        return Clips(view, cameras)


def orbit_collection(
    seeds: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    processes: int = 1,
) -> Collection:
    """The rooms of the orbits with these seeds.

    Home section: *mini-VGGT*.

    Args:
        seeds: one for each world.
        device: where to render.
        dtype: float32 or float64.
        processes: how many share the work of drawing the worlds.

    Raises:
        ValueError: there is no seed, one is outside [0, 2**32), or there is no process.
    """
    worlds, paths = draw_worlds(partial(_room, dtype=dtype), seeds, processes=processes)
    return Collection(move_worlds(worlds, device), stack_paths(paths))


def walk_collection(
    seeds: Sequence[int],
    *,
    length: float,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    processes: int = 1,
) -> Collection:
    """The corridors of the walks with these seeds, up to a length.

    Home section: *mini-VGGT*.

    Args:
        seeds: one for each world.
        length: how far the camera walks at most, in units of length.
        device: where to render.
        dtype: float32 or float64.
        processes: how many share the work of drawing the worlds.

    Raises:
        ValueError: there is no seed, one is outside [0, 2**32), or there is no process.
    """
    corridor = partial(_corridor, length=length, dtype=dtype)
    worlds, paths = draw_worlds(corridor, seeds, processes=processes)
    return Collection(move_worlds(worlds, device), stack_paths(paths))


def _room(seed: int, *, dtype: torch.dtype) -> tuple[World, OrbitPath]:
    draws = Draws.from_seed(seed)
    # Many small tensors are made on the CPU and moved once.
    lattice = Lattice.sample(draws, dtype=dtype, device=torch.device("cpu"))
    walls, solids, light = furnished_room(draws)
    path = OrbitPath.sample(draws)
    return World.build(walls, solids, light=light, lattice=lattice), path


def _corridor(seed: int, *, length: float, dtype: torch.dtype) -> tuple[World, WalkPath]:
    draws = Draws.from_seed(seed)
    lattice = Lattice.sample(draws, dtype=dtype, device=torch.device("cpu"))
    path = WalkPath.sample(draws)
    built = Corridor.sample(draws, length=length)
    solids = [solid for station in built.stations for solid in station]
    return World.build(built.room, solids, light=built.light, lattice=lattice), path

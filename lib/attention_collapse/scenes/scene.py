"""Two families of scenes: `orbit`, all frames overlap; `walk`, only nearby frames do."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.scenes.cameras import intrinsics_matrix
from attention_collapse.scenes.corridor import Corridor
from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.noise import Lattice
from attention_collapse.scenes.rendering import render
from attention_collapse.scenes.room import furnished_room
from attention_collapse.scenes.trajectories import OrbitPath, WalkPath
from attention_collapse.scenes.world import World


@dataclass(frozen=True)
class Scene:
    """Views of one world with exact geometry.

    Home section: *The phenomenon*.

    Attributes:
        images: display red, green and blue in [0, 1].
        depth: z-depth at the pixel centres, in units of length.
        points: world points at the pixel centres; y is up in the world.
        world_to_camera: :math:`[R \\mid t]` with OpenCV axes (x right, y down, z forward).
        intrinsics: pixel coordinates with pixel centres at integer + 1/2.
    """

    images: Float[Tensor, "frame 3 height width"]
    depth: Float[Tensor, "frame height width"]
    points: Float[Tensor, "frame height width 3"]
    world_to_camera: Float[Tensor, "frame 3 4"]
    intrinsics: Float[Tensor, "frame 3 3"]


def orbit(
    frames: int,
    *,
    image_size: tuple[int, int] = (112, 140),
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Scene:
    """Views of a furnished room from an arc around its middle: all frames overlap.

    Frame k depends on the seed and on k alone.
    Home section: *The phenomenon*.

    Args:
        frames: number of views.
        image_size: height and width in pixels.
        seed: of the room, the arc and the textures.
        device: where to render and to keep the result.
        dtype: float32 or float64.

    Raises:
        ValueError: fewer than one frame, a side below one pixel, a seed outside
            [0, 2**32) or another dtype.
    """
    _check(frames, image_size, dtype)
    draws = Draws.from_seed(seed)
    lattice = Lattice.sample(draws, dtype=dtype, device=torch.device(device))
    room, solids, light = furnished_room(draws)
    path = OrbitPath.sample(draws)
    world = World.build(room, solids, light=light, lattice=lattice)
    return _film(frames, image_size, camera=path.camera, world=lambda frame: world)


def walk(
    frames: int,
    *,
    image_size: tuple[int, int] = (112, 140),
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Scene:
    """Views along a corridor without end: only nearby frames overlap.

    Frame k depends on the seed and on k alone.
    Home section: *The phenomenon*.

    Args:
        frames: number of views.
        image_size: height and width in pixels.
        seed: of the corridor, the walk and the textures.
        device: where to render and to keep the result.
        dtype: float32 or float64.

    Raises:
        ValueError: fewer than one frame, a side below one pixel, a seed outside
            [0, 2**32) or another dtype.
    """
    _check(frames, image_size, dtype)
    draws = Draws.from_seed(seed)
    lattice = Lattice.sample(draws, dtype=dtype, device=torch.device(device))
    path = WalkPath.sample(draws)
    corridor = Corridor.sample(draws, length=path.z(frames - 1))

    def world(frame: int) -> World:
        solids = corridor.near(path.z(frame))
        return World.build(corridor.room, solids, light=corridor.light, lattice=lattice)

    return _film(frames, image_size, camera=path.camera, world=world)


def _film(
    frames: int,
    image_size: tuple[int, int],
    *,
    camera: Callable[[int], Tensor],
    world: Callable[[int], World],
) -> Scene:
    """Render frame after frame into tensors made once: memory beyond the result is one frame's."""
    empty = world(0).lower.new_empty
    scene = Scene(
        images=empty(frames, 3, *image_size),
        depth=empty(frames, *image_size),
        points=empty(frames, *image_size, 3),
        world_to_camera=empty(frames, 3, 4),
        intrinsics=empty(frames, 3, 3),
    )
    scene.intrinsics[:] = intrinsics_matrix(image_size)
    for frame in range(frames):
        scene.world_to_camera[frame] = camera(frame)
        view = render(
            world(frame),
            world_to_camera=scene.world_to_camera[frame],
            intrinsics=scene.intrinsics[frame],
            image_size=image_size,
        )
        scene.images[frame], scene.depth[frame] = view.image, view.depth
        scene.points[frame] = view.points
    return scene


def _check(frames: int, image_size: tuple[int, int], dtype: torch.dtype) -> None:
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}; ask for one view or more")
    if min(image_size) < 1:
        raise ValueError(
            f"image_size must be (height, width) of at least 1 pixel each, got {image_size}; "
            "use for example (112, 140)"
        )
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"dtype must be torch.float32 or torch.float64, got {dtype}; "
            "render in float32 and convert the result"
        )

"""Two families of scenes: `orbit`, all frames overlap; `walk`, only nearby frames do."""

import math
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

# What the camera films at each frame: a world, and the world-to-camera matrix [3 4].
Shots = Callable[[int], tuple[World, Tensor]]


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
    check_request(frames, image_size, dtype)
    return film(frames, image_size, orbit_shots(seed, device=device, dtype=dtype))


def walk(
    frames: int,
    *,
    extent: float | None = None,
    image_size: tuple[int, int] = (112, 140),
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Scene:
    """Views along a corridor without end: only nearby frames overlap.

    With an extent the camera stays within that length of the corridor, however many frames there
    are: they fill it ever more densely, out of order. The corridor and frame 0 are those of the
    walk without extent. Frame k depends on the seed, the extent and k alone. Points in float32
    are exact to about :math:`10^{-7}` of the way walked.
    Home section: *The phenomenon*.

    Args:
        frames: number of views.
        extent: length of corridor to stay in, in units of length; None walks on.
        image_size: height and width in pixels.
        seed: of the corridor, the walk and the textures.
        device: where to render and to keep the result.
        dtype: float32 or float64.

    Raises:
        ValueError: fewer than one frame, an extent that is not positive and finite, a side below
            one pixel, a seed outside [0, 2**32) or another dtype.
    """
    check_request(frames, image_size, dtype)
    _check_extent(extent)
    draws = Draws.from_seed(seed)
    lattice = Lattice.sample(draws, dtype=dtype, device=torch.device(device))
    path = WalkPath.sample(draws, extent=extent)
    length = path.z(frames - 1) if extent is None else extent
    corridor = Corridor.sample(draws, length=length)

    def shots(frame: int) -> tuple[World, Tensor]:
        solids = corridor.near(path.z(frame))
        world = World.build(corridor.room, solids, light=corridor.light, lattice=lattice)
        return world, path.camera(frame)

    return film(frames, image_size, shots)


def orbit_shots(seed: int, *, device: torch.device | str, dtype: torch.dtype) -> Shots:
    """What ``orbit`` films: the same room at every frame.

    Home section: *The phenomenon*.

    Args:
        seed: of the room, the arc and the textures.
        device: of the world.
        dtype: of the world.

    Raises:
        ValueError: the seed is outside [0, 2**32).
    """
    draws = Draws.from_seed(seed)
    lattice = Lattice.sample(draws, dtype=dtype, device=torch.device(device))
    room, solids, light = furnished_room(draws)
    path = OrbitPath.sample(draws)
    world = World.build(room, solids, light=light, lattice=lattice)
    return lambda frame: (world, path.camera(frame))


def film(frames: int, image_size: tuple[int, int], shots: Shots) -> Scene:
    """Render frame after frame into tensors made once: memory beyond the result is one frame's.

    Home section: *The phenomenon*.

    Args:
        frames: number of views.
        image_size: height and width in pixels.
        shots: the world and the camera of each frame.
    """
    empty = shots(0)[0].lower.new_empty
    scene = Scene(
        images=empty(frames, 3, *image_size),
        depth=empty(frames, *image_size),
        points=empty(frames, *image_size, 3),
        world_to_camera=empty(frames, 3, 4),
        intrinsics=empty(frames, 3, 3),
    )
    scene.intrinsics[:] = intrinsics_matrix(image_size)
    for frame in range(frames):
        world, scene.world_to_camera[frame] = shots(frame)
        view = render(
            world,
            world_to_camera=scene.world_to_camera[frame],
            intrinsics=scene.intrinsics[frame],
            image_size=image_size,
        )
        scene.images[frame], scene.depth[frame] = view.image, view.depth
        scene.points[frame] = view.points
    return scene


def check_frames(frames: int) -> None:
    """Check that there is a frame to show.

    Home section: *The phenomenon*.

    Raises:
        ValueError: fewer than one frame.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}; ask for one view or more")


def check_request(frames: int, image_size: tuple[int, int], dtype: torch.dtype) -> None:
    """Check what every family of scenes is asked for.

    Home section: *The phenomenon*.

    Raises:
        ValueError: fewer than one frame, a side below one pixel, or a dtype other than float32
            and float64.
    """
    check_frames(frames)
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


def _check_extent(extent: float | None) -> None:
    if extent is not None and not 0 < extent < math.inf:
        raise ValueError(
            f"extent must be a positive length or None, got {extent}; "
            "use for example 2.5, or None to walk on"
        )

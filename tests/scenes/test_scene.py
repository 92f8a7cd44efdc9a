"""The two families of scenes, seen from outside."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from attention_collapse.scenes import Scene, orbit, project, walk
from attention_collapse.scenes.cameras import pixel_centres
from attention_collapse.scenes.corridor import Corridor
from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.noise import Lattice
from attention_collapse.scenes.rendering import render
from attention_collapse.scenes.trajectories import WalkPath
from attention_collapse.scenes.world import World
from tolerances import FLOAT32_RENDERING, PROJECTION, WARPED_COLOUR

Family = Callable[..., Scene]
both_families = pytest.mark.parametrize("family", [orbit, walk])


def sample(image: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear values of an image [channel height width] at pixels [point 2]."""
    size = pixels.new_tensor([image.shape[-1], image.shape[-2]])
    grid = (2 * pixels / size - 1)[None, None]
    values = grid_sample(image[None], grid, align_corners=False, padding_mode="border")
    return values[0, :, 0].T


def warp(scene: Scene, source: int, target: int) -> tuple[Tensor, Tensor]:
    """Pixels in the target of the source's points, and which of them the target sees."""
    points = scene.points[source].reshape(-1, 3)
    pixels, depth = project(
        points, world_to_camera=scene.world_to_camera[target], intrinsics=scene.intrinsics[target]
    )
    size = pixels.new_tensor([scene.depth.shape[2], scene.depth.shape[1]])
    inside = (depth > 0) & (pixels > 0.5).all(-1) & (pixels < size - 0.5).all(-1)
    seen = sample(scene.depth[target][None], pixels)[:, 0]
    return pixels, inside & ((seen - depth).abs() < 0.01 * depth)


def overlap(scene: Scene, source: int, target: int) -> float:
    return warp(scene, source, target)[1].double().mean().item()


@both_families
def test_points_project_to_their_pixel_centres_with_their_depth(family: Family):
    scene = family(3, image_size=(30, 44), seed=1, dtype=torch.float64)
    centres = pixel_centres((30, 44), dtype=torch.float64, device="cpu")
    for frame in range(3):
        pixels, depth = project(
            scene.points[frame],
            world_to_camera=scene.world_to_camera[frame],
            intrinsics=scene.intrinsics[frame],
        )
        assert (pixels - centres).abs().max() < PROJECTION
        assert (depth - scene.depth[frame]).abs().max() < PROJECTION
        assert scene.depth[frame].min() > 0.2


@both_families
def test_two_frames_agree_on_colour_where_both_see_a_point(family: Family):
    scene = family(4, seed=2)
    for source, target in ((0, 1), (1, 3), (2, 0)):
        pixels, visible = warp(scene, source, target)
        colour = scene.images[source].reshape(3, -1).T[visible]
        warped = sample(scene.images[target], pixels[visible])
        unwarped = scene.images[target].reshape(3, -1).T[visible]
        error = (colour - warped).abs().mean()
        assert error < WARPED_COLOUR
        assert error < 0.3 * (colour - unwarped).abs().mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_all_frames_of_an_orbit_overlap(seed: int):
    scene = orbit(8, image_size=(28, 35), seed=seed)
    fractions = [overlap(scene, i, j) for i in range(8) for j in range(8) if i != j]
    assert min(fractions) > 0.25
    assert sum(fractions) / len(fractions) > 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_only_nearby_frames_of_a_walk_overlap(seed: int):
    scene = walk(32, image_size=(28, 42), seed=seed)
    assert all(overlap(scene, k, k + 1) > 0.6 for k in range(31))
    assert all(overlap(scene, k, k + 28) == 0 == overlap(scene, k + 28, k) for k in range(4))


@both_families
def test_the_first_frames_of_a_longer_call_are_the_same_bits(family: Family):
    short, long = (family(frames, image_size=(14, 28), seed=3) for frames in (2, 9))
    for name in ("images", "depth", "points", "world_to_camera", "intrinsics"):
        assert torch.equal(getattr(long, name)[:2], getattr(short, name))


@both_families
def test_the_seed_decides_everything(family: Family):
    torch.manual_seed(0)
    first, other = family(2, image_size=(14, 28), seed=0), family(2, image_size=(14, 28), seed=1)
    torch.manual_seed(1)
    again = family(2, image_size=(14, 28), seed=0)
    assert torch.equal(first.images, again.images)
    for name in ("images", "depth", "points", "world_to_camera"):
        assert not torch.equal(getattr(first, name), getattr(other, name))


@both_families
def test_images_have_structure_and_contrast(family: Family):
    images = family(6, seed=4).images.double()
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.std() > 0.1
    centred = images - images.mean(dim=(-1, -2), keepdim=True)
    for axis in (2, 3):
        length = images.shape[axis] - 1
        here, next_one = centred.narrow(axis, 0, length), centred.narrow(axis, 1, length)
        assert (here * next_one).mean() / centred.square().mean() > 0.8
    # Fine texture too: no pixel equals its neighbour in most places.
    assert (images.diff(dim=3) != 0).double().mean() > 0.9


@both_families
@pytest.mark.parametrize("image_size", [(1, 1), (5, 90), (90, 5), (392, 518)])
def test_any_image_size(family: Family, image_size: tuple[int, int]):
    scene = family(1, image_size=image_size, seed=5)
    assert scene.images.shape == (1, 3, *image_size)
    assert scene.depth.shape == (1, *image_size)
    assert scene.points.shape == (1, *image_size, 3)
    assert scene.points.isfinite().all()
    assert scene.intrinsics[0, :2, 2].tolist() == [image_size[1] / 2, image_size[0] / 2]


@both_families
def test_float32_renders_the_same_scene_as_float64(family: Family):
    single, double = (
        family(2, image_size=(28, 42), seed=6, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    assert single.images.dtype == single.depth.dtype == torch.float32
    # A ray in a thousand may pass an edge on the other side.
    error = (single.depth.double() - double.depth).abs().flatten()
    assert error.quantile(0.999) < FLOAT32_RENDERING
    assert (single.images.double() - double.images).abs().mean() < FLOAT32_RENDERING


@pytest.mark.parametrize("extent", [None, 20.0])
def test_a_walk_renders_what_the_whole_corridor_would_show(extent: float | None):
    frames, image_size, seed = 12, (28, 42), 7
    scene = walk(frames, extent=extent, image_size=image_size, seed=seed, dtype=torch.float64)
    draws = Draws.from_seed(seed)
    lattice = Lattice.sample(draws, dtype=torch.float64, device=torch.device("cpu"))
    path = WalkPath.sample(draws, extent=extent)
    corridor = Corridor.sample(draws, length=20.0)
    solids = [solid for station in corridor.stations for solid in station]
    world = World.build(corridor.room, solids, light=corridor.light, lattice=lattice)
    for frame in (0, 5, 11):
        view = render(
            world,
            world_to_camera=path.camera(frame),
            intrinsics=scene.intrinsics[frame],
            image_size=image_size,
        )
        assert torch.equal(view.depth, scene.depth[frame])
        assert torch.equal(view.image, scene.images[frame])


@both_families
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, got 0; ask for"),
        ({"image_size": (0, 5)}, r"of at least 1 pixel each, got \(0, 5\); use"),
        ({"dtype": torch.bfloat16}, "float32 or torch.float64, got torch.bfloat16; render"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*32\), got -1; use"),
    ],
)
def test_bad_input_is_refused(family: Family, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        family(**{"frames": 2, "image_size": (4, 4), "seed": 0} | arguments)

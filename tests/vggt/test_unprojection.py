import math
import runpy

import pytest
import torch

from attention_collapse.scenes import orbit
from attention_collapse.vggt import unprojection
from attention_collapse.vggt.pose import rotation_from_quaternion
from attention_collapse.vggt.unprojection import unproject
from tolerances import FLOAT64, PROJECTION

SHAPE = (4, 5)


@pytest.fixture
def views(generator):
    """Depth, poses and skewed intrinsics of two scenes of three small frames."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(2, 3, *shape, dtype=torch.float64, generator=generator)

    rotation = rotation_from_quaternion(draw(4) - 0.5)
    intrinsics = torch.zeros(2, 3, 3, 3, dtype=torch.float64)
    intrinsics[..., :2, :] = 2 + 3 * draw(2, 3)
    intrinsics[..., 1, 0], intrinsics[..., 2, 2] = 0, 1
    return 1 + draw(*SHAPE), torch.cat((rotation, draw(3, 1)), dim=-1), intrinsics


def pixels_of(points: torch.Tensor, world_to_camera: torch.Tensor, intrinsics: torch.Tensor):
    """Column and row of world points by the projection matrix, and their depth."""
    ones = torch.ones_like(points[..., :1])
    projection = (intrinsics @ world_to_camera)[..., None, None, :, :]
    seen = (projection @ torch.cat((points, ones), dim=-1)[..., None])[..., 0]
    return seen[..., :2] / seen[..., 2:], seen[..., 2]


@pytest.mark.parametrize(("pixel_centre", "offset"), [("integer", 0.0), ("half", 0.5)])
def test_points_project_back_onto_their_pixels(views, pixel_centre, offset):
    depth, world_to_camera, intrinsics = views
    points = unproject(*views, pixel_centre=pixel_centre)
    pixels, seen_depth = pixels_of(points.world, world_to_camera, intrinsics)
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    expected = torch.stack((columns, rows), dim=-1).double().expand_as(pixels) + offset
    torch.testing.assert_close(pixels, expected, rtol=0, atol=PROJECTION)
    torch.testing.assert_close(seen_depth, depth, rtol=0, atol=PROJECTION)
    assert points.valid.all()


def test_pixel_centres_count_from_zero_by_default(views):
    assert torch.equal(unproject(*views).world, unproject(*views, pixel_centre="integer").world)


def test_camera_points_are_the_world_points_in_the_camera(views):
    points, (depth, world_to_camera, _) = unproject(*views), views
    rotation, translation = world_to_camera[..., None, None, :, :].split((3, 1), dim=-1)
    camera = (rotation @ points.world[..., None] + translation)[..., 0]
    torch.testing.assert_close(points.camera, camera, rtol=0, atol=PROJECTION)
    assert torch.equal(points.camera[..., 2], depth)


def test_rendered_depth_gives_the_rendered_points():
    scene = orbit(2, image_size=(6, 8), seed=0, dtype=torch.float64)
    points = unproject(scene.depth, scene.world_to_camera, scene.intrinsics, pixel_centre="half")
    torch.testing.assert_close(points.world, scene.points, rtol=0, atol=PROJECTION)


@pytest.mark.parametrize("index", [0, (1, 2)])
def test_frames_do_not_depend_on_each_other(views, index):
    together, apart = unproject(*views), unproject(*(tensor[index] for tensor in views))
    torch.testing.assert_close(apart.world, together.world[index], rtol=0, atol=FLOAT64)
    torch.testing.assert_close(apart.camera, together.camera[index], rtol=0, atol=FLOAT64)


def test_short_depth_counts_pixels_exactly():
    points = unproject(torch.ones(1, 400).bfloat16(), torch.eye(4)[:3], torch.eye(3))
    assert torch.equal(points.camera[0, :, 0], torch.arange(400.0))


@pytest.mark.parametrize("depth", [0.0, 1e-8, -1.0, math.nan, math.inf])
def test_pixels_without_a_depth_are_not_valid(views, depth):
    views[0][1, 2, 3, 4] = depth
    valid = unproject(*views).valid
    assert not valid[1, 2, 3, 4]
    assert valid.sum() == valid.numel() - 1


@pytest.mark.parametrize(
    ("tensor", "entry", "value"),
    [(2, (0, 0), math.inf), (2, (1, 1), -1.0), (2, (0, 0), 0.0), (1, (2, 1), math.nan)],
)
def test_pixels_without_a_camera_are_not_valid(views, tensor, entry, value):
    views[tensor][1, 2][entry] = value
    valid = unproject(*views).valid
    assert not valid[1, 2].any()
    assert valid.sum() == valid.numel() - math.prod(SHAPE)


def test_gradients(views):
    inputs = [tensor[0, 0].clone().requires_grad_() for tensor in views]
    assert torch.autograd.gradcheck(lambda *tensors: unproject(*tensors).world, inputs)


def test_depth_that_does_not_fit_is_refused(views):
    depth, *cameras = views
    message = r"got depth \(2, 3, 4, 5, 1\) and world_to_camera \(2, 3, 3, 4\); for the values of"
    with pytest.raises(ValueError, match=message):
        unproject(depth[..., None], *cameras)
    with pytest.raises(ValueError, match=r"got depth \(4,\) and world_to_camera \(3, 4\)"):
        unproject(depth[0, 0, :, 0], *(tensor[0, 0] for tensor in cameras))
    with pytest.raises(ValueError, match=r"shapes \(2, 3, 3, 4\) and \(3, 3\); expand the shorter"):
        unproject(depth, cameras[0], cameras[1][0, 0])
    with pytest.raises(
        ValueError, match=r"world_to_camera must .* 3 by 4, got shape \(2, 3, 3, 3\)"
    ):
        unproject(depth, cameras[1], cameras[1])


def test_an_unknown_pixel_centre_is_refused(views):
    # Run as a file, the module is free of the tests' type checks, which would refuse it first.
    unchecked = runpy.run_path(unprojection.__file__)["unproject"]
    with pytest.raises(ValueError, match="no pixel centre is called 'corner'; use 'integer', as"):
        unchecked(*views, pixel_centre="corner")

"""Pinhole cameras."""

import math

import torch

from attention_collapse.scenes.cameras import (
    camera_centre,
    intrinsics_matrix,
    look_at,
    pixel_centres,
    project,
    unproject,
)
from tolerances import FLOAT64


def close(value: torch.Tensor, expected: object) -> bool:
    reference = torch.as_tensor(expected, dtype=torch.float64)
    return torch.allclose(value, reference, rtol=0, atol=FLOAT64)


def test_pixel_centres_are_half_integers_in_x_y_order():
    pixels = pixel_centres((3, 5), dtype=torch.float64, device="cpu")
    assert pixels.shape == (3, 5, 2)
    assert close(pixels[0, 0], [0.5, 0.5])
    assert close(pixels[2, 4], [4.5, 2.5])


def test_field_of_view_spans_the_longer_side():
    intrinsics = intrinsics_matrix((60, 100), field_of_view=math.pi / 2)
    identity = torch.eye(3, 4, dtype=torch.float64)
    edge = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    pixel, _ = project(edge, world_to_camera=identity, intrinsics=intrinsics)
    assert close(pixel, [100.0, 30.0])


def test_camera_looks_at_its_target():
    position, target = (1.0, 2.0, 3.0), (-0.5, 0.3, 0.7)
    camera = look_at(position, target, roll=0.4)
    pixel, depth = project(
        torch.tensor(target, dtype=torch.float64),
        world_to_camera=camera,
        intrinsics=intrinsics_matrix((40, 60)),
    )
    assert close(pixel, [30.0, 20.0])
    assert close(depth, math.dist(position, target))
    assert close(camera_centre(camera), position)


def test_axes_are_right_down_forward():
    camera = look_at((0.0, 0.0, -5.0), (0.0, 0.0, 0.0))
    # Looking along +z with y up, the world's x axis points to the left.
    assert close(camera[:, :3], [[-1, 0, 0], [0, -1, 0], [0, 0, 1]])


def test_roll_turns_the_camera_clockwise():
    camera = look_at((0.0, 0.0, -5.0), (0.0, 0.0, 0.0), roll=math.pi / 2)
    # What was below the camera is now to its right.
    assert close(camera[:, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]])


def test_projection_inverts_unprojection():
    camera = look_at((0.3, 1.2, -0.8), (0.1, 0.5, 2.0), roll=0.1)
    intrinsics = intrinsics_matrix((24, 32))
    pixels = pixel_centres((24, 32), dtype=torch.float64, device="cpu")
    depth = 1 + torch.rand(24, 32, generator=torch.Generator().manual_seed(0)).double()
    directions = unproject(pixels, world_to_camera=camera, intrinsics=intrinsics)
    points = camera_centre(camera) + depth[..., None] * directions
    back, z = project(points, world_to_camera=camera, intrinsics=intrinsics)
    assert close(back, pixels)
    assert close(z, depth)


def test_points_behind_the_camera_have_negative_depth():
    camera = look_at((0.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    behind = torch.tensor([0.1, 0.2, -2.0], dtype=torch.float64)
    _, depth = project(behind, world_to_camera=camera, intrinsics=intrinsics_matrix((8, 8)))
    assert close(depth, -2.0)

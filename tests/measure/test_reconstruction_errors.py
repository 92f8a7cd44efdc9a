"""Errors against their definitions, pair by pair and by scipy."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from attention_collapse.measure import reconstruction_errors
from attention_collapse.measure.reconstruction_errors import (
    Geometry,
    aligned,
    centre_spread,
    frame_errors,
    relative_pose_accuracy,
)
from attention_collapse.measure.similarity import Similarity
from tolerances import FLOAT64_LAYERS

FRAMES = 6


def close(computed, expected, tolerance=FLOAT64_LAYERS):
    torch.testing.assert_close(computed, expected, rtol=0, atol=tolerance)


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.fixture
def true(draw):
    turns = torch.from_numpy(Rotation.random(2 * FRAMES, random_state=0).as_matrix())
    cameras = torch.cat((turns.view(2, FRAMES, 3, 3), draw(2, FRAMES, 3, 1)), dim=-1)
    return Geometry(draw(2, FRAMES, 2, 3, 3), 1 + draw(2, FRAMES, 2, 3).abs(), cameras)


def turned(cameras, degrees):
    """Cameras turned about their own centres."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, 0.0, 0.8])).as_matrix()
    return torch.from_numpy(turn) @ cameras


def test_every_error_is_what_was_done(true):
    shift = torch.tensor([0.0, 3.0, 4.0]).double()
    said = dataclasses.replace(true, points=true.points + shift, depth=1.1 * true.depth)
    errors = frame_errors(said, true)
    close(errors.points, torch.full((2, FRAMES), 5.0).double())
    close(errors.depth, torch.full((2, FRAMES), 0.1, dtype=torch.float64))
    close(errors.rotation, torch.zeros(2, FRAMES).double())
    for degrees in (1e-4, 20.0, 170.0, 180.0):
        said = dataclasses.replace(true, world_to_camera=turned(true.world_to_camera, degrees))
        errors = frame_errors(said, true)
        # The arcsine is flat at half a turn.
        near = FLOAT64_LAYERS if degrees < 180 else FLOAT64_LAYERS**0.5
        close(errors.rotation, torch.full((2, FRAMES), degrees, dtype=torch.float64), near)
        close(errors.centre, torch.zeros(2, FRAMES).double())


def test_a_moved_camera_is_off_by_the_way_of_its_centre(true):
    way = torch.tensor([2.0, -1.0, 2.0]).double()
    rotation, shift = true.world_to_camera.split((3, 1), dim=-1)
    moved = torch.cat((rotation, shift - rotation @ way[:, None]), dim=-1)
    errors = frame_errors(dataclasses.replace(true, world_to_camera=moved), true)
    close(errors.centre, torch.full((2, FRAMES), 3.0).double())


def test_alignment_undoes_a_similarity_and_nothing_else(true, draw):
    rotation = torch.from_numpy(Rotation.random(2, random_state=5).as_matrix())
    moved = Similarity(torch.tensor([0.4, 3.0]).double(), rotation, draw(2, 3))
    cloud = moved.points(true.points.flatten(1, 3)).view_as(true.points)
    depth = moved.scale[:, None, None, None] * true.depth
    said = Geometry(cloud, depth, moved.cameras(true.world_to_camera))
    assert frame_errors(said, true).points.min() > 0.1
    for error in vars(frame_errors(aligned(said, true), true)).values():
        # An angle is the root of what rounding leaves of a product.
        close(error, torch.zeros_like(error), FLOAT64_LAYERS**0.5)
    noisy = dataclasses.replace(said, points=cloud + 0.3 * draw(*cloud.shape))
    assert frame_errors(aligned(noisy, true), true).points.min() > 0.05


def accuracy_by_hand(said, true, limit):
    scores = []
    for i in range(len(said)):
        for j in range(i + 1, len(said)):
            steps = []
            for cameras in (said.numpy(), true.numpy()):
                one, other = cameras[i], cameras[j]
                relative = one[:, :3] @ other[:, :3].T
                centre = -other[:, :3].T @ other[:, 3]
                steps.append((relative, one[:, :3] @ centre + one[:, 3]))
            (turn, way), (true_turn, true_way) = steps
            angle = np.degrees(Rotation.from_matrix(turn @ true_turn.T).magnitude())
            cosine = way @ true_way / np.linalg.norm(way) / np.linalg.norm(true_way)
            error = max(angle, np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            scores.append(max(0.0, 1 - error / limit))
    return torch.tensor(np.mean(scores), dtype=torch.float64)


@pytest.mark.parametrize("rows", [2, 256])
def test_relative_poses_are_judged_pair_by_pair(true, draw, monkeypatch, rows):
    monkeypatch.setattr(reconstruction_errors, "ROW_CHUNK", rows)
    cameras = true.world_to_camera[0]
    turns = Rotation.from_rotvec(0.2 * draw(FRAMES, 3).numpy()).as_matrix()
    said = torch.from_numpy(turns) @ cameras + 0.1 * draw(FRAMES, 3, 4) * torch.tensor([0, 0, 0, 1])
    expected = accuracy_by_hand(said, cameras, 60.0)
    assert 0.1 < expected < 0.9
    close(relative_pose_accuracy(said, cameras, limit=60.0), expected)


def test_relative_poses_do_not_feel_a_similarity(true, draw):
    rotation = torch.from_numpy(Rotation.random(2, random_state=5).as_matrix())
    moved = Similarity(torch.tensor([0.4, 3.0]).double(), rotation, draw(2, 3))
    said = moved.cameras(true.world_to_camera)[1]
    near = FLOAT64_LAYERS**0.5
    close(relative_pose_accuracy(said, true.world_to_camera[1]), torch.tensor(1.0).double(), near)


def test_a_pair_at_one_place_counts_by_its_rotation(true):
    cameras = true.world_to_camera[0, [0, 1, 1]].clone()
    said = cameras.clone()
    # Two that stand together but for rounding have no direction to be wrong about.
    said[2, :, 3] += 1e-9
    cameras[2, :, 3] -= 1e-9
    near = FLOAT64_LAYERS**0.5
    torch.testing.assert_close(
        relative_pose_accuracy(said, cameras), torch.tensor(1.0).double(), rtol=0, atol=10 * near
    )


def test_the_spread_is_that_of_the_centres(true):
    rotation, shift = (part.numpy() for part in true.world_to_camera.split((3, 1), dim=-1))
    centre = -np.swapaxes(rotation, -1, -2) @ shift
    expected = np.sqrt(centre[..., 0].var(axis=1).sum(-1))
    np.testing.assert_allclose(centre_spread(true.world_to_camera), expected)


def test_different_frames_are_refused(true):
    fewer = Geometry(*(tensor[:, :3] for tensor in vars(true).values()))
    with pytest.raises(ValueError, match="must have the shapes of the truth"):
        frame_errors(fewer, true)
    with pytest.raises(ValueError, match="same two or more frames"):
        relative_pose_accuracy(true.world_to_camera[0, :1], true.world_to_camera[0, :1])

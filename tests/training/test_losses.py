"""Losses and errors of reconstructions that are off by a known amount."""

import math

import pytest
import torch

from attention_collapse.tokens import TokenLayout
from attention_collapse.training import PRESETS, Targets, errors, loss
from attention_collapse.vggt import Reconstruction, decode_pose
from tolerances import FLOAT64

CONFIG = PRESETS["mini"]


@pytest.fixture
def targets() -> Targets:
    generator = torch.Generator().manual_seed(0)
    pose = torch.zeros(2, 3, 9, dtype=torch.float64)
    pose[..., 6:] = 1.0
    points = torch.randn(2, 3, 7, 14, 3, generator=generator, dtype=torch.float64)
    return Targets(pose, 1 + points.norm(dim=-1), points)


def reconstruction(
    targets: Targets, *, aside: float = 0.0, farther: float = 1.0, turn: float = 0.0
) -> Reconstruction:
    """The truth with points moved aside, depth scaled, and other frames turned about z."""
    pose = targets.pose_encoding.clone()
    pose[:, 1:, 5], pose[:, 1:, 6] = math.sin(turn / 2), math.cos(turn / 2)
    pose[:, 1:, 1] += aside
    cameras, intrinsics = decode_pose(pose, (7, 14))
    shift = torch.tensor([aside, 0.0, 0.0], dtype=torch.float64)
    ones = torch.full_like(targets.depth, 2.0)
    return Reconstruction(
        pose_encoding=pose,
        world_to_camera=cameras,
        intrinsics=intrinsics,
        depth=farther * targets.depth,
        depth_confidence=ones,
        points=targets.points + shift,
        points_confidence=ones,
        layout=TokenLayout.from_image(3, 7, 14, patch_size=7),
    )


def test_the_truth_has_no_error(targets: Targets):
    found = errors(reconstruction(targets), targets)
    assert all(value.item() == 0 for value in vars(found).values())


def test_errors_are_in_plain_units(targets: Targets):
    found = errors(reconstruction(targets, aside=0.3, farther=1.1, turn=0.5), targets)
    assert found.points.item() == pytest.approx(0.3, abs=FLOAT64)
    assert found.depth.item() == pytest.approx(0.1, abs=FLOAT64)
    assert found.translation.item() == pytest.approx(0.3, abs=FLOAT64)
    assert found.rotation.item() == pytest.approx(math.degrees(0.5), rel=FLOAT64)


def test_a_quaternion_and_its_opposite_are_one_rotation(targets: Targets):
    opposite = Targets(-targets.pose_encoding, targets.depth, targets.points)
    assert errors(reconstruction(targets), opposite).rotation.item() == 0


def test_the_loss_by_hand(targets: Targets):
    found = loss(reconstruction(targets, aside=0.3), targets, CONFIG).item()
    # Confidence 2 everywhere; one of three translations off by 0.3 in two frames of three.
    pixels = 2 * 0.3 - 2 * 0.2 * math.log(2)
    assert found == pytest.approx(pixels + 5 * 0.3 / 3 * 2 / 3, abs=FLOAT64)


def test_confidence_pays_where_the_error_is_below_its_price(targets: Targets):
    for aside, sign in ((0.01, -1), (0.5, 1)):
        said = reconstruction(targets, aside=aside)
        said.points_confidence.requires_grad_()
        loss(said, targets, CONFIG).backward()
        assert (said.points_confidence.grad.sign() == sign).all()

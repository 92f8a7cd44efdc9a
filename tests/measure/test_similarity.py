"""Similarities against scipy, and against those that points were moved by."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from attention_collapse.measure.similarity import Similarity, fit_similarity
from tolerances import FLOAT64, FLOAT64_LAYERS


def drawn(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix())
    scale = 0.5 + torch.rand(count, dtype=torch.float64, generator=generator)
    return Similarity(scale, rotation, torch.randn(count, 3, dtype=torch.float64))


def cloud(count, points, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, points, 3, dtype=torch.float64, generator=generator)


def close(computed, expected, tolerance=FLOAT64_LAYERS):
    torch.testing.assert_close(computed, expected, rtol=0, atol=tolerance)


def test_the_map_that_moved_the_points_is_found():
    moved, points = drawn(5), cloud(5, 7)
    found = fit_similarity(points, moved.points(points))
    for name, expected in vars(moved).items():
        close(getattr(found, name), expected)


def test_noisy_points_turn_as_scipy_turns_them():
    points, target = cloud(4, 30), drawn(4).points(cloud(4, 30)) + 0.5 * cloud(4, 30, seed=2)
    weights = 0.1 + torch.rand(4, 30, dtype=torch.float64)
    found = fit_similarity(points, target, weights=weights)
    for entry in range(4):
        share = (weights[entry] / weights[entry].sum())[:, None]
        x, y = (p[entry] - (share * p[entry]).sum(0) for p in (points, target))
        expected, _ = Rotation.align_vectors(y.numpy(), x.numpy(), weights=weights[entry].numpy())
        close(found.rotation[entry], torch.from_numpy(expected.as_matrix()))
        turned = x @ found.rotation[entry].mT
        scale = (share * turned * y).sum() / (share * x.square()).sum()
        close(found.scale[entry], scale)


def test_mirrored_points_are_turned_not_mirrored():
    points = cloud(3, 20)
    found = fit_similarity(points, points * torch.tensor([1.0, 1.0, -1.0]).double())
    close(torch.linalg.det(found.rotation), torch.ones(3).double())
    x, y = (p - p.mean(1, keepdim=True) for p in (points, points * torch.tensor([1.0, 1, -1])))
    for entry in range(3):
        expected, _ = Rotation.align_vectors(y[entry].numpy(), x[entry].numpy())
        close(found.rotation[entry], torch.from_numpy(expected.as_matrix()))


def test_no_other_map_is_closer():
    points, target = cloud(1, 12), cloud(1, 12, seed=3)
    best = fit_similarity(points, target)
    least = (best.points(points) - target).square().sum()
    for name, value in vars(best).items():
        for sign in (-1, 1):
            change = {name: value + sign * 1e-3 * torch.randn_like(value)}
            if name == "rotation":
                turn = torch.from_numpy(Rotation.from_rotvec([sign * 1e-3] * 3).as_matrix())
                change = {name: turn @ value}
            assert (
                Similarity(**vars(best) | change).points(points) - target
            ).square().sum() > least


def test_two_maps_in_turn_are_one():
    first, second, points = drawn(3), drawn(3, seed=4), cloud(3, 6)
    close(first.then(second).points(points), second.points(first.points(points)), FLOAT64 * 10)


def test_moved_cameras_see_moved_points_at_the_old_places():
    moved, points = drawn(2), cloud(2, 9)
    turn = torch.from_numpy(Rotation.random(2, random_state=7).as_matrix())
    cameras = torch.cat((turn, cloud(2, 1).mT), dim=-1)[:, None]

    def seen(cameras, points):
        return points @ cameras[:, 0, :, :3].mT + cameras[:, 0, None, :, 3]

    expected = moved.scale[:, None, None] * seen(cameras, points)
    close(seen(moved.cameras(cameras), moved.points(points)), expected)


def test_points_that_fix_no_map_are_refused():
    points = cloud(1, 4)
    with pytest.raises(ValueError, match="source points must differ"):
        fit_similarity(torch.ones_like(points), points)
    with pytest.raises(ValueError, match="target must be finite"):
        fit_similarity(points, points * np.nan)
    with pytest.raises(ValueError, match="weights must be positive, got 0"):
        fit_similarity(points, points, weights=torch.zeros(1, 4))

"""The viewer's coordinates are upright and of size one; outlines project to image corners."""

import numpy as np
import pytest

from attention_collapse.widgets.camera_frusta import ViewerFrame, frusta
from tolerances import FLOAT64, PROJECTION, QUANTILE_SHARE
from widgets.viewer_scene import orbit_arrays

SCENE = orbit_arrays()
CAMERAS, POINTS = SCENE["true_world_to_camera"], SCENE["true_points"].reshape(-1, 3)


def test_viewer_has_the_scene_upright_in_the_middle_and_of_size_one():
    frame = ViewerFrame.of(POINTS, CAMERAS)
    np.testing.assert_allclose(frame.rotation @ frame.rotation.T, np.eye(3), atol=FLOAT64)
    assert np.linalg.det(frame.rotation) == pytest.approx(1)
    np.testing.assert_allclose(np.median(frame(POINTS) @ frame.rotation, axis=0), 0, atol=FLOAT64)
    within = np.mean(np.linalg.norm(frame(POINTS), axis=1) <= 1)
    assert within == pytest.approx(0.9, abs=QUANTILE_SHARE)
    forward = frame.rotation @ CAMERAS[:, 2, :3].mean(axis=0)
    assert forward[2] < 0 == pytest.approx(forward[0])
    assert (frame.rotation @ -CAMERAS[:, 1, :3].mean(axis=0))[1] > 0


def test_corners_project_to_those_of_the_image():
    intrinsics = SCENE["intrinsics"]
    corners = frusta(CAMERAS, intrinsics, image_size=(20, 24), depth=0.7)
    seen = np.einsum("fij,fcj->fci", CAMERAS[:, :, :3], corners) + CAMERAS[:, None, :, 3]
    np.testing.assert_allclose(seen[:, 0], 0, atol=PROJECTION)
    np.testing.assert_allclose(seen[:, 1:, 2], 0.7)
    pixels = np.einsum("fij,fcj->fci", intrinsics, seen[:, 1:] / 0.7)
    expected = [[0, 0, 1], [24, 0, 1], [24, 20, 1], [0, 20, 1]]
    for found in pixels:
        np.testing.assert_allclose(found, expected, atol=PROJECTION)


def test_a_scene_without_up_or_size_is_refused():
    both = np.concatenate([CAMERAS[:1], CAMERAS[:1]])
    both[1, :, :3] *= [[1], [-1], [-1]]
    for points, cameras in ((POINTS, both), (np.ones((4, 3)), CAMERAS)):
        with pytest.raises(ValueError, match="mean direction and points must differ"):
            ViewerFrame.of(points, cameras)

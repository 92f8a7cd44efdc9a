"""The still of the reconstruction viewer: what is in front of the reader is where it belongs."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.reconstruction_viewer import (
    DISTANCE,
    FOCAL,
    Cloud,
    draw_viewer,
    project,
    view_axes,
    viewer_png,
)
from tolerances import FLOAT64

VIEW = {"azimuth": 0.0, "elevation": 0.0, "zoom": 1.0}
CAMERAS = np.array([[[0, 0, 0.5], [0.1, 0.1, 0], [0.1, -0.1, 0], [-0.1, -0.1, 0], [-0.1, 0.1, 0]]])
POINTS = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 5.0]])


@pytest.mark.parametrize(("azimuth", "elevation"), [(0.0, 0.0), (30.0, 40.0), (-120.0, 89.0)])
def test_axes_are_a_rotation_and_the_reader_is_where_the_angles_say(azimuth, elevation):
    axes = view_axes(azimuth, elevation)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=FLOAT64)
    assert np.linalg.det(axes) == pytest.approx(1)
    right, up, back = axes
    assert right[1] == 0 < up[1]
    assert np.rad2deg(np.arcsin(back[1])) == pytest.approx(elevation)
    assert np.rad2deg(np.arctan2(back[0], back[2])) == pytest.approx(azimuth)


def test_points_to_the_right_and_above_are_drawn_there_and_shrink_with_distance():
    points = np.array([[0.5, 0.25, 0.0], [0.5, 0.25, -DISTANCE]])
    near, far = project(points, **VIEW, image_size=(200, 300))
    scale = FOCAL * 200 / DISTANCE
    np.testing.assert_allclose(near, [150 + 0.5 * scale, 100 - 0.25 * scale, DISTANCE])
    np.testing.assert_allclose(far[:2] - [150, 100], (near[:2] - [150, 100]) / 2)
    closer = project(points[:1], **VIEW | {"zoom": 2.0}, image_size=(200, 300))
    assert closer[0, 2] == DISTANCE / 2


def test_nearer_points_are_drawn_last_and_those_behind_not_at_all():
    shades = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 1.0]])
    with matplotlib.rc_context():
        figure = draw_viewer({"true": Cloud(POINTS, shades, CAMERAS)}, **VIEW)
    (axes,) = figure.axes
    colours = axes.collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(colours, shades[[2, 0, 1]])
    assert len(axes.collections[1].get_segments()) == 8


def test_stills_of_one_and_two_clouds_are_reproducible():
    cloud = Cloud(POINTS, np.linspace(0, 1, 4), CAMERAS)
    before = dict(matplotlib.rcParams)
    pictures = [viewer_png({"predicted": cloud, "true": cloud}, **VIEW) for _ in range(2)]
    assert pictures[0] == pictures[1] != viewer_png({"true": cloud}, **VIEW)
    assert dict(matplotlib.rcParams) == before

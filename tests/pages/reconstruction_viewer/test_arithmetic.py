"""The page decodes what the library encoded, and projects as the still image does."""

import numpy as np
import pytest

from attention_collapse.figures.reconstruction_viewer import project, view_axes
from attention_collapse.widgets.quantisation import PointGrid, decode_shares, encode_shares
from tolerances import PAGE_ARITHMETIC
from widgets.viewer_scene import orbit_viewer

POINTS = np.random.default_rng(0).standard_normal((50, 3))
VIEWS = [(0.0, 0.0, 1.0), (25.0, 20.0, 1.5), (-170.0, -89.0, 0.25), (90.0, 45.0, 8.0)]


def assert_equal(found, expected):
    """Lists of the page, in which NaN stands for what the reader does not see."""
    np.testing.assert_allclose(
        np.array(found, dtype=float), expected, rtol=PAGE_ARITHMETIC, atol=PAGE_ARITHMETIC
    )


def values(viewer, *calls):
    """Results of exported functions that return arrays, as lists."""
    return [
        [each[str(index)] for index in range(len(each))] if isinstance(each, dict) else each
        for each in viewer.call(*calls)
    ]


def test_points_and_shares_are_those_encoded(open_viewer):
    grid = PointGrid.around(POINTS)
    shares = encode_shares(np.linspace(0, 1, 256))
    points = ("decodePoints", grid.encode(POINTS), list(grid.lower), grid.step)
    found, decoded = values(open_viewer(), points, ("decodeShares", shares))
    assert_equal(found, grid.decode(grid.encode(POINTS)).ravel())
    assert_equal(decoded, decode_shares(shares))


@pytest.mark.parametrize(("azimuth", "elevation", "zoom"), VIEWS)
def test_projection_is_that_of_the_figure(open_viewer, azimuth, elevation, zoom):
    view = {"azimuth": azimuth, "elevation": elevation, "zoom": zoom}
    expected = project(POINTS, **view, image_size=(240, 320))
    calls = [
        ("projectPoints", POINTS.ravel().tolist(), view | {"width": 320, "height": 240}),
        ("viewAxes", azimuth, elevation),
    ]
    found, axes = values(open_viewer(), *calls)
    assert_equal(found, expected.ravel())
    assert_equal(axes, view_axes(azimuth, elevation))
    assert np.isnan(expected).any() == (zoom > 1)


def test_shown_errors_are_those_of_the_points(open_viewer):
    library = orbit_viewer()
    errors = library.grid.decode(library.points) - library.grid.decode(library.true_points)
    distances = np.linalg.norm(errors, axis=1)
    shown = open_viewer().numbers()["errors"]
    assert_equal(shown["median"], np.median(distances))
    assert_equal(shown["largest"], np.quantile(distances, 0.95))


def test_moves_go_round_and_stop_at_the_poles(open_viewer):
    view = {"azimuth": 170, "elevation": 80, "zoom": 7}
    moves = [{"right": 25}, {"right": -351}, {"up": 30}, {"up": -200}, {"factor": 2}, {}]
    found = open_viewer().call(*[("movedView", view, move) for move in moves])
    expected = [
        {"azimuth": -165},
        {"azimuth": 179},
        {"elevation": 89},
        {"elevation": -89},
        {"zoom": 8},
        {},
    ]
    assert found == [view | change for change in expected]

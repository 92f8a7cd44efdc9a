"""Arrays in few bits: what comes back is within half a step, and what does not fit is refused."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.widgets.quantisation import PointGrid, decode_shares, encode_shares
from tolerances import HALF_STEP


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_points_come_back_within_half_a_step(seed, scale):
    points = scale * np.random.default_rng(seed).standard_normal((20, 3))
    grid = PointGrid.around(points)
    found = grid.decode(grid.encode(points))
    assert np.abs(found - points).max() <= HALF_STEP * grid.step
    assert grid.step == pytest.approx(np.ptp(points, axis=0).max() / 65535)
    assert grid.encode(found) == grid.encode(points)


def test_a_point_takes_six_bytes_the_low_one_first():
    grid = PointGrid((0.0, 0.0, 0.0), 0.5)
    text = grid.encode(np.array([[0.5, 128.0, 32767.5]]))
    assert base64.b64decode(text) == bytes([1, 0, 0, 1, 255, 255])


def test_one_point_has_a_grid():
    point = np.array([[1.0, -2.0, 3.0]])
    grid = PointGrid.around(point)
    assert grid.decode(grid.encode(point)).tolist() == point.tolist()


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.array([[0.0, np.nan, 1.0]])])
def test_points_that_make_no_grid_are_refused(points):
    with pytest.raises(ValueError, match="points must be at least one, and finite"):
        PointGrid.around(points)


def test_points_outside_the_grid_are_refused():
    with pytest.raises(ValueError, match="make the grid around all points"):
        PointGrid((0.0, 0.0, 0.0), 1.0).encode(np.array([[-1.0, 0.0, 0.0]]))


def test_shares_come_back_within_half_a_step():
    shares = np.random.default_rng(0).uniform(size=(4, 5))
    found = decode_shares(encode_shares(shares)).reshape(4, 5)
    assert np.abs(found - shares).max() <= HALF_STEP / 255
    assert decode_shares(encode_shares(np.array([0.0, 1.0]))).tolist() == [0, 1]


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_numbers_that_are_no_shares_are_refused(value):
    with pytest.raises(ValueError, match="shares must be from 0 to 1"):
        encode_shares(np.array([0.5, value]))

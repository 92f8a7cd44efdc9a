"""The still of the collapse surface explorer: it draws the numbers it was given."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.collapse_surface_explorer import (
    collapse_surface_explorer_png,
    draw_collapse_surface_explorer,
    relative_spread,
)
from tolerances import FLOAT64

DRAWS = np.random.default_rng(0).normal(size=(12, 3)) * [0.3, 0.3, 0.0] + [0.0, 0.0, 0.9]
SHRINK = np.array([1.0, 0.6, 0.3, 0.2])
PARTICLES = DRAWS.mean(axis=0) + SHRINK[:, None, None] * (DRAWS - DRAWS.mean(axis=0))
LAW = np.array([1.0, 0.5, 0.25, 0.125])
OPTIONS = {"scheme": "pre-norm", "step": 0.5, "frames": 30, "diluted_frames": 10.0}


@pytest.fixture
def axes():
    """Panels of the still: ball, decay, curve, readouts."""
    with matplotlib.rc_context():
        return draw_collapse_surface_explorer(PARTICLES, LAW, **OPTIONS).axes


def line(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found.get_xydata().T


def test_relative_spread_is_the_distance_to_the_mean():
    np.testing.assert_allclose(relative_spread(PARTICLES), SHRINK, rtol=0, atol=FLOAT64)


def test_ball_shows_the_first_and_the_last_particles(axes):
    drawn = [each.get_offsets() for each in axes[0].collections]
    for points, state in zip(drawn, PARTICLES[[0, -1]], strict=True):
        np.testing.assert_allclose(points[:, 0], state[:, 0], rtol=0, atol=FLOAT64)
        assert np.all(np.hypot(*points.T) <= 1 + FLOAT64)


def test_decay_shows_law_particles_and_slope(axes):
    time, law = line(axes[1], "law")
    np.testing.assert_allclose(time, [1.0, 1.5, 2.0, 2.5])
    np.testing.assert_array_equal(law, LAW)
    time, spread = line(axes[1], "particles")
    np.testing.assert_allclose(spread, np.interp(time, [1.0, 1.5, 2.0, 2.5], SHRINK))
    time, slope = line(axes[1], "slope $-p$")
    np.testing.assert_allclose(slope, time**-0.75)


def test_curve_marks_the_present_exponent(axes):
    curve, point = axes[2].lines
    np.testing.assert_allclose(point.get_xydata(), [[3.0, 0.75]])
    ratios, exponents = curve.get_xydata().T
    np.testing.assert_allclose(exponents, 1 / (1 + 1 / ratios))


def test_readouts_are_those_given(axes):
    texts = {text.get_text() for text in axes[3].texts}
    assert {"0.2", "0.125", "0.75", "10"} <= texts
    assert axes[3].get_title(loc="left") == "pre-norm: 3 layers, 30 frames"


def test_png_leaves_the_parameters_of_matplotlib_alone():
    before = {**matplotlib.rcParams}
    assert collapse_surface_explorer_png(PARTICLES, LAW, **OPTIONS).startswith(b"\x89PNG")
    after = {**matplotlib.rcParams}
    assert {name for name in before if before[name] != after[name]} <= {"backend"}

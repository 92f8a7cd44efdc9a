"""Figures of what happens from a few frames to a thousand."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.thousand_frames import (
    PANELS,
    draw_movement,
    draw_thousand_frames,
    draw_windows,
)

FRAMES = np.array([2, 10, 100])


@pytest.fixture(autouse=True)
def own_parameters():
    with matplotlib.rc_context():
        yield


def test_each_quantity_has_a_line_and_a_law_for_each_layer():
    rng = np.random.default_rng(0)
    arrays = {name: rng.random((3, 2, 4)) for name in PANELS} | {"frames": FRAMES}
    arrays["mean_cosine"] = rng.random((3, 2))
    arrays["predicted_singular_ratio"] = rng.random((3, 2, 4))
    panels = draw_thousand_frames(arrays, layers=(1, 24)).axes
    assert [axes.get_title(loc="left") for axes in panels] == list(PANELS.values())
    dots, law, later, _ = panels[3].lines
    np.testing.assert_allclose(dots.get_ydata(), arrays["singular_ratio"][:, 0].mean(-1))
    np.testing.assert_allclose(law.get_ydata(), arrays["predicted_singular_ratio"][:, 0].mean(-1))
    np.testing.assert_allclose(later.get_ydata(), arrays["singular_ratio"][:, 1].mean(-1))
    np.testing.assert_allclose(panels[5].lines[1].get_ydata(), arrays["mean_cosine"][:, 1])
    assert later.get_label() == "24"


def test_movements_stand_beside_a_line_of_slope_one_half():
    made = np.array([0.3, 0.1, 0.05])
    axes = draw_movement({"made": (FRAMES, made), "orbit": (FRAMES[:2], made[1:])}).axes[0]
    first, second, law = axes.lines
    np.testing.assert_allclose(first.get_ydata(), made)
    np.testing.assert_allclose(second.get_xdata(), FRAMES[:2])
    np.testing.assert_allclose(law.get_ydata(), 0.3 * (FRAMES / 2) ** -0.5)


def test_windows_have_dots_a_curve_and_the_dilution_frames():
    points = np.array([4.0, 40.0])
    curves = {"mass": points / 100, "ratio": points / 50}
    measured = {"mass": np.array([0.1, 0.2, 0.3]), "ratio": np.array([0.3, 0.2, 0.1])}
    panels = draw_windows(FRAMES, measured, (points, curves), dilution_frames=48.0).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["mass", "ratio"]
    star, curve, dots = panels[1].lines
    assert list(star.get_xdata()) == [48.0, 48.0]
    np.testing.assert_allclose(curve.get_ydata(), points / 50)
    np.testing.assert_allclose(dots.get_ydata(), measured["ratio"])

"""Figures of errors over frames and of remedies."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.many_frame_errors import (
    GROWTH,
    draw_error_growth,
    draw_remedies,
    treatment_label,
)

FRAMES = np.array([8, 64, 512])
WEIGHTS, SCENES = 2, 4


@pytest.fixture(autouse=True)
def own_parameters():
    with matplotlib.rc_context():
        yield


def study(*treatments):
    rng = np.random.default_rng(0)
    shape = (WEIGHTS, SCENES, len(treatments), len(FRAMES))
    arrays = {name: 0.1 + rng.random(shape) for name in GROWTH}
    for name in GROWTH:
        arrays[f"{name}_slope"] = rng.random((len(treatments), 2, 3))
        arrays[f"{name}_excess_slope"] = np.array([[1.5, 1.2, 1.9], [np.nan] * 3])
    return arrays | {"frames": FRAMES, "treatments": np.array(treatments)}


def test_errors_have_a_line_for_each_treatment_and_a_thin_one_for_each_network():
    arrays = study("none", "bias")
    axes = draw_error_growth(arrays).axes[GROWTH.index("rotation")]
    plain, biased = axes.containers
    assert [line.get_label() for line in (plain, biased)] == ["as trained", "reference bias"]
    values = arrays["rotation"][:, :, 1]
    np.testing.assert_allclose(biased[0].get_ydata(), values.mean((0, 1)))
    lengths = [np.ptp(segment[:, 1]) / 2 for segment in biased[2][0].get_segments()]
    np.testing.assert_allclose(lengths, values.mean(0).std(0, ddof=1) / SCENES**0.5)
    thin = [line for line in axes.lines if line.get_linewidth() < 1]
    found = np.array([line.get_ydata() for line in thin[-WEIGHTS:]])
    np.testing.assert_allclose(found, values.mean(1))


def test_a_single_network_has_no_thin_lines():
    arrays = study("none", "bias")
    arrays |= {name: arrays[name][:1] for name in GROWTH}
    axes = draw_error_growth(arrays).axes[0]
    assert all(line.get_linewidth() > 1 for line in axes.lines if len(line.get_ydata()) == 3)


def test_slopes_of_the_excess_stand_between_their_numbers_of_frames():
    slopes = draw_error_growth(study("none", "bias")).axes[len(GROWTH)]
    assert slopes.get_ylabel() == "slope of the excess"
    linear, _, dots = slopes.lines
    assert list(linear.get_ydata()) == [1, 1]
    np.testing.assert_allclose(dots.get_xdata(), [(8 * 64) ** 0.5, (64 * 512) ** 0.5])
    np.testing.assert_array_equal(dots.get_ydata(), [1.5, np.nan])
    segment = slopes.collections[0].get_segments()[0]
    np.testing.assert_allclose(segment[:, 1], [1.2, 1.9])


def test_without_a_second_treatment_the_slope_is_that_of_the_error():
    arrays = study("none")
    arrays = {name: values for name, values in arrays.items() if "excess" not in name}
    figure = draw_error_growth(arrays)
    slopes = figure.axes[len(GROWTH) + 1]
    expected = arrays["aligned_points_slope"][0, :, 0]
    np.testing.assert_allclose(slopes.lines[-1].get_ydata(), expected)
    assert figure.axes[len(GROWTH)].get_ylabel() == "slope of the error"


def test_remedies_are_ordered_by_the_error_of_points_at_the_most_frames():
    arrays = study("none", "bias", "chunks:8")
    arrays["points"][..., -1] = np.array([0.9, 0.2, 0.5])
    left, right = draw_remedies(arrays).axes
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == ["reference bias", "frames at a time: 8", "as trained"]
    few, many = (container[0] for container in right.containers)
    order = [1, 2, 0]
    means = arrays["rotation"].mean((0, 1))[order]
    np.testing.assert_allclose(few.get_xdata(), means[:, 0])
    np.testing.assert_allclose(many.get_xdata(), means[:, 2])
    np.testing.assert_allclose(left.lines[-1].get_xdata(), 0.9)
    assert [container.get_label() for container in left.containers] == ["8 frames", "512 frames"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("none", "as trained"),
        ("bias+scale:1.15", "reference bias + scores times 1.15"),
        ("chained:8:4", "chained, frames and overlap: 8, 4"),
        ("merge:0.6+sized", "merge 0.6 + sized"),
    ],
)
def test_a_treatment_is_named_by_its_parts(name, label):
    assert treatment_label(name) == label

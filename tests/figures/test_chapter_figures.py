"""Each figure of a chapter shows the numbers it was given."""

import numpy as np
import pytest

from attention_collapse.figures import style
from attention_collapse.figures.closed_form import draw_prediction
from attention_collapse.figures.depth_profiles import draw_depth_profiles
from attention_collapse.figures.filmstrip import draw_filmstrip
from attention_collapse.figures.frame_profiles import draw_frame_profiles
from attention_collapse.figures.landmark_flow import draw_landmark_flow
from attention_collapse.figures.spectra import draw_spectra
from attention_collapse.theory.collapse_surface import CollapseSurface


def test_a_filmstrip_shows_every_frame_once():
    images = np.random.default_rng(0).uniform(size=(5, 3, 4, 6))
    shown = [axes.images[0].get_array() for axes in draw_filmstrip(images).axes]
    np.testing.assert_allclose(shown, images.transpose(0, 2, 3, 1))


def test_depth_profiles_average_heads_and_keep_layers():
    ratio = np.random.default_rng(0).uniform(size=(2, 6, 3))
    spread = np.geomspace(1, 0.1, 12).reshape(2, 6)
    arrays = {"frames": np.array([1, 8]), "singular_ratio": ratio, "spread": spread}
    figure = draw_depth_profiles({"one": arrays}, ("singular_ratio", "spread"))
    upper, lower = (np.array([line.get_ydata() for line in a.lines]) for a in figure.axes)
    np.testing.assert_allclose(upper, ratio.mean(axis=-1))
    np.testing.assert_allclose(lower, spread)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), np.arange(1, 7))


def test_a_prediction_figure_leaves_out_and_counts_what_is_not_covered():
    measured = np.arange(1.0, 13.0).reshape(2, 3, 2)
    predicted = np.where(measured > 10, np.nan, measured + 0.5)
    arrays = {"stable_rank": measured, "predicted_stable_rank": predicted}
    (axes, _colorbar) = draw_prediction(arrays, ("stable_rank",)).axes
    assert axes.get_title(loc="left") == "10 of 12 heads"
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 1] - points[:, 0], 0.5)


def test_the_flow_figure_draws_the_law_it_was_given():
    surface = CollapseSurface((0.3, 0.2), 10.0, 0.5)
    arrays = {
        "frames": np.array([5, 20]),
        "spread": np.ones((2, 9)),
        "singular_ratio": np.ones((2, 9)),
    }
    law = draw_landmark_flow(arrays, surface).axes[0].lines[0]
    np.testing.assert_allclose(law.get_xdata(), 1 + 0.5 * np.arange(9))
    assert law.get_ydata()[8] == pytest.approx(surface.spread(8, 5))


def test_a_logarithmic_axis_is_labelled_in_plain_numbers():
    figure = style.figure(height=2)
    axes = figure.subplots()
    axes.set_yscale("log")
    axes.set_ylim(0.04, 3)
    style.label_logarithm(axes.yaxis)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.05", "0.1", "0.2", "0.5", "1", "2"} <= set(labels)


def test_frame_profiles_draw_the_layers_asked_for_against_the_frames():
    ratio = np.random.default_rng(0).uniform(size=(3, 6, 2))
    arrays = {"frames": np.array([1, 4, 16]), "singular_ratio": ratio}
    (axes,) = draw_frame_profiles(arrays, ("singular_ratio",), layers=(1, 6)).axes
    for line, layer in zip(axes.lines, (0, 5), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 4, 16])
        np.testing.assert_allclose(line.get_ydata(), ratio[:, layer].mean(axis=-1))


def test_spectra_are_divided_by_their_first_value():
    measured, predicted = np.array([4.0, 2.0, 1.0, 0.5]), np.array([2.0, 1.0, 0.2])
    (axes,) = draw_spectra({"layer 1": (measured, predicted)}).axes
    law, dots = (line.get_ydata() for line in axes.lines)
    np.testing.assert_allclose(law, [1, 0.5, 0.1])
    np.testing.assert_allclose(dots, [1, 0.5, 0.25])

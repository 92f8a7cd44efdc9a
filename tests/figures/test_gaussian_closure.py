"""The figures of *Degenerate diffusion* show the numbers they were given."""

import numpy as np

from attention_collapse.figures.gaussian_closure import (
    draw_densities,
    draw_shapes,
    draw_variances,
)

GENERATOR = np.random.default_rng(0)


def drawn(axes):
    return [line.get_ydata() for line in axes.lines]


def test_densities_are_drawn_one_panel_for_each_kind():
    places = np.linspace(-1, 1, 5)
    shrinking = {0.0: GENERATOR.uniform(size=5), 2.5: GENERATOR.uniform(size=5)}
    spreading = {1.0: GENERATOR.uniform(size=5)}
    left, right = draw_densities(places, shrinking, spreading).axes
    np.testing.assert_array_equal(drawn(left), list(shrinking.values()))
    np.testing.assert_array_equal(drawn(right), list(spreading.values()))
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["t = 0", "t = 2.5"]


def test_variances_are_drawn_with_the_blow_up_marked():
    times = np.array([1.0, 2.0, 4.0])
    measured, predicted = GENERATOR.uniform(0.1, 1, size=(2, 3, 2))
    (axes,) = draw_variances(times, measured, predicted, blow_up=5.0).axes
    lines = drawn(axes)
    np.testing.assert_array_equal(lines[0:4:2], predicted.T)
    np.testing.assert_array_equal(lines[1:4:2], measured.T)
    np.testing.assert_array_equal(axes.lines[4].get_xdata(), [5.0, 5.0])


def test_shapes_are_drawn_as_distribution_functions():
    times = np.array([1.0, 10.0])
    tails = {"two tokens": np.array([0.5, 0.9]), "uniform": np.array([0.4, 0.8])}
    profiles = {1.0: np.array([-1.0, 1.0]), 10.0: np.array([-1.5, 0.0])}
    left, right = draw_shapes(times, tails, profiles).axes
    np.testing.assert_array_equal(drawn(left)[:2], list(tails.values()))
    np.testing.assert_array_equal([line.get_xdata() for line in right.lines], [*profiles.values()])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0.25, 0.75])

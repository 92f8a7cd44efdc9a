"""The figures of merging draw the numbers they are given."""

import numpy as np

from attention_collapse.figures.merging import (
    draw_coefficients,
    draw_groups,
    draw_merged_depth,
    draw_merging_exponents,
    group_colours,
)
from tolerances import FLOAT64

GENERATOR = np.random.default_rng(0)


def test_patches_have_the_mean_colour_of_their_group():
    images = GENERATOR.uniform(size=(2, 3, 4, 6))
    groups = np.array([[[0, 1, 2], [3, 4, 4]], [[0, 5, 6], [7, 8, 9]]])
    colours = group_colours(images, groups)
    first = images[:, :, :2, :2].mean(axis=(0, 2, 3))
    np.testing.assert_allclose(colours[0, 0, 0], first, atol=FLOAT64)
    np.testing.assert_allclose(colours[1, 0, 0], first, atol=FLOAT64)
    pair = images[0, :, 2:, 2:].mean(axis=(1, 2))
    np.testing.assert_allclose(colours[0, 1, 1:], [pair, pair], atol=FLOAT64)


def test_groups_are_drawn_with_borders_dots_and_the_frames_joined():
    images = GENERATOR.uniform(size=(2, 3, 4, 6))
    groups = np.array([[[0, 0, 1], [0, 0, 1]], [[0, 2, 2], [2, 2, 2]]])
    destinations = np.zeros((2, 2, 3), dtype=bool)
    destinations[0, 0, [0, 2]] = destinations[1, 1, 1] = True
    axes = draw_groups(images, groups, destinations).axes
    np.testing.assert_allclose(axes[1].images[0].get_array(), images[1].transpose(1, 2, 0))
    below = axes[2:]
    np.testing.assert_allclose(below[0].images[0].get_array(), group_colours(images, groups)[0])
    assert [text.get_text() for text in below[0].texts] == []
    assert [(t.get_text(), t.get_position()) for t in below[1].texts] == [("1", (0, 0))]
    *borders, dots = below[0].lines
    assert len(borders) == 2
    assert dots.get_xydata().tolist() == [[0, 0], [2, 0]]
    assert len(below[1].lines) == 2 + 1


def test_exponents_are_drawn_beside_the_law_of_their_case():
    arrays = {
        "frames": np.array([8, 32]),
        "cases": np.array(["a", "b", "c"]),
        "exponent": np.arange(6.0).reshape(3, 2) / 10,
        "predicted_eigenvalue": 1 - np.arange(6.0).reshape(3, 2) / 11,
    }
    left, right = draw_merging_exponents(arrays, {"one": {"c": "x"}, "two": {"a": "y"}}).axes
    for axes, row in ((left, 2), (right, 0)):
        law, marks, _legend = axes.lines
        np.testing.assert_allclose(law.get_ydata(), 1 - arrays["predicted_eigenvalue"][row])
        np.testing.assert_allclose(marks.get_ydata(), arrays["exponent"][row])
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["y"]


def depth_arrays():
    return {
        "ratios": np.array([0.25, 0.5]),
        "references": np.array(["grid", "protected"]),
        "weightings": np.array(["none", "size"]),
        "predicted_coefficient": GENERATOR.uniform(size=(2, 2, 3)),
        "coefficient": GENERATOR.uniform(size=(2, 2, 2, 3)),
        "spread": GENERATOR.uniform(size=(2, 2, 2, 3)),
        "unmerged_spread": GENERATOR.uniform(size=3),
        "departure": GENERATOR.uniform(size=(2, 2, 2, 3)),
    }


def test_coefficients_are_means_over_layers_with_their_reach():
    arrays = depth_arrays()
    for row, axes in enumerate(draw_coefficients(arrays).axes):
        law = axes.lines[0].get_ydata()
        np.testing.assert_allclose(law, [1, *arrays["predicted_coefficient"][row].mean(axis=-1)])
        for column, container in enumerate(axes.containers):
            values = arrays["coefficient"][row, column]
            np.testing.assert_allclose(container[0].get_ydata(), values.mean(axis=-1))
            ends = np.array([bar[:, 1] for bar in container[2][0].get_segments()])
            reach = np.stack([values.min(axis=-1), values.max(axis=-1)], axis=1)
            np.testing.assert_allclose(ends, reach)


def test_depth_is_drawn_for_one_ratio_beside_the_unmerged_network():
    arrays = depth_arrays()
    spread, departure = draw_merged_depth(arrays, ("spread", "departure"), ratio=0).axes
    np.testing.assert_allclose(spread.lines[0].get_ydata(), arrays["unmerged_spread"])
    assert len(departure.lines) == 4
    for axes, name in ((spread, "spread"), (departure, "departure")):
        drawn = [line.get_ydata() for line in axes.lines[-4:]]
        np.testing.assert_allclose(drawn, arrays[name][:, :, 0].reshape(4, 3))

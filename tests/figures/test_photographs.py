import numpy as np

from attention_collapse.figures.photographs import draw_photographs


def test_heads_are_dots_and_their_mean_a_line():
    by_head = np.arange(1.0, 13.0).reshape(6, 2)
    names = ("entropy_deficit", "singular_ratio", "stable_rank")
    arrays = {name: factor * by_head for factor, name in enumerate(names, start=1)}
    arrays["spread"] = np.linspace(1.0, 0.5, 6)
    panels = draw_photographs(arrays).axes
    for axes, (name, values) in zip(panels, arrays.items(), strict=True):
        mean, *heads = axes.lines
        np.testing.assert_array_equal(mean.get_xdata(), np.arange(1, 7))
        np.testing.assert_allclose(mean.get_ydata(), values.reshape(6, -1).mean(axis=1))
        for dots, column in zip(heads, values.reshape(6, -1).T, strict=True):
            np.testing.assert_allclose(dots.get_ydata(), column)
        assert axes.get_ylim()[0] == (1 if name == "stable_rank" else 0)

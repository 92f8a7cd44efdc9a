"""Figures of training runs."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures import style
from attention_collapse.figures.training_curves import TITLES, draw_training_curves


@pytest.fixture(autouse=True)
def own_parameters():
    with matplotlib.rc_context():
        yield


def run(seed):
    rng = np.random.default_rng(seed)
    arrays = {"curve_step": np.array([10.0, 20.0, 25.0])}
    arrays |= {f"curve_{name}": 0.1 + rng.random(3) for name in TITLES}
    return arrays | {f"test_{name}": 0.1 + rng.random(2) for name in TITLES}


def test_each_error_has_its_curve_and_ends_at_that_of_new_worlds():
    runs = [run(0), run(1)]
    figure = draw_training_curves(runs)
    assert [axes.get_title(loc="left")[3:] for axes in figure.axes] == list(TITLES.values())
    for axes, name in zip(figure.axes, TITLES, strict=True):
        for number, arrays in enumerate(runs):
            curve, end, blind = axes.lines[3 * number : 3 * number + 3]
            np.testing.assert_array_equal(curve.get_xdata(), arrays["curve_step"])
            np.testing.assert_array_equal(curve.get_ydata(), arrays[f"curve_{name}"])
            assert (end.get_xdata()[0], end.get_ydata()[0]) == (25, arrays[f"test_{name}"][0])
            assert end.get_color() == style.MEASURED
            assert set(blind.get_ydata()) == {arrays[f"test_{name}"][1]}
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 3


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="one or more, got none"):
        draw_training_curves([])

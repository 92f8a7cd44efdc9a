"""The figure of the ladder of closures."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.experiments import closure_ladder
from attention_collapse.figures.closure_ladder import RUNGS, TITLES, draw_ladder, ladder_errors

SHAPE = (2, 3, 4, 5)  # scene, frame count, layer, head


@pytest.fixture
def arrays():
    """Rung r is off by (r + 1) %; the first refuses one head of four at the most frames."""
    rungs = np.array(closure_ladder.RUNGS)
    off = 1 + 0.01 * np.arange(1, len(rungs) + 1)[:, None, None, None, None]
    arrays = {"rungs": rungs, "frames": np.array([8, 64, 512])}
    for seed, name in enumerate(TITLES):
        arrays[name] = 1 + np.random.default_rng(seed).random(SHAPE)
        arrays[f"predicted_{name}"] = arrays[name] * off
    arrays["predicted_stable_rank"][0, :, 2, 1] = np.nan
    arrays["predicted_stable_rank"][1] = np.nan
    return arrays


def test_errors_are_relative_and_of_what_is_predicted(arrays):
    quartiles, share = ladder_errors(arrays, "stable_rank")
    expected = np.repeat(0.01 * np.arange(1, 10)[:, None], 3, axis=1)
    expected[1] = np.nan
    for found in quartiles:
        np.testing.assert_allclose(found, expected)
    assert share[0].tolist() == [1, 1, 0.75]
    assert (share[1] == 0).all()
    assert (share[2:] == 1).all()


def test_quartiles_are_over_scenes_layers_and_heads(arrays):
    predicted = arrays["predicted_entropy_deficit"]
    rows = np.linspace(0, 1, 40).reshape(2, 4, 5)
    predicted[4, :, 1] = arrays["entropy_deficit"][:, 1] * (1 - rows)
    quartiles, _ = ladder_errors(arrays, "entropy_deficit")
    np.testing.assert_allclose(quartiles[:, 4, 1], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles[1, 4, 0], 0.05)


def test_every_rung_is_a_row_and_hollow_where_it_refuses(arrays):
    with matplotlib.rc_context():
        figure = draw_ladder(arrays)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == list(RUNGS.values())
    assert [axes.get_title(loc="left") for axes in (left, right)] == list(TITLES.values())
    hollow, filled = right.lines[-2:]  # at the most frames
    assert len(hollow.get_xdata()) == len(RUNGS)
    assert len(filled.get_xdata()) == len(RUNGS) - 2
    assert hollow.get_label() == "512"
    assert len(left.lines[-1].get_xdata()) == len(RUNGS)


def test_every_rung_of_the_experiment_has_a_name():
    assert tuple(RUNGS) == closure_ladder.RUNGS
    assert tuple(TITLES) == closure_ladder.QUANTITIES

"""The figure of the ladder of closures."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.experiments import closure_ladder
from attention_collapse.figures.closure_ladder import (
    RUNGS,
    TITLES,
    draw_head_errors,
    draw_ladder,
    draw_predicted,
    ladder_errors,
    layer_correlations,
)

SHAPE = (2, 3, 4, 5)  # scene, frame count, layer, head


@pytest.fixture
def arrays(ladder):
    """The first rung refuses one head of four at the most frames."""
    arrays = ladder
    arrays["predicted_stable_rank"][0, :, 2, 1] = np.nan
    arrays["predicted_stable_rank"][1] = np.nan
    return arrays


def test_errors_are_relative_and_of_what_is_predicted(arrays):
    quartiles, share = ladder_errors(arrays, "stable_rank")
    expected = np.repeat(0.01 * np.arange(1, 11)[:, None], 3, axis=1)
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


def test_predictions_of_themselves_are_left_out(arrays):
    arrays["predicted_stable_rank"][5, :, 0] = arrays["stable_rank"][:, 0]
    with matplotlib.rc_context():
        figure = draw_ladder(arrays)
    middle = figure.axes[1].lines[0].get_xdata()
    assert np.flatnonzero(np.isnan(middle)).tolist() == [1, 5]


def test_rank_correlations_are_over_layers_and_over_heads(arrays):
    """Layers ascend, and inside a layer the prediction has the heads in reverse."""
    layers, heads = np.arange(4)[:, None], np.arange(5)
    arrays["entropy_deficit"] = np.tile(1 + 10 * layers + heads, (2, 3, 1, 1))
    flipped = np.tile(1 + 10 * layers - heads, (2, 3, 1, 1))
    arrays["predicted_entropy_deficit"][6] = flipped
    over_layers, over_heads = layer_correlations(arrays, "entropy_deficit", rung="propagated")
    np.testing.assert_allclose(over_layers, np.ones((2, 3)))
    assert (over_heads < 1).all()
    assert over_heads.shape == (2, 3)


def test_every_head_is_a_point_below_or_on_the_diagonal(arrays):
    with matplotlib.rc_context():
        figure = draw_predicted(arrays, ("spherical", "mixture"), frame_count=2)
    above, right = figure.axes[0], figure.axes[1]
    assert right.get_title(loc="left") == RUNGS["mixture"]
    _, *layers = above.lines
    assert len(layers) == SHAPE[2]
    pairs = np.concatenate([line.get_xydata() for line in layers])
    np.testing.assert_allclose(pairs[:, 1] / pairs[:, 0], 1.02)
    assert len(pairs) == SHAPE[0] * SHAPE[2] * SHAPE[3]


def test_every_head_has_its_error_and_none_where_a_rung_refuses(arrays):
    with matplotlib.rc_context():
        figure = draw_head_errors(arrays, frame_count=2)
    tables = [axes.get_images()[0].get_array() for axes in figure.axes[:-1]]
    assert len(tables) == len(TITLES) * len(RUNGS)
    np.testing.assert_allclose(tables[3], np.full(SHAPE[2:], 0.04))
    first, refused = tables[len(RUNGS)], tables[len(RUNGS) + 1]
    assert np.ma.getmaskarray(first).any(axis=1).tolist() == [False, True, False, False]
    assert np.ma.getmaskarray(refused).all()


def test_every_rung_of_the_experiment_has_a_name():
    assert tuple(RUNGS) == closure_ladder.RUNGS
    assert tuple(TITLES) == closure_ladder.QUANTITIES

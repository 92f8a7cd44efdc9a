"""Predicted beside recorded maps of attention."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.predicted_maps import (
    draw_map_pairs,
    recorded_weights,
    shared_weight,
)
from tolerances import FLOAT32_STORED

SHAPE = (2, 3, 4, 2, 2, 9)  # frame count, layer, head, query, shown frame, slot


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    arrays = {"grid": np.array([2, 2]), "queries": np.array([[0, 0], [1, 7]])}
    for kind in ("", "predicted_"):
        arrays[f"{kind}maps"] = generator.integers(0, 256, SHAPE).astype(np.uint8)
        arrays[f"{kind}largest"] = generator.random(SHAPE[:4]).astype(np.float32)
    return arrays


def test_levels_are_roots_of_shares_of_the_largest_weight(arrays):
    arrays["maps"][0, 0, 0, 0, 0, :3] = 255, 51, 0
    largest = arrays["largest"][0, 0, 0, 0]
    found = recorded_weights(arrays)[0, 0, 0, 0, 0, :3]
    np.testing.assert_allclose(found, [largest, largest / 25, 0], rtol=FLOAT32_STORED)


def test_equal_rows_share_all_and_disjoint_ones_nothing(arrays):
    arrays["predicted_maps"] = arrays["maps"].copy()
    arrays["maps"][0, 1, 2, 1] = 0
    arrays["maps"][0, 1, 2, 1, 0] = 1
    arrays["predicted_maps"][0, 1, 2, 1] = 0
    arrays["predicted_maps"][0, 1, 2, 1, 1] = 9
    expected = np.ones(SHAPE[:4])
    expected[0, 1, 2, 1] = 0
    np.testing.assert_allclose(shared_weight(arrays), expected)


def test_every_layer_has_a_pair_of_its_median_head_with_the_query_marked(arrays):
    with matplotlib.rc_context():
        figure = draw_map_pairs(arrays, frame_count=1, query=1)
    panels = np.array(figure.axes).reshape(SHAPE[1], 2)
    shared = np.sort(shared_weight(arrays)[1, :, :, 1], axis=1)[:, 1]
    for layer, (left, right) in enumerate(panels):
        assert left.get_ylabel() == str(layer + 1)
        assert right.get_ylabel() == f"{shared[layer]:.2f}"
        assert left.get_images()[0].get_array().shape == (2, 5)
        assert left.lines[0].get_xydata().tolist() == [[3, 1]]  # slot 7 of frame 1: patch 2


def test_a_query_that_is_no_patch_has_no_ring(arrays):
    with matplotlib.rc_context():
        figure = draw_map_pairs(arrays, frame_count=0, query=0)
    assert not any(axes.lines for axes in figure.axes)

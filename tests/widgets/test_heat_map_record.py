"""Maps from the arrays of a record: the right heads, queries and patches."""

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.widgets.heat_map_record import heat_maps_of

COUNTS, LAYERS, HEADS, SHOWN, GRID = (8, 32), 3, 4, 2, (3, 4)
SLOTS = 5 + 12
QUERIES = np.array([[0, 0], [0, 5], [1, 5 + 7], [1, 3]])  # camera, patch, patch, register
SHAPE = (len(COUNTS), LAYERS, HEADS, len(QUERIES))
GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "frames": np.array(COUNTS),
    "grid": np.array(GRID),
    "queries": QUERIES,
    "maps": GENERATOR.integers(1, 256, size=(*SHAPE, SHOWN, SLOTS), dtype=np.uint8),
    "largest": GENERATOR.uniform(0.01, 0.02, size=SHAPE).astype(np.float32),
    "entropy_deficit": GENERATOR.uniform(size=SHAPE[:3]),
    "singular_ratio": GENERATOR.uniform(size=SHAPE[:3]),
    "images": GENERATOR.integers(0, 256, size=(SHOWN, 6, 8, 3), dtype=np.uint8),
}


def test_patches_of_the_chosen_heads_and_queries_are_kept():
    shown = heat_maps_of(ARRAYS, heads=[3, 1], queries=[2])
    assert shown.queries.tolist() == [[1, 1, 3]]
    assert [each.frames for each in shown.maps] == [8, 32]
    found = shown.maps[1].attention[2, 0, 0]
    levels = ARRAYS["maps"][1, 2, 3, 2, :, 5:].reshape(SHOWN, *GRID)
    np.testing.assert_allclose(found, ARRAYS["largest"][1, 2, 3, 2] * (levels / 255.0) ** 2)
    tokens = 32 * SLOTS
    expected = np.log(tokens) - ARRAYS["entropy_deficit"][1][:, [3, 1]]
    np.testing.assert_allclose(shown.maps[1].entropy, expected)
    assert shown.maps[0].singular_ratio.tolist() == ARRAYS["singular_ratio"][0][:, [3, 1]].tolist()
    assert shown.maps[0].predicted is None
    np.testing.assert_allclose(255 * shown.images[1, 2, 3, 4], ARRAYS["images"][1, 3, 4, 2])


def test_all_heads_and_all_patches_are_kept_unless_told():
    shown = heat_maps_of(ARRAYS)
    assert shown.queries.tolist() == [[0, 0, 0], [1, 1, 3]]
    assert shown.maps[0].attention.shape == (LAYERS, HEADS, 2, SHOWN, *GRID)


def test_a_prediction_comes_along():
    both = ARRAYS | {"predicted_maps": ARRAYS["maps"], "predicted_largest": ARRAYS["largest"] / 2}
    for each in heat_maps_of(both).maps:
        np.testing.assert_allclose(each.predicted, each.attention / 2)


def test_a_query_that_is_no_patch_is_refused():
    with pytest.raises(ValueError, match=r"queries must be patches; got \[1, 3\]"):
        heat_maps_of(ARRAYS, queries=[1, 3])


def test_all_patches_of_a_measured_record_pass_though_rounding_adds_to_their_sum():
    arrays = records.find("heat_maps", "orbit").arrays
    shown = heat_maps_of(arrays)
    assert len(shown.queries) == 3
    sums = np.concatenate([each.attention.sum(axis=(3, 4, 5)).ravel() for each in shown.maps])
    assert 1.001 < sums.max() < 1.01

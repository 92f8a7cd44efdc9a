"""The page decodes what the library encoded, and computes what numpy computes."""

import numpy as np
import pytest

from tolerances import PAGE_ARITHMETIC
from widgets.heat_map_scene import COLUMNS, ROWS, heat_map_explorer

PATCHES = ROWS * COLUMNS
STATES = [
    {"frames": 2, "layer": 3, "head": 2, "query": 4},
    {"frames": 16, "layer": 1, "head": 2, "query": 1},
]


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=PAGE_ARITHMETIC, atol=PAGE_ARITHMETIC)


@pytest.mark.parametrize("state", STATES)
def test_shown_numbers_are_those_of_the_state(open_explorer, state):
    shown, library = open_explorer(**state).numbers(), heat_map_explorer(**state)
    maps = library.shown_maps()
    assert_equal(shown["map"], maps["recorded"].ravel())
    tokens = library.layout.count
    for name, weights in maps.items():
        assert_equal(shown["statistics"][name]["masses"], weights.sum(axis=(1, 2)))
        assert_equal(shown["statistics"][name]["elsewhere"], 1 - weights.sum())
        assert_equal(shown["statistics"][name]["peak"], weights.max() * tokens)
    at = library.frame_counts.index(state["frames"])
    for name, trait in (("entropy", "entropy"), ("singularRatio", "singular_ratio")):
        expected = getattr(library, trait)[at][state["layer"] - 1][state["head"] - 1]
        assert shown["layer"][name] == expected
    assert shown["layer"]["tokens"] == tokens


def test_correlation_is_that_of_numpy(open_explorer):
    first, second = np.random.default_rng(0).uniform(size=(2, 40))
    found, itself = open_explorer().call(
        ("correlation", first.tolist(), second.tolist()),
        ("correlation", first.tolist(), (3 * first + 1).tolist()),
    )
    assert_equal(found, np.corrcoef(first, second)[0, 1])
    assert_equal(itself, 1)


def test_shades_go_with_the_root_of_the_share_of_the_larger_peak(open_explorer):
    explorer, library = open_explorer(query=2), heat_map_explorer(query=2)
    maps = library.shown_maps()
    peak = max(each.max() for each in maps.values())
    for name, weights in maps.items():
        expected = np.rint(255 * np.sqrt(weights / peak)).reshape(-1, PATCHES)
        assert explorer.shades(name) == expected.tolist()


def test_nearest_query_is_of_the_frame(open_explorer):
    queries = [[0, 1, 1], [0, 2, 3], [1, 0, 4]]
    places = [(0, 1.2, 1.4), (0, 3, 3), (1, 3, 0), (2, 0, 0)]
    found = open_explorer().call(*[("nearestQuery", queries, *place) for place in places])
    assert found == [1, 2, 3, 0]

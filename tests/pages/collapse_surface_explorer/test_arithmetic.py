"""The page computes what the library computes."""

import numpy as np
import pytest

from attention_collapse.figures.collapse_surface_explorer import relative_spread
from attention_collapse.theory import layers
from attention_collapse.widgets.collapse_surface_explorer import (
    SCHEMES,
    CollapseSurfaceExplorer,
)
from tolerances import PAGE_ARITHMETIC

UPDATES = ("pre-norm", "post-norm", "averaging", "pure")
CLOUD = np.random.default_rng(3).normal(size=(20, 3)) * [0.4, 0.3, 0.1] + [0.1, 0.0, 1.2]


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=PAGE_ARITHMETIC)


@pytest.mark.parametrize("scheme", UPDATES)
def test_layer_equals_library(open_explorer, scheme):
    tokens = layers.normalise(CLOUD) if scheme == "post-norm" else CLOUD
    explorer = open_explorer()
    for step, temperature, share in ((0.25, 1.0, 0.0), (1.0, 8.0, 0.4), (0.05, 300.0, 1.0)):
        options = {"step": step, "temperature": temperature}
        given = {"scheme": scheme, "matchShare": share} | options
        (found,) = explorer.call(("attentionLayer", tokens.tolist(), given))
        expected = layers.layer(tokens, scheme=scheme, match_share=share, **options)
        assert_equal(found, expected)
        assert share == 1.0 or np.abs(expected - tokens).max() > 1e-3


@pytest.mark.parametrize("scheme", UPDATES)
def test_response_law_equals_library(open_explorer, scheme):
    explorer = open_explorer()
    for step, sharpness, share in ((0.25, 0.5, 0.1), (1.0, 0.0, 0.9), (0.01, 0.95, 0.0)):
        given = {"scheme": scheme, "step": step, "sharpness": sharpness, "matchShare": share}
        (found,) = explorer.call(("responseLaw", given, 300))
        options = {"step": step, "sharpness": sharpness, "match_share": share}
        options["cosine_scores"] = layers.Scheme(scheme).normalises
        assert_equal(found, layers.response_law(scheme, layers=300, **options))


def test_sharpness_and_spread_equal_library(open_explorer):
    explorer = CollapseSurfaceExplorer(temperature=2.5)
    sharpness, spread = open_explorer().call(
        ("sharpnessOf", explorer.tokens, explorer.temperature), ("cloudSpread", CLOUD.tolist())
    )
    assert_equal(sharpness, explorer.sharpness)
    assert_equal(spread**2, np.trace(np.cov(CLOUD.T, bias=True)))


def test_slope_is_that_of_a_power_law(open_explorer):
    time = 1 + 0.25 * np.arange(101)
    slope, none = open_explorer().call(("slopeOf", list(time**-0.7), 0.25), ("slopeOf", [1], 0.25))
    assert_equal(slope, 0.7)
    assert none is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_shown_numbers_are_those_of_the_state(open_explorer, scheme):
    state = {"scheme": scheme, "depth": 37, "frames": 300, "dilution_frames": 20.0}
    state |= {"other_weight": 0.4, "step": 0.1, "temperature": 3.0}
    shown, library = open_explorer(**state).numbers(), CollapseSurfaceExplorer(**state)
    slope = shown.pop("slope")
    expected = {
        "spread": relative_spread(library.particles())[-1],
        "law": library.law()[-1],
        "exponent": library.exponent,
        "matchShare": library.match_share,
        "dilutedFrames": 50.0,
    }
    assert set(shown) == set(expected)
    for name, value in shown.items():
        assert_equal(value, expected[name])
    if shown["spread"] < 1e-12:  # rounding has no slope
        assert slope is None
    else:
        step = 1 / 37 if scheme == "shrinking-step" else 0.1
        times, spreads = 1 + step * np.array([18, 37]), relative_spread(library.particles())
        assert_equal(slope, -np.diff(np.log(spreads[[18, 37]])) / np.diff(np.log(times)))

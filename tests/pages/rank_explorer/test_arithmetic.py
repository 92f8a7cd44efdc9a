"""The page computes what the library computes."""

import itertools

import numpy as np
import pytest

from attention_collapse.figures.rank_explorer import probe_attention
from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.widgets.rank_explorer import RankExplorer
from tolerances import PAGE_ARITHMETIC

SURFACES = (
    CollapseSurface((0.6, 0.5, 0.4, 0.3), 64.0, 0.25),
    CollapseSurface((0.7,), 1024.0, 0.05),
    CollapseSurface((0.0, 0.45, 0.45), 0.5, 1.0),
)
GRID = [(depth, frames) for depth in (0, 1, 24, 96) for frames in (1, 8, 100, 1024)]


def library_numbers(surface, depth, frames, *, count=32):
    """The numbers at one place, by their names in the script."""
    profile = surface.rank_profile(depth, frames, count)
    return {
        "singularValues": profile.singular_values,
        "singularRatio": profile.singular_ratio,
        "effectiveRank": profile.effective_rank,
        "stableRank": profile.stable_rank,
        "entropyDeficit": profile.entropy_deficit,
        "spread": surface.spread(depth, frames),
        "exponent": surface.exponent(frames),
    }


def in_script(surface):
    """A surface as the script writes it."""
    return {
        "initialSharpness": surface.initial_sharpness,
        "dilutionFrames": surface.dilution_frames,
        "step": surface.step,
    }


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=PAGE_ARITHMETIC)


def test_page_equals_library_over_the_grid(open_explorer):
    explorer = open_explorer()
    for surface, (depth, frames) in itertools.product(SURFACES, GRID):
        script = in_script(surface)
        profile, spread, exponent, variance = explorer.call(
            ("rankProfile", script, depth, frames),
            ("spread", script, depth, frames),
            ("collapseExponent", script, frames),
            ("relativeVariance", script, depth, frames),
        )
        found = profile | {"spread": spread, "exponent": exponent}
        expected = library_numbers(surface, depth, frames)
        assert set(found) == set(expected)
        for name, value in found.items():
            assert_equal(value, expected[name])
        assert_equal(variance, surface.relative_variance(depth, frames))


@pytest.mark.parametrize("level", [0.8, 0.1])
def test_contour_is_where_the_spread_is(open_explorer, level):
    explorer, surface = open_explorer(), SURFACES[0]
    (logarithmic_time,) = explorer.call(("logarithmicTimeOf", in_script(surface), level))
    for frames in (16, 1024):
        depth = np.expm1(logarithmic_time / surface.exponent(frames)) / surface.step
        assert_equal(surface.spread(float(depth), frames), level)


def test_attention_map_equals_library(open_explorer):
    explorer = RankExplorer()
    sharpness, probes = explorer.surface.sharpness(24, 64), np.array(explorer.probes)
    (found,) = open_explorer().call(("probeAttention", sharpness.tolist(), probes.tolist()))
    assert_equal(found, probe_attention(sharpness, probes))


def test_shown_numbers_are_those_of_the_state(open_explorer):
    state = {"depth": 48, "frames": 300, "dilution_frames": 20.0}
    shown = open_explorer(**state).numbers()
    expected = library_numbers(RankExplorer(**state).surface, 48, 300, count=24)
    assert set(shown) == set(expected) - {"entropyDeficit"}
    for name, value in shown.items():
        assert_equal(value, expected[name])

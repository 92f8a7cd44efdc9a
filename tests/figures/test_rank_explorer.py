"""The still of the rank explorer: it draws the library's numbers and leaves no trace."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures import style
from attention_collapse.figures.rank_explorer import (
    draw_rank_explorer,
    probe_attention,
    rank_explorer_png,
)
from attention_collapse.theory.collapse_surface import CollapseSurface
from tolerances import FLOAT64

SURFACE = CollapseSurface((0.6, 0.5), 64.0, 0.25)
PROBES = np.random.default_rng(0).standard_normal((10, 2))
OPTIONS = {"depth": 24, "frames": 128, "probes": PROBES, "max_depth": 96, "max_frames": 1024}
MEASUREMENT = {"depth": 6, "frames": 16, "label": "measured", "singular_values": [4.0, 2.0, 1e-9]}


@pytest.fixture
def axes():
    """Panels of the still with one measurement: profile, attention, surface, readouts, bar."""
    with matplotlib.rc_context():
        return draw_rank_explorer(SURFACE, **OPTIONS, measured=[MEASUREMENT]).axes


def line(axes, label):
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return found.get_xydata()


def test_profile_shows_present_and_start(axes):
    for label, depth in (("after 24 layers", 24), ("at depth 0", 0)):
        index, values = line(axes[0], label).T
        assert index.tolist() == list(range(1, 25))
        np.testing.assert_array_equal(
            values, SURFACE.rank_profile(depth, 128, count=24).singular_values
        )


def test_measurement_is_relative_ends_at_the_floor_and_says_where_it_was_taken(axes):
    found = line(axes[0], "measured, 6 layers, 16 frames")
    assert found.tolist() == [[1.0, 1.0], [2.0, 0.5]]


def test_measurement_is_pale_elsewhere_only():
    with matplotlib.rc_context():
        here = MEASUREMENT | {"depth": 24, "frames": 128, "label": "here"}
        profile, *_ = draw_rank_explorer(SURFACE, **OPTIONS, measured=[here, MEASUREMENT]).axes
    colors = {each.get_label(): each.get_markeredgecolor() for each in profile.lines}
    assert colors["here"] == style.MEASURED
    assert colors["measured, 6 layers, 16 frames"] == style.REFERENCE


def test_attention_is_drawn_in_octaves_over_uniform(axes):
    (image,) = axes[1].images
    attention = probe_attention(SURFACE.sharpness(24, 128), PROBES)
    np.testing.assert_allclose(image.get_array(), np.log2(10 * attention), rtol=0, atol=FLOAT64)


def test_surface_holds_the_spread_and_the_position(axes):
    mesh = axes[2].collections[0]
    corner = 1.0 - SURFACE.spread(96, 1024)
    assert mesh.get_array().max() == pytest.approx(corner, abs=FLOAT64)
    places = [each.get_xydata().tolist() for each in axes[2].lines if each.get_marker() == "o"]
    assert [[np.log(1 + 0.25 * 24), 7.0]] in places
    assert [[np.log(1 + 0.25 * 6), 4.0]] in places


def test_readouts_are_those_of_the_law(axes):
    profile = SURFACE.rank_profile(24, 128)
    texts = {text.get_text() for text in axes[3].texts}
    for value in (profile.singular_ratio, profile.effective_rank, SURFACE.exponent(128)):
        assert f"{value:.3g}" in texts


def test_probe_attention_is_softmax_of_the_scores():
    sharpness = np.array([0.5, 0.25])
    attention = probe_attention(sharpness, PROBES)
    scores = np.einsum("k,ik,jk->ij", sharpness, PROBES, PROBES)
    np.testing.assert_allclose(attention.sum(axis=1), 1.0, rtol=0, atol=FLOAT64)
    ratios = np.log(attention) - np.log(attention[:, :1])
    np.testing.assert_allclose(ratios, scores - scores[:, :1], rtol=0, atol=FLOAT64)


def test_png_leaves_the_parameters_of_matplotlib_alone():
    before = {**matplotlib.rcParams}
    assert rank_explorer_png(SURFACE, **OPTIONS).startswith(b"\x89PNG")
    after = {**matplotlib.rcParams}
    assert {name for name in before if before[name] != after[name]} <= {"backend"}

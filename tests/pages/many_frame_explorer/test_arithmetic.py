"""The page shows the library's numbers, and draws them where they are."""

import numpy as np
import pytest

from tolerances import PAGE_ARITHMETIC
from widgets.many_frame_scene import many_frame_explorer

STATES = [
    {"frames": 2, "treatment": "none"},
    {"frames": 16, "treatment": "none"},
    {"frames": 64, "treatment": "none"},
    {"frames": 8, "treatment": "bias"},
    {"frames": 64, "treatment": "bias"},
]


def expected_numbers(library):
    """What one state has, by the names of the page."""
    place = library.frame_counts.index(library.frames)
    chosen = ["none", "bias"].index(library.treatment)
    return {
        "frames": library.frames,
        "rotation": library.errors["rotation"][chosen][place],
        "rotationError": library.standard_errors["rotation"][chosen][place],
        "points": library.errors["points"][chosen][place],
        "pointsError": library.standard_errors["points"][chosen][place],
        "shares": library.shown_shares()[0].tolist(),
    }


@pytest.mark.parametrize("state", STATES)
def test_numbers_are_those_of_the_library(open_explorer, state):
    explorer, library = open_explorer(**state), many_frame_explorer(**state)
    numbers, expected = explorer.numbers(), expected_numbers(library)
    assert numbers["now"] == expected
    ratios = library.shown_ratios()
    if isinstance(ratios, str):
        assert numbers["ratios"] == {"absent": ratios}
    else:
        now, trained = ratios.tolist()
        assert numbers["ratios"] == {"now": now, "trained": trained}
    readouts = explorer.page.locator(".book-widget-readouts").inner_text()
    for text in (
        f"{expected['rotation']:.2f}°",
        f"± {expected['rotationError']:.2f}°",
        f"{expected['points']:.4f}",
        f"± {expected['pointsError']:.4f}",
    ):
        assert text in readouts
    assert f"rotations are off by {expected['rotation']:.2f}°" in explorer.sentence.inner_text()


def test_sentence_has_the_numbers_of_training(open_explorer):
    said = open_explorer(frames=64).sentence.inner_text()
    trained = expected_numbers(many_frame_explorer(frames=8))
    assert f"At 8 frames: {trained['rotation']:.2f}°, {trained['points']:.4f}" in said
    assert "No scene of training had more." in open_explorer().sentence.inner_text()


def test_bars_go_with_the_logarithm_of_the_share(open_explorer):
    explorer, library = open_explorer(frames=16), many_frame_explorer(frames=16)
    floor = np.floor(np.log10(np.min(library.shares)))
    heights = [explorer.heights("shares", bars) for bars in ("now", "trained")]
    expected = 1 - np.log10(library.shown_shares()) / floor
    scale = heights[0][0] / expected[0, 0]
    np.testing.assert_allclose(heights, scale * expected, rtol=PAGE_ARITHMETIC)


def test_bars_go_with_the_ratio(open_explorer):
    explorer, library = open_explorer(frames=16), many_frame_explorer(frames=16)
    heights = [explorer.heights("ratios", bars) for bars in ("now", "trained")]
    ratios = library.shown_ratios()
    scale = heights[0][0] / ratios[0, 0]
    np.testing.assert_allclose(heights, scale * ratios, rtol=PAGE_ARITHMETIC)


def test_the_mark_moves_in_octaves(open_explorer):
    explorer = open_explorer(frames=2)
    places = []
    for _ in range(5):
        explorer.settle()
        places.append(float(explorer.page.locator("circle.present").get_attribute("cx")))
        explorer.press("frames", "ArrowRight")
    steps = np.diff(places)
    np.testing.assert_allclose(steps, steps[0] * np.array([1, 1, 1, 2]), rtol=PAGE_ARITHMETIC)

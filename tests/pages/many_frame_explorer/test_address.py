"""The state of the explorer in the address of the page."""

import pytest


def test_state_goes_to_the_address_and_back(open_explorer):
    at = "#many-frame-explorer?frames=16&treatment=bias"
    explorer = open_explorer(at=at)
    assert explorer.said("frames") == "16 frames"
    assert explorer.radio("reference bias").is_checked()
    explorer.press("frames", "ArrowRight")
    explorer.page.wait_for_function("location.hash.includes('frames=64')")
    assert explorer.page.evaluate("location.hash") == at.replace("16", "64")
    explorer.page.evaluate("location.hash = '#many-frame-explorer?treatment=none'")
    explorer.settle()
    assert explorer.radio("as trained").is_checked()
    assert explorer.said("frames") == "64 frames"


@pytest.mark.parametrize("fragment", ["#heading", "#other?frames=2", "#many-frame-explorer", "#%"])
def test_fragment_of_another_is_left_alone(open_explorer, fragment):
    explorer = open_explorer(at=fragment)
    assert explorer.said("frames") == "8 frames"
    assert explorer.page.evaluate("location.hash") == fragment
    assert not explorer.status.is_visible()


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer()
    for query, reason in {
        "frames=3": "frames must be one of 2, 4, 8, 16, 64; got 3",
        "frames=": "got NaN",
        "treatment=scale": "treatment must be one of none, bias; got scale",
        "layer=3": '"layer" is not one of',
    }.items():
        explorer.page.evaluate(f"location.hash = '#many-frame-explorer?{query}'")
        assert explorer.said("frames") == "8 frames"
        assert reason in explorer.status.inner_text()

"""The state of the explorer in the address of the page."""

import pytest


def test_state_goes_to_the_address_and_back(open_explorer):
    at = "#heat-map-explorer?layer=2&head=2&frames=4&query=2"
    explorer = open_explorer(at=at)
    assert explorer.said("layer") == explorer.said("head") == "2"
    assert explorer.radio("4").is_checked()
    explorer.press("layer", "ArrowRight")
    explorer.page.wait_for_function("location.hash.includes('layer=3')")
    assert explorer.page.evaluate("location.hash") == at.replace("layer=2", "layer=3")
    shown = explorer.numbers()["map"]
    explorer.page.evaluate("location.hash = '#heat-map-explorer?layer=1'")
    assert explorer.numbers()["map"] != shown


@pytest.mark.parametrize("fragment", ["#heading", "#other?layer=1", "#heat-map-explorer", "#%"])
def test_fragment_of_another_is_left_alone(open_explorer, fragment):
    explorer = open_explorer(at=fragment)
    assert explorer.said("layer") == "1"
    assert explorer.page.evaluate("location.hash") == fragment
    assert not explorer.status.is_visible()


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer()
    for query, reason in {
        "layer=4": "layer must be a whole number from 1 to 3; got 4",
        "head=1.5": "head must be a whole number from 1 to 2; got 1.5",
        "frames=3": "frames must be one of 2, 4, 16; got 3",
        "query=0": "query must be a whole number from 1 to 4; got 0",
        "query=": "got NaN",
        "rows=3": '"rows" is not one of',
    }.items():
        explorer.page.evaluate(f"location.hash = '#heat-map-explorer?{query}'")
        assert explorer.said("layer") == "1"
        assert reason in explorer.status.inner_text()

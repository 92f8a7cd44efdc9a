"""The state of the explorer in the address of the page."""

import pytest


def test_state_goes_to_the_address_and_back(open_explorer):
    at = "#heat-map-explorer?layer=1&head=1&frames=4&query=2"
    explorer = open_explorer(at=at)
    assert explorer.said("layer") == explorer.said("head") == "1"
    assert explorer.radio("4").is_checked()
    explorer.press("layer", "ArrowRight")
    explorer.page.wait_for_function("location.hash.includes('layer=2')")
    assert explorer.page.evaluate("location.hash") == at.replace("layer=1", "layer=2")
    shown = explorer.numbers()["map"]
    explorer.page.evaluate("location.hash = '#heat-map-explorer?layer=0'")
    assert explorer.numbers()["map"] != shown


@pytest.mark.parametrize("fragment", ["#heading", "#other?layer=1", "#heat-map-explorer", "#%"])
def test_fragment_of_another_is_left_alone(open_explorer, fragment):
    explorer = open_explorer(at=fragment)
    assert explorer.said("layer") == "0"
    assert explorer.page.evaluate("location.hash") == fragment
    assert not explorer.status.is_visible()


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer()
    for query, reason in {
        "layer=3": "layer must be a whole number from 0 to 2; got 3",
        "head=0.5": "head must be a whole number from 0 to 1; got 0.5",
        "frames=3": "frames must be one of 2, 4, 16; got 3",
        "query=-1": "query must be a whole number from 0 to 3; got -1",
        "query=": "got NaN",
        "rows=3": '"rows" is not one of',
    }.items():
        explorer.page.evaluate(f"location.hash = '#heat-map-explorer?{query}'")
        assert explorer.said("layer") == "0"
        assert reason in explorer.status.inner_text()

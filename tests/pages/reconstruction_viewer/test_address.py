"""The state of the viewer in the address of the page."""

import pytest


def test_state_goes_to_the_address_and_back(open_viewer):
    at = "#reconstruction-viewer?azimuth=-40&elevation=10&zoom=2&shown=true&colouring=error"
    viewer = open_viewer(at=at)
    assert viewer.view() == {"azimuth": -40, "elevation": 10, "zoom": 2}
    assert viewer.radio("error").is_checked()
    assert viewer.canvas("true").is_visible()
    assert not viewer.canvas("predicted").is_visible()
    viewer.surface.focus()
    viewer.page.keyboard.press("ArrowRight")
    viewer.page.wait_for_function("location.hash.includes('azimuth=-35')")
    assert viewer.page.evaluate("location.hash") == at.replace("-40", "-35")


@pytest.mark.parametrize("fragment", ["#heading", "#other?zoom=2", "#reconstruction-viewer"])
def test_fragment_of_another_is_left_alone(open_viewer, fragment):
    viewer = open_viewer(at=fragment)
    assert viewer.view()["zoom"] == 1
    assert viewer.page.evaluate("location.hash") == fragment
    assert not viewer.status.is_visible()


def test_bad_link_is_refused_and_said(open_viewer):
    viewer = open_viewer()
    for query, reason in {
        "azimuth=200": "azimuth must be at least -180 and at most 180; got 200",
        "elevation=90": "elevation must be at least -89 and at most 89; got 90",
        "zoom=": "got NaN",
        "shown=all": "shown must be one of predicted, true, both; got all",
        "colouring=depth": "colouring must be one of image, confidence, error; got depth",
        "points=3": '"points" is not one of',
    }.items():
        viewer.page.evaluate(f"location.hash = '#reconstruction-viewer?{query}'")
        assert viewer.view() == {"azimuth": 25, "elevation": 20, "zoom": 1}
        assert reason in viewer.status.inner_text()

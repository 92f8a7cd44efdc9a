"""The state of the explorer in the address of the page."""

import pytest


def test_state_goes_to_the_address_and_back(open_explorer):
    explorer = open_explorer(at="#merge-explorer?cell=3&ratio=0.6&reference=protected&patch=60")
    assert explorer.said("ratio") == "60 %"
    assert explorer.radio("3 × 3").is_checked()
    assert explorer.radio("apart").is_checked()
    explorer.press("ratio", "ArrowRight")
    explorer.page.wait_for_function("location.hash.includes('0.61')")
    fragment = explorer.page.evaluate("location.hash")
    assert fragment == (
        "#merge-explorer?cell=3&ratio=0.61&reference=protected&weighting=size&patch=60"
    )
    shown = explorer.numbers()["target"]
    explorer.page.evaluate("location.hash = '#merge-explorer?cell=2&weighting=none'")
    explorer.settle()
    assert explorer.numbers()["target"] != shown
    explorer.page.evaluate(f"location.hash = {fragment!r}")
    explorer.settle()
    assert explorer.numbers()["target"] == shown


@pytest.mark.parametrize("fragment", ["#heading", "#other?cell=3", "#merge-explorer", "#%"])
def test_fragment_of_another_is_left_alone(open_explorer, fragment):
    explorer = open_explorer(at=fragment)
    assert explorer.said("ratio") == "50 %"
    assert explorer.page.evaluate("location.hash") == fragment
    assert not explorer.status.is_visible()


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer()
    for query, reason in {
        "cell=5": "cell must be one of 2, 3, 4; got 5",
        "ratio=1": "ratio must be at least 0 and at most 0.9; got 1",
        "ratio=": "got NaN",
        "reference=first": "reference must be one of grid, destination, protected; got first",
        "weighting=log": "weighting must be size or none; got log",
        "patch=144": "whole number from -1 to 143; got 144",
        "patch=1.5": "whole number from -1 to 143; got 1.5",
        "rows=3": '"rows" is not one of',
    }.items():
        explorer.page.evaluate(f"location.hash = '#merge-explorer?{query}'")
        assert explorer.said("ratio") == "50 %"
        assert reason in explorer.status.inner_text()

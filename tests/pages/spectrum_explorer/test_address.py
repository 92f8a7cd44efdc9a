"""The state of the explorer in the address of the page."""

import pytest

INITIAL = ["0.40", "0.30", "0.20", "128 tokens"]
SLIDERS = ("a1", "a2", "a3", "tokens")


def test_state_goes_to_the_address_and_back(open_explorer):
    explorer = open_explorer(at="#spectrum-explorer?law=gaussian&sharpness=0.5,0.1&tokens=64")
    assert explorer.stands(*SLIDERS) == ["0.50", "0.10", "0.00", "64 tokens"]
    explorer.press("a1", "ArrowRight")
    explorer.page.wait_for_function("location.hash.includes('0.51')")
    fragment = explorer.page.evaluate("location.hash")
    assert fragment == (
        "#spectrum-explorer?law=gaussian&sharpness=0.51,0.1,0&concentration=4&dimension=3"
        "&tokens=64&seed=1"
    )
    shown = explorer.numbers("sample")
    explorer.page.evaluate("location.hash = '#spectrum-explorer?law=sphere&concentration=2.5'")
    assert explorer.stands("concentration", "dimension") == ["2.5", "3 dimensions"]
    explorer.page.evaluate(f"location.hash = {fragment!r}")
    assert explorer.numbers("sample") == shown


@pytest.mark.parametrize("fragment", ["#heading", "#other?tokens=64", "#spectrum-explorer", "#%"])
def test_fragment_of_another_is_left_alone(open_explorer, fragment):
    explorer = open_explorer(at=fragment)
    assert explorer.stands(*SLIDERS) == INITIAL
    assert explorer.page.evaluate("location.hash") == fragment
    assert not explorer.status.is_visible()


def test_second_explorer_answers_to_its_own_name(open_explorer):
    explorer = open_explorer(at="#second?tokens=32", fragment="second")
    assert explorer.stands("tokens") == ["32 tokens"]


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer()
    for query, reason in {
        "law=uniform": "law must be gaussian or sphere; got uniform",
        "sharpness=0.71": "below 1/√2",
        "sharpness=0.1,0.1,0.1,0.1": "1 to 3 directions; got 4",
        "sharpness=": "below 1/√2 ≈ 0.707; got NaN",
        "law=sphere&concentration=13": "at least 0 and at most 12; got 13",
        "dimension=5": "dimension must be one of 2, 3, 4, 8; got 5",
        "tokens=33.5": "whole number from 32 to 256; got 33.5",
        "tokens=512": "whole number from 32 to 256; got 512",
        "seed=-1": "seed must be a whole number",
        "speed=3": '"speed" is not one of',
        "tokens=%": "malformed",
    }.items():
        explorer.page.evaluate(f"location.hash = '#spectrum-explorer?{query}'")
        assert explorer.stands(*SLIDERS) == INITIAL
        assert reason in explorer.status.inner_text()


def test_copy_link_writes_the_address_and_says_so(open_explorer):
    explorer = open_explorer()
    explorer.button("Copy link").click()
    explorer.page.wait_for_function("location.hash.startsWith('#spectrum-explorer?law=gaussian')")
    explorer.status.wait_for()
    assert explorer.status.inner_text() in ("Link copied.", "The link is in the address bar.")

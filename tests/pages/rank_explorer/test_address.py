"""The state of the explorer in the address of the page."""

import pytest

INITIAL = (24, 64)


def test_state_goes_to_the_address_and_back(open_explorer):
    explorer = open_explorer(at="#rank-explorer?depth=7&frames=512")
    assert explorer.position() == (7, 512)
    explorer.press("depth", "ArrowRight")
    explorer.page.wait_for_function("location.hash.includes('depth=8')")
    fragment = explorer.page.evaluate("location.hash")
    assert fragment == (
        "#rank-explorer?depth=8&frames=512&dilution_frames=64&initial_sharpness=0.5,0.4,0.3,0.2"
    )
    shown = explorer.numbers()
    explorer.page.evaluate("location.hash = '#rank-explorer?depth=1'")
    assert explorer.position() == (1, 512)
    explorer.page.evaluate(f"location.hash = {fragment!r}")
    assert explorer.numbers() == shown


@pytest.mark.parametrize("fragment", ["#some-heading", "#other?depth=7", "#rank-explorer", "#%"])
def test_fragment_of_another_is_left_alone(open_explorer, fragment):
    explorer = open_explorer(at=fragment)
    assert explorer.position() == INITIAL
    assert explorer.page.evaluate("location.hash") == fragment
    assert not explorer.status.is_visible()


def test_second_explorer_answers_to_its_own_name(open_explorer):
    explorer = open_explorer(at="#second?depth=7&frames=8", fragment="second")
    assert explorer.position() == (7, 8)


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer(at="#rank-explorer?depth=-1")
    assert "depth must be at least 0" in explorer.status.inner_text()
    for query, reason in {
        "depth=1000": "depth must be at most 96",
        "depth=7&frames=": "frames must be at least 1",
        "depth=7.5": "depth and frames must be whole numbers",
        "initial_sharpness=0.9": "below 1/√2",
        "initial_sharpness=0.1,0.1,0.1,0.1,0.1": "at most 4 directions",
        "speed=3": '"speed" is not one of',
        "depth=%": "malformed",
    }.items():
        explorer.page.evaluate(f"location.hash = '#rank-explorer?{query}'")
        assert explorer.position() == INITIAL
        assert reason in explorer.status.inner_text()


def test_copy_link_writes_the_address_and_says_so(open_explorer):
    explorer = open_explorer()
    explorer.button("Copy link").click()
    explorer.page.wait_for_function("location.hash.startsWith('#rank-explorer?depth=24&frames=64')")
    explorer.status.wait_for()
    assert explorer.status.inner_text() in ("Link copied.", "The link is in the address bar.")

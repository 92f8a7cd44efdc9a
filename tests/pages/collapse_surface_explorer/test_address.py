"""The state of the explorer in the address of the page."""

INITIAL = "24 layers"


def test_state_goes_to_the_address_and_back(open_explorer):
    query = "scheme=post-norm&depth=7&frames=33&dilution_frames=128&other_weight=0.5"
    explorer = open_explorer(at=f"#collapse-surface?{query}")
    assert explorer.radio("post-norm").is_checked()
    assert explorer.numbers()["dilutedFrames"] == 256
    assert (explorer.count("depth"), explorer.count("frames")) == (7, 33)
    explorer.press("depth", "ArrowRight")
    explorer.radio("no residual").check()
    moved = query.replace("depth=7", "depth=8").replace("post-norm", "pure")
    explorer.page.wait_for_function(
        "hash => location.hash === hash", arg=f"#collapse-surface?{moved}"
    )


def test_bad_link_is_refused_and_said(open_explorer):
    explorer = open_explorer(at="#collapse-surface?depth=-1")
    assert "depth must be at least 0" in explorer.status.inner_text()
    for query, reason in {
        "depth=401": "depth must be at most 400",
        "depth=7&frames=": "whole numbers",
        "frames=0": "frames must be at least 1",
        "frames=9999": "frames must be at most 4096",
        "dilution_frames=0": "S∗ must be at least 1",
        "other_weight=0.01": "f must be at least 0.05",
        "scheme=expansive": "scheme must be one of pre-norm",
        "speed=3": '"speed" is not one of',
    }.items():
        explorer.page.evaluate(f"location.hash = '#collapse-surface?{query}'")
        assert explorer.said("depth") == INITIAL
        assert reason in explorer.status.inner_text()


def test_copy_link_writes_the_address_and_says_so(open_explorer):
    explorer = open_explorer()
    explorer.button("Copy link").click()
    explorer.page.wait_for_function(
        "location.hash.startsWith('#collapse-surface?scheme=pre-norm&')"
    )
    explorer.status.wait_for()
    assert explorer.status.inner_text() in ("Link copied.", "The link is in the address bar.")

"""What a reader moves, and what moves with it."""

import re

import pytest

from attention_collapse.widgets.collapse_surface_explorer import CollapseSurfaceExplorer
from tolerances import EXPLORER_CAP, EXPLORER_SHRINKING_STEP, PAGE_ARITHMETIC


@pytest.mark.parametrize("name", ["depth", "frames"])
def test_spread_falls_when_a_slider_rises(open_explorer, name):
    explorer = open_explorer()
    seen = [explorer.numbers()]
    explorer.press(name, "ArrowRight", times=3)
    seen.append(explorer.numbers())
    box = explorer.slider(name).bounding_box()
    explorer.page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    seen.append(explorer.numbers())
    for quantity in ("spread", "law"):
        first, second, third = (numbers[quantity] for numbers in seen)
        assert first > second > third


@pytest.mark.parametrize("name", ["dilution_frames", "other_weight"])
def test_matches_and_merging_slow_the_collapse(open_explorer, name):
    explorer = open_explorer()
    start = explorer.numbers()
    explorer.press(name, "ArrowRight", times=2)
    moved = explorer.numbers()
    assert moved["spread"] > start["spread"]
    assert moved["exponent"] < start["exponent"]
    assert moved["dilutedFrames"] > start["dilutedFrames"]


def test_arrow_keys_reach_every_weight_and_stop_at_the_ends(open_explorer):
    explorer = open_explorer()
    seen = []
    for _ in range(40):
        seen.append(float(explorer.said("other_weight")))
        explorer.press("other_weight", "ArrowRight")
    assert seen[:3] == [1.0, 0.95, 0.9]
    assert seen == sorted(seen, reverse=True)
    assert {0.2, 0.19, 0.1, 0.05} <= set(seen)
    explorer.press("other_weight", "ArrowLeft", times=40)
    assert explorer.said("other_weight") == "1.00"


def test_arrow_keys_move_depth_by_layers_and_then_by_a_twentieth(open_explorer):
    explorer = open_explorer(depth=0)
    explorer.press("depth", "ArrowLeft")
    explorer.press("depth", "ArrowRight", times=2)
    assert explorer.count("depth") == 2
    explorer.press("depth", "End")
    assert explorer.count("depth") == 400
    explorer.press("depth", "ArrowLeft")
    assert explorer.count("depth") == 380


def test_schemes_differ_as_the_law_says(open_explorer):
    explorer, spread = open_explorer(depth=40, frames=4096), {}
    for label, scheme in {
        "step 1/L": "shrinking-step",
        "pre-norm (VGGT)": "pre-norm",
        "post-norm": "post-norm",
        "averaging": "averaging",
        "no residual": "pure",
    }.items():
        explorer.radio(label).check()
        numbers = explorer.numbers()
        spread[label] = numbers["spread"]
        assert numbers["law"] == pytest.approx(
            numbers["spread"], rel=EXPLORER_CAP[scheme], abs=PAGE_ARITHMETIC
        )
    assert sorted(spread.values(), reverse=True) == list(spread.values())
    assert "no power law" in explorer.page.locator(".book-widget-readouts").inner_text()


def test_depth_does_not_matter_where_the_step_shrinks_with_it(open_explorer):
    explorer = open_explorer(scheme="shrinking-step", frames=4096, depth=50)
    start = explorer.numbers()["spread"]
    explorer.press("depth", "End")
    assert explorer.numbers()["spread"] == pytest.approx(start, rel=EXPLORER_SHRINKING_STEP)


def test_dragging_on_the_curve_moves_frames_only(open_explorer):
    explorer = open_explorer()
    mouse, box = explorer.page.mouse, explorer.panel("exponent").get_by_role("img").bounding_box()
    height = box["y"] + box["height"] / 2
    mouse.move(box["x"] + 60, height)
    mouse.down()
    assert explorer.count("frames") == 1
    mouse.move(box["x"] + box["width"] + 50, height, steps=3)
    assert explorer.count("frames") == 4096  # held on the slider
    mouse.move(box["x"] + box["width"] / 2, height)
    mouse.up()
    frames = explorer.count("frames")
    assert 20 < frames < 200  # near 64 dilution frames, in the middle of the axis
    mouse.move(box["x"] + 60, height)
    assert explorer.count("frames") == frames
    assert explorer.count("depth") == 24


def test_presets_set_what_they_list(open_explorer):
    explorer, library = open_explorer(), CollapseSurfaceExplorer()
    for preset in library.presets:
        button = explorer.button(preset["name"])
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        library.apply_preset(preset["name"])
        assert explorer.numbers()["exponent"] == pytest.approx(
            library.exponent, abs=PAGE_ARITHMETIC
        )
        assert explorer.count("depth") == library.depth
        assert button.get_attribute("aria-pressed") == "true"


def test_play_runs_depth_until_paused_and_a_slider_stops_it(open_explorer):
    explorer = open_explorer(depth=0)
    explorer.button("▶ Play depth").click()
    explorer.page.wait_for_function(
        "/[1-9]/.test(document.querySelector('[type=range]').ariaValueText)"
    )
    explorer.page.wait_for_timeout(300)
    sentence = explorer.page.locator(".book-widget-sentence")
    assert sentence.get_attribute("aria-live") == "off"
    explorer.button("❚❚ Pause").click()
    depth = explorer.count("depth")
    assert 0 < depth < 400
    assert sentence.get_attribute("aria-live") == "polite"
    explorer.page.wait_for_timeout(200)
    assert explorer.count("depth") == depth
    explorer.button("▶ Play depth").click()
    explorer.press("depth", "Home")
    explorer.page.wait_for_timeout(200)
    assert explorer.count("depth") == 0


def test_play_at_the_end_starts_from_the_beginning(open_explorer):
    explorer = open_explorer(depth=400)
    explorer.button("▶ Play depth").click()
    explorer.settle()
    explorer.button("❚❚ Pause").click()
    assert explorer.count("depth") < 200


def dots(explorer):
    """Where the particles are drawn."""
    explorer.settle()
    paths = explorer.panel("sphere").locator("path.particles").all()
    drawn = "".join(path.get_attribute("d") for path in paths)
    return re.findall(r"M([-\d.]+) ([-\d.]+)h0", drawn)


def test_sphere_rests_where_less_motion_is_preferred_and_turns_when_asked(open_explorer):
    explorer = open_explorer()
    still = dots(explorer)
    assert len(still) == len(CollapseSurfaceExplorer().tokens)
    explorer.page.wait_for_timeout(200)
    assert dots(explorer) == still
    explorer.button("Turn").click()
    explorer.page.wait_for_timeout(300)
    assert dots(explorer) != still


def test_sphere_turns_where_motion_is_welcome_until_it_is_stopped(open_explorer):
    explorer = open_explorer(motion="no-preference")
    start = dots(explorer)
    explorer.page.wait_for_timeout(300)
    assert dots(explorer) != start
    explorer.button("Stop turning").click()
    stopped = dots(explorer)
    explorer.page.wait_for_timeout(200)
    assert dots(explorer) == stopped
    explorer.radio("post-norm").check()
    assert dots(explorer) != stopped
    explorer.radio("pre-norm (VGGT)").check()
    assert dots(explorer) == stopped  # seen from the same side


def test_dragging_turns_the_sphere_and_stops_it(open_explorer):
    explorer = open_explorer()
    explorer.button("Turn").click()
    box = explorer.panel("sphere").get_by_role("img").bounding_box()
    mouse = explorer.page.mouse
    mouse.move(box["x"] + 150, box["y"] + 100)
    mouse.down()
    assert explorer.button("Turn").is_visible()
    before = dots(explorer)
    mouse.move(box["x"] + 190, box["y"] + 100)
    mouse.up()
    assert dots(explorer) != before


def test_broken_state_shows_a_message_and_recovers(open_explorer):
    explorer = open_explorer(broken={"frames": 0})
    assert "frames must be at least 1" in explorer.alert.inner_text()
    explorer.press("frames", "ArrowRight")
    explorer.settle()
    assert not explorer.alert.is_visible()


def test_missing_state_shows_a_message_in_place_of_a_blank(open_explorer):
    explorer = open_explorer(broken={"presets": None})
    assert "This figure cannot be drawn" in explorer.alert.inner_text()

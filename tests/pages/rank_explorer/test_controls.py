"""What a reader moves, and what moves with it."""

import pytest

from attention_collapse.widgets.rank_explorer import RankExplorer
from tolerances import PAGE_ARITHMETIC

COLLAPSING = ("singularRatio", "effectiveRank", "stableRank", "spread")


@pytest.mark.parametrize("name", ["depth", "frames"])
def test_rank_falls_when_a_slider_rises(open_explorer, name):
    explorer = open_explorer()
    seen = [explorer.numbers()]
    explorer.press(name, "ArrowRight", times=4)
    seen.append(explorer.numbers())
    box = explorer.slider(name).bounding_box()
    explorer.page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    seen.append(explorer.numbers())
    for quantity in COLLAPSING:
        first, second, third = (numbers[quantity] for numbers in seen)
        assert first > second > third


def test_every_arrow_key_changes_the_number_of_frames(open_explorer):
    explorer = open_explorer(frames=1)
    seen = [explorer.position()[1]]
    for _ in range(12):
        explorer.press("frames", "ArrowRight")
        seen.append(explorer.position()[1])
    assert seen[:5] == [1, 2, 3, 4, 5]
    assert sorted(set(seen)) == seen
    explorer.press("frames", "ArrowLeft")
    assert explorer.position()[1] < seen[-1]
    explorer.press("frames", "End")
    assert explorer.position()[1] == 1024


def test_dragging_on_the_surface_moves_both_sliders(open_explorer):
    explorer = open_explorer()
    mouse = explorer.page.mouse
    box = explorer.page.locator("[data-panel=surface] canvas").bounding_box()
    mouse.move(box["x"] + 5, box["y"] + box["height"] - 5)
    mouse.down()
    mouse.move(box["x"] + box["width"] + 50, box["y"] - 50, steps=3)
    assert explorer.position() == (96, 1024)  # held inside the surface
    mouse.move(box["x"] + 1, box["y"] + box["height"] - 1)
    mouse.up()
    assert explorer.position() == (0, 1)
    mouse.move(box["x"] + 50, box["y"] + 50)
    assert explorer.position() == (0, 1)  # let go


def test_touch_on_the_surface_moves_both_sliders(open_explorer):
    explorer = open_explorer(width=390)
    surface = explorer.page.locator("[data-panel=surface] svg")
    assert surface.evaluate("svg => getComputedStyle(svg).touchAction") == "none"
    surface.scroll_into_view_if_needed()
    box = explorer.page.locator("[data-panel=surface] canvas").bounding_box()
    point = {"x": box["x"] + box["width"] - 1, "y": box["y"] + 1}
    client = explorer.page.context.new_cdp_session(explorer.page)
    touch = {"type": "touchStart", "touchPoints": [point]}
    client.send("Input.dispatchTouchEvent", touch)
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    depth, frames = explorer.position()
    assert depth > 90
    assert frames > 900


def test_presets_set_what_they_list(open_explorer):
    explorer, library = open_explorer(), RankExplorer()
    for preset in library.presets:
        button = explorer.button(preset["name"])
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        library.apply_preset(preset["name"])
        assert explorer.position() == (library.depth, library.frames)
        exponent = library.surface.exponent(library.frames)
        assert explorer.numbers()["exponent"] == pytest.approx(exponent, abs=PAGE_ARITHMETIC)
        assert button.get_attribute("aria-pressed") == "true"


def test_preset_glides_where_motion_is_welcome_and_yields_to_the_reader(open_explorer):
    explorer = open_explorer()
    explorer.page.emulate_media(reduced_motion="no-preference")
    explorer.button("Deep network").click()
    explorer.page.wait_for_function("document.querySelector('input[max=\"96\"]').value === '96'")
    assert explorer.position() == (96, 64)
    explorer.button("A short video").click()
    explorer.press("depth", "Home")
    explorer.page.wait_for_timeout(600)  # longer than the glide
    assert explorer.position()[0] == 0


def test_more_controls_change_dilution_and_sharpness(open_explorer):
    explorer = open_explorer()
    more = explorer.button("More")
    assert not explorer.slider("dilution_frames").is_visible()
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    start = explorer.numbers()
    explorer.press("dilution_frames", "ArrowLeft")
    diluted = explorer.numbers()
    assert diluted["exponent"] > start["exponent"]
    explorer.press("sharpness", "ArrowRight")
    assert explorer.numbers()["singularRatio"] > diluted["singularRatio"]


def test_measurement_is_drawn_named_compared_and_pale_elsewhere(open_explorer, measurement):
    explorer = open_explorer(measured=[measurement])
    page = explorer.page
    assert page.locator("[data-panel=profile] .book-widget-panel-plot .measured").count() == 3
    assert page.locator("[data-panel=surface] .measured").count() == 1
    legend = page.locator(".book-widget-panel-legend").inner_text()
    assert "random weights, L = 24, S = 64" in legend
    assert page.locator(".book-widget-readouts .measured .here").all_inner_texts() == ["0.50"]
    assert page.locator(".rank-explorer-map").count() == 2
    readout = page.locator(".book-widget-readouts .measured span")
    explorer.press("depth", "ArrowRight")
    explorer.settle()
    assert page.locator(".measured .here, g.here").count() == 0
    assert readout.inner_text().split("\n") == ["0.50", "L = 24, S = 64"]
    muted = page.locator(".book-widget-panel-hint").first.evaluate("e => getComputedStyle(e).color")
    marker = page.locator("[data-panel=profile] .book-widget-panel-plot .measured").first
    assert marker.evaluate("e => getComputedStyle(e).stroke") == muted
    assert readout.evaluate("e => getComputedStyle(e).color") == muted
    explorer.press("depth", "ArrowLeft")
    explorer.settle()
    assert readout.get_attribute("class") == "here"


@pytest.mark.parametrize("name", ["dilution_frames", "sharpness"])
def test_measurement_is_hidden_under_another_law(open_explorer, measurement, name):
    explorer = open_explorer(measured=[measurement])
    explorer.button("More").click()
    explorer.press(name, "ArrowRight")
    explorer.settle()
    assert explorer.page.locator("path.measured").count() == 0
    assert explorer.page.locator(".book-widget-readouts .measured span").count() == 0
    assert explorer.page.locator(".rank-explorer-map").count() == 1
    explorer.press(name, "ArrowLeft")
    explorer.settle()
    assert explorer.page.locator(".book-widget-readouts .measured .here").count() == 1


def test_no_measurement_draws_nothing(open_explorer):
    page = open_explorer().page
    assert page.locator("path.measured").count() == 0
    assert page.locator(".rank-explorer-map").count() == 1


def test_broken_state_shows_a_message_and_recovers(open_explorer):
    explorer = open_explorer(broken={"initial_sharpness": [0.9, 0.5, 0.4, 0.3]})
    assert "sharpness must be at least 0 and below 1/√2" in explorer.alert.inner_text()
    explorer.button("More").click()
    explorer.press("sharpness", "ArrowLeft")
    explorer.settle()
    assert not explorer.alert.is_visible()


def test_missing_state_shows_a_message_in_place_of_a_blank(open_explorer):
    explorer = open_explorer(broken={"presets": None})
    assert "This figure cannot be drawn" in explorer.alert.inner_text()

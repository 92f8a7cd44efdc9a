"""How the explorer looks: narrow and wide, light and dark, steady."""

import pytest

from tolerances import LEVEL_BOXES


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_explorer, measurement, width):
    explorer = open_explorer(width=width, measured=[measurement])
    explorer.button("More").click()
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for target in explorer.page.locator(".rank-explorer :is(button, input)").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_is_seen_at_once_on_a_wide_screen_and_keeps_its_height(open_explorer):
    explorer = open_explorer()
    box = explorer.page.locator(".rank-explorer").bounding_box()
    assert box["height"] <= 850  # of a window of 900, whatever the fonts
    explorer.button("Deep network").click()
    explorer.settle()
    assert explorer.page.locator(".rank-explorer").bounding_box() == box


@pytest.mark.parametrize("width", [640, 720, 900, 1280])
def test_sliders_side_by_side_are_level(open_explorer, width):
    explorer = open_explorer(width=width)
    explorer.button("More").click()
    for names in (("depth", "frames"), ("dilution_frames", "sharpness")):
        left, right = (explorer.slider(name).bounding_box() for name in names)
        assert left["x"] < right["x"]
        assert left["y"] == pytest.approx(right["y"], abs=LEVEL_BOXES)


def test_nothing_moves_when_a_measurement_is_left_behind(open_explorer, measurement):
    explorer = open_explorer(measured=[measurement])
    box = explorer.page.locator(".rank-explorer").bounding_box()
    explorer.press("depth", "ArrowRight")
    explorer.settle()
    assert explorer.page.locator(".rank-explorer").bounding_box() == box


def colours(explorer):
    """Colours of the paper, the ink, a drawn point and two canvases."""
    explorer.settle()
    return explorer.page.evaluate(
        """() => {
          const find = (selector) => document.querySelector(".rank-explorer " + selector);
          const pixel = (canvas) => canvas.getContext("2d").getImageData(0, 0, 1, 1).data.join();
          const root = getComputedStyle(document.querySelector(".rank-explorer"));
          return {
            paper: root.backgroundColor,
            ink: root.color,
            point: getComputedStyle(find("circle.theory")).fill,
            surface: pixel(find("[data-panel=surface] canvas")),
            attention: pixel(find(".rank-explorer-map canvas")),
          };
        }"""
    )


def test_colours_follow_the_theme_and_else_the_reader(open_explorer):
    explorer = open_explorer()
    light = colours(explorer)
    explorer.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    dark = colours(explorer)
    assert all(light[part] != dark[part] for part in light)
    explorer.page.evaluate("delete document.documentElement.dataset.theme")
    assert colours(explorer) == light
    explorer.page.emulate_media(color_scheme="dark")
    assert colours(explorer) == dark

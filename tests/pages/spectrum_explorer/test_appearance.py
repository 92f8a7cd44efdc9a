"""How the explorer looks: narrow and wide, light and dark, steady."""

import pytest

from tolerances import LEVEL_BOXES

LAWS = ["gaussian", "sphere"]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_explorer, width, law):
    explorer = open_explorer(width=width, law=law)
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    selector = ".spectrum-explorer :is(button, input[type=range], label span):visible"
    for target in explorer.page.locator(selector).all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_is_seen_at_once_on_a_wide_screen_and_keeps_its_height(open_explorer):
    explorer = open_explorer()
    explorer.settle()
    box = explorer.page.locator(".spectrum-explorer").bounding_box()
    assert box["height"] <= 850  # of a window of 900, whatever the fonts
    for preset in explorer.page.locator(".book-widget-presets button[aria-pressed]").all():
        preset.click()
        explorer.settle()
        assert explorer.page.locator(".spectrum-explorer").bounding_box() == box


@pytest.mark.parametrize("width", [640, 1280])
@pytest.mark.parametrize(
    ("law", "pair"), [("gaussian", ("a1", "a2")), ("sphere", ("concentration", "dimension"))]
)
def test_sliders_side_by_side_are_level(open_explorer, width, law, pair):
    explorer = open_explorer(width=width, law=law)
    left, right = (explorer.slider(name).bounding_box() for name in pair)
    assert left["x"] < right["x"]
    assert left["y"] == pytest.approx(right["y"], abs=LEVEL_BOXES)


@pytest.mark.parametrize("law", LAWS)
def test_ticks_stand_under_their_slider(open_explorer, law):
    explorer = open_explorer(law=law)
    for row in explorer.page.locator(".book-widget-slider:visible").all():
        box = row.bounding_box()
        for tick in row.locator(".book-widget-ticks span").all():
            centre = tick.bounding_box()["x"] + tick.bounding_box()["width"] / 2
            assert box["x"] <= centre <= box["x"] + box["width"]


def colours(explorer):
    """Colours of the paper, the ink, a drawn point, a sampled point and the canvas."""
    explorer.settle()
    return explorer.page.evaluate(
        """() => {
          const find = (selector) => document.querySelector(".spectrum-explorer " + selector);
          const root = getComputedStyle(document.querySelector(".spectrum-explorer"));
          const pixel = find("canvas").getContext("2d").getImageData(0, 0, 1, 1).data;
          return {
            paper: root.backgroundColor,
            ink: root.color,
            point: getComputedStyle(find("circle.theory")).fill,
            sample: getComputedStyle(find("path.measured")).stroke,
            attention: pixel.join(),
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

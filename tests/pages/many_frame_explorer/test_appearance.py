"""How the explorer looks: narrow and wide, light and dark, steady."""

import pytest

STATES = [("2", "none"), ("16", "none"), ("64", "none"), ("64", "bias")]


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_explorer, width):
    explorer = open_explorer(width=width)
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    selector = ".many-frame-explorer :is(button, input[type=range], label span):visible"
    for target in explorer.page.locator(selector).all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


@pytest.mark.parametrize("width", [390, 1280])
def test_keeps_its_height(open_explorer, width):
    explorer = open_explorer(width=width)
    boxes = []
    for frames, treatment in STATES:
        query = f"frames={frames}&treatment={treatment}"
        explorer.page.evaluate(f"location.hash = '#many-frame-explorer?{query}'")
        explorer.settle()
        boxes.append(explorer.page.locator(".many-frame-explorer").bounding_box()["height"])
    assert len(set(boxes)) == 1
    assert width < 1280 or boxes[0] <= 850  # of a window of 900, whatever the fonts


def tops(explorer):
    explorer.settle()
    panels = (explorer.panel(name) for name in ("errors", "shares", "ratios"))
    return [panel.locator("svg[role=img]").bounding_box()["y"] for panel in panels]


def test_panels_stand_side_by_side_where_there_is_room(open_explorer):
    assert len(set(tops(open_explorer()))) == 1
    narrow = tops(open_explorer(width=390))
    assert narrow == sorted(set(narrow))


@pytest.mark.parametrize("width", [390, 1280])
def test_text_of_the_plots_stays_inside(open_explorer, width):
    explorer = open_explorer(width=width, frames=64)
    frame = explorer.page.locator(".many-frame-explorer").bounding_box()
    for text in explorer.page.locator(".many-frame-explorer svg text").all():
        box = text.bounding_box()
        assert box["x"] >= frame["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]


def colours(explorer):
    """Colours of the paper, the ink, the chosen curve and the outlines of bars."""
    explorer.settle()
    return explorer.page.evaluate(
        """() => {
          const style = (part) => getComputedStyle(document.querySelector(part));
          return {
            paper: style(".many-frame-explorer").backgroundColor,
            ink: style(".many-frame-explorer").color,
            curve: style("path.chosen").stroke,
            other: style("path.curve:not(.chosen)").stroke,
            outline: style("rect.trained").stroke,
          };
        }"""
    )


def test_colours_follow_the_theme_and_else_the_reader(open_explorer):
    explorer = open_explorer()
    light = colours(explorer)
    assert light["curve"] != light["other"]
    explorer.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    dark = colours(explorer)
    assert all(light[part] != dark[part] for part in light)
    explorer.page.evaluate("delete document.documentElement.dataset.theme")
    assert colours(explorer) == light

"""How the explorer looks: narrow and wide, light and dark, steady."""

import math

import pytest

from tolerances import LEVEL_BOXES, SVG_LENGTH


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_explorer, width):
    explorer = open_explorer(width=width)
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    targets = ".collapse-surface :is(button, label:has([type=radio]), [type=range])"
    for target in explorer.page.locator(targets).all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_is_seen_at_once_on_a_wide_screen_and_keeps_its_height(open_explorer):
    explorer = open_explorer()
    box = explorer.page.locator(".collapse-surface").bounding_box()
    assert box["height"] <= 860  # of a window of 900, whatever the fonts
    explorer.button("Few frames").click()
    explorer.settle()
    assert explorer.page.locator(".collapse-surface").bounding_box() == box


@pytest.mark.parametrize("width", [640, 1280])
def test_sliders_side_by_side_are_level(open_explorer, width):
    explorer = open_explorer(width=width)
    for names in (("depth", "frames"), ("dilution_frames", "other_weight")):
        left, right = (explorer.slider(name).bounding_box() for name in names)
        assert left["x"] < right["x"]
        assert left["y"] == pytest.approx(right["y"], abs=LEVEL_BOXES)


def colours(explorer):
    """Colours of the paper, the ink, a particle and the law."""
    explorer.settle()
    return explorer.page.evaluate(
        """() => {
          const style = (selector) => getComputedStyle(document.querySelector(selector));
          return {
            paper: style(".collapse-surface").backgroundColor,
            ink: style(".collapse-surface").color,
            particles: style(".collapse-surface .particles").stroke,
            law: style(".collapse-surface path.law").stroke,
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
    explorer.page.emulate_media(color_scheme="dark")
    assert colours(explorer) == dark


def test_particles_lie_on_the_law_where_it_holds(open_explorer):
    """Drawn dots and the drawn law, in pixels: the panel shows the numbers, not only the text."""
    explorer = open_explorer(depth=400, frames=4096)
    explorer.settle()
    worst = explorer.panel("decay").evaluate(
        """panel => {
          const law = panel.querySelector("svg[role=img] path.law");
          const length = law.getTotalLength();
          const along = (_, index) => law.getPointAtLength(index / 799 * length);
          const points = Array.from({ length: 800 }, along);
          const gap = ({ cx, cy }) => Math.min(...points.map(({ x, y }) =>
            Math.hypot(x - cx.baseVal.value, y - cy.baseVal.value)));
          return Math.max(...[...panel.querySelectorAll("circle.measured")].map(gap));
        }"""
    )
    assert worst < 6


def test_present_particles_stand_at_their_spread_on_the_axis(open_explorer):
    explorer = open_explorer()
    spread = explorer.numbers()["spread"]
    one, floor, place = explorer.panel("decay").evaluate(
        """panel => {
          const grid = [...panel.querySelectorAll("line.grid")].map(({ y1 }) => y1.baseVal.value);
          return [grid[0], grid.at(-1), panel.querySelector("circle.now").cy.baseVal.value];
        }"""
    )
    assert place == pytest.approx(one + (floor - one) * math.log(spread, 1e-3), abs=SVG_LENGTH)

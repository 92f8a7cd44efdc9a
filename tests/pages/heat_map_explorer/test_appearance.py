"""How the explorer looks: narrow and wide, light and dark, steady."""

import pytest


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_explorer, width):
    explorer = open_explorer(width=width)
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    selector = ".heat-map-explorer :is(button, input[type=range], label span):visible"
    for target in explorer.page.locator(selector).all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_is_seen_at_once_on_a_wide_screen_and_keeps_its_height(open_explorer):
    explorer = open_explorer()
    explorer.settle()
    box = explorer.page.locator(".heat-map-explorer").bounding_box()
    assert box["height"] <= 850  # of a window of 900, whatever the fonts
    for frames in ("2", "4", "16"):
        explorer.choose(frames)
        assert explorer.page.locator(".heat-map-explorer").bounding_box() == box


def test_maps_lie_on_the_frames(open_explorer):
    explorer = open_explorer()
    explorer.settle()
    for frame in explorer.frames().all():
        picture = frame.locator("img").bounding_box()
        for part in ("canvas", "svg"):
            assert frame.locator(part).bounding_box() == pytest.approx(picture)


def colours(explorer):
    """Colours of the paper, the ink, and the shades of both maps."""
    explorer.settle()
    return explorer.page.evaluate(
        """() => {
          const root = document.querySelector(".heat-map-explorer");
          const shade = (name) => {
            const canvas = root.querySelector(`[data-panel="${name}"] canvas`);
            const context = canvas.getContext("2d");
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            const most = [...data.keys()].filter((at) => at % 4 === 3)
              .reduce((best, at) => (data[at] > data[best] ? at : best));
            return [...data.slice(most - 3, most)].join();
          };
          const style = getComputedStyle(root);
          return {
            paper: style.backgroundColor,
            ink: style.color,
            recorded: shade("recorded"),
            predicted: shade("predicted"),
          };
        }"""
    )


def test_colours_follow_the_theme_and_else_the_reader(open_explorer):
    explorer = open_explorer()
    light = colours(explorer)
    assert light["recorded"] != light["predicted"]
    explorer.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    dark = colours(explorer)
    assert all(light[part] != dark[part] for part in light)
    explorer.page.evaluate("delete document.documentElement.dataset.theme")
    assert colours(explorer) == light

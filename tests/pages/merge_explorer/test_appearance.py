"""How the explorer looks: narrow and wide, light and dark, steady."""

from pathlib import Path

import pydata_sphinx_theme
import pytest

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static/styles"
BOOK = Path(__file__).parents[3] / "book/static/book.css"


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_explorer, width):
    explorer = open_explorer(width=width)
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    selector = ".merge-explorer :is(button, input[type=range], label span):visible"
    for target in explorer.page.locator(selector).all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_is_seen_at_once_on_a_wide_screen_and_keeps_its_height(open_explorer):
    explorer = open_explorer()
    explorer.settle()
    box = explorer.page.locator(".merge-explorer").bounding_box()
    assert box["height"] <= 850  # of a window of 900, whatever the fonts
    for preset in explorer.page.locator(".book-widget-presets button[aria-pressed]").all():
        preset.click()
        explorer.settle()
        assert explorer.page.locator(".merge-explorer").bounding_box() == box


def test_marks_lie_on_the_frames(open_explorer):
    explorer = open_explorer()
    explorer.settle()
    for picture, overlay in zip(
        explorer.page.locator(".merge-explorer-frame img").all(),
        explorer.overlays.all(),
        strict=True,
    ):
        assert picture.bounding_box() == pytest.approx(overlay.bounding_box())


def colours(explorer):
    """Colours of the paper, the ink, the law and the marks of the flow."""
    explorer.settle()
    return explorer.page.evaluate(
        """() => {
          const find = (selector) => document.querySelector(".merge-explorer " + selector);
          const root = getComputedStyle(document.querySelector(".merge-explorer"));
          return {
            paper: root.backgroundColor,
            ink: root.color,
            law: getComputedStyle(find("path.law")).stroke,
            marks: getComputedStyle(find("path.measured")).stroke,
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


def test_the_theme_leaves_the_frames_as_they_are_on_dark_pages(open_explorer):
    page = open_explorer(theme="dark").page
    page.evaluate(
        """() => {
          const widget = document.querySelector(".book-widget");
          const cell = document.createElement("div");
          document.documentElement.dataset.theme = "dark";
          document.body.classList.add("bd-content");
          cell.className = "cell_output";
          widget.replaceWith(cell);
          cell.append(widget);
        }"""
    )

    def drawn():
        return page.evaluate(
            """() => {
              const frame = document.querySelector(".merge-explorer-frame img");
              const { padding, filter } = getComputedStyle(frame);
              return [padding, filter];
            }"""
        )

    page.add_style_tag(path=THEME / "pydata-sphinx-theme.css")
    assert drawn() != ["0px", "none"]
    page.add_style_tag(path=BOOK)
    assert drawn() == ["0px", "none"]

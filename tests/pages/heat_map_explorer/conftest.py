"""The heat-map explorer on a page of its own: no kernel, the network closed."""

import pytest

from attention_collapse.widgets.heat_map_explorer import HeatMapExplorer
from pages.widget_page import WidgetPage
from widgets.heat_map_scene import heat_map_explorer

LABELS = {"layer": "Global layer", "head": "Head"}


class ExplorerPage(WidgetPage):
    """A page with one heat-map explorer."""

    def __init__(self, page):
        super().__init__(page, HeatMapExplorer._esm, LABELS)
        self.surface = page.get_by_role("group", name="Attention over the frames", exact=False)
        self.sentence = page.locator(".book-widget-sentence")

    def frames(self, name="recorded"):
        """The frames of one panel, ``recorded`` or ``predicted``."""
        return self.page.locator(f'[data-panel="{name}"] .heat-map-explorer-frame')

    def choose(self, label):
        """Click a radio button, which a label covers."""
        self.radio(label).check(force=True)
        self.settle()

    def shades(self, name="recorded"):
        """Opacity of every patch of every frame of one panel, from 0 to 255."""
        self.settle()
        return (
            self.frames(name)
            .locator("canvas")
            .evaluate_all(
                """canvases => canvases.map((canvas) => [...canvas.getContext("2d")
              .getImageData(0, 0, canvas.width, canvas.height).data]
              .filter((_, index) => index % 4 === 3))"""
            )
        )

    def query(self):
        """Which query the address names, after a change."""
        self.page.wait_for_function("location.hash.includes('query=')")
        return int(self.page.evaluate("location.hash").rpartition("query=")[2])


@pytest.fixture
def open_explorer(open_widget):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = heat_map_explorer(**traits).get_state() | (broken or {})
        return ExplorerPage(open_widget(state, at=at, theme=theme, width=width))

    return open_page

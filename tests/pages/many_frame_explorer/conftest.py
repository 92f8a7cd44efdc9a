"""The many-frame explorer on a page of its own: no kernel, the network closed."""

import pytest

from attention_collapse.widgets.many_frame_explorer import ManyFrameExplorer
from pages.widget_page import WidgetPage
from widgets.many_frame_scene import many_frame_explorer

LABELS = {"frames": "Frames S"}


class ExplorerPage(WidgetPage):
    """A page with one many-frame explorer."""

    def __init__(self, page):
        super().__init__(page, ManyFrameExplorer._esm, LABELS)
        self.sentence = page.locator(".book-widget-sentence")

    def panel(self, name):
        """One of the panels: ``errors``, ``shares`` or ``ratios``."""
        return self.page.locator(f'[data-panel="{name}"]')

    def choose(self, label):
        """Click a radio button, which a label covers."""
        self.radio(label).check(force=True)
        self.settle()

    def heights(self, name, bars):
        """Heights in pixels of the bars of a panel, ``now`` or ``trained``."""
        self.settle()
        rectangles = self.panel(name).locator(f"rect.{bars}")
        return rectangles.evaluate_all(
            "all => all.map((one) => Number(one.getAttribute('height')))"
        )


@pytest.fixture
def open_explorer(open_widget):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = many_frame_explorer(**traits).get_state() | (broken or {})
        return ExplorerPage(open_widget(state, at=at, theme=theme, width=width))

    return open_page

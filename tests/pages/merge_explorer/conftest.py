"""The merge explorer on a page of its own: no kernel, the network closed."""

import pytest

from attention_collapse.widgets.merge_explorer import MergeExplorer
from pages.widget_page import WidgetPage

LABELS = {"ratio": "Tokens to remove"}


class ExplorerPage(WidgetPage):
    """A page with one merge explorer."""

    def __init__(self, page):
        super().__init__(page, MergeExplorer._esm, LABELS)
        self.note = page.locator(".merge-explorer-note")
        self.sentence = page.locator(".book-widget-sentence")
        self.frames = page.get_by_role("group", name="Frames", exact=False)
        self.overlays = page.locator(".merge-explorer-frame svg")

    def choose(self, label):
        """Click a radio button, which a label covers."""
        self.radio(label).check(force=True)
        self.settle()


@pytest.fixture
def open_explorer(open_widget):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = MergeExplorer(**traits).get_state() | (broken or {})
        return ExplorerPage(open_widget(state, at=at, theme=theme, width=width))

    return open_page

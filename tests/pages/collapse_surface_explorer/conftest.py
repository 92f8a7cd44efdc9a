"""The collapse surface explorer on a page of its own: no kernel, the network closed."""

import pytest

from attention_collapse.widgets.collapse_surface_explorer import CollapseSurfaceExplorer
from pages.widget_page import WidgetPage

LABELS = {
    "depth": "Depth L",
    "frames": "Frames S",
    "dilution_frames": "Dilution frames S∗",
    "other_weight": "Weight of non-matches f: merging",
}


class ExplorerPage(WidgetPage):
    """A page with one collapse surface explorer."""

    def count(self, name):
        """The whole number that a slider says."""
        return int(self.said(name).split()[0])

    def panel(self, name):
        """One panel of the explorer."""
        return self.page.locator(f".collapse-surface [data-panel={name}]")


@pytest.fixture
def open_explorer(open_widget):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", width=1280, motion="reduce", broken=None, **traits):
        state = CollapseSurfaceExplorer(**traits).get_state() | (broken or {})
        page = open_widget(state, at=at, width=width, motion=motion)
        return ExplorerPage(page, CollapseSurfaceExplorer._esm, LABELS)

    return open_page

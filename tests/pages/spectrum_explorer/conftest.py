"""The spectrum explorer on a page of its own: no kernel, the network closed."""

import pytest

from attention_collapse.widgets.spectrum_explorer import SpectrumExplorer
from pages.widget_page import WidgetPage

LABELS = {
    "a1": "Sharpness a1",
    "a2": "Sharpness a2",
    "a3": "Sharpness a3",
    "concentration": "Concentration κ",
    "dimension": "Dimension d",
    "tokens": "Tokens N of the sample",
}


class ExplorerPage(WidgetPage):
    """A page with one spectrum explorer."""

    def __init__(self, page):
        super().__init__(page, SpectrumExplorer._esm, LABELS)
        self.limits = page.locator(".spectrum-explorer-limits")
        self.panel = page.locator('.spectrum-explorer [data-panel="profile"]')

    def settle(self):
        """Wait until what was asked for is drawn, a large sample too."""
        super().settle()
        self.page.wait_for_function("document.querySelector('.stale') === null")

    def stands(self, *names):
        """What several sliders say they stand at."""
        return [self.said(name) for name in names]

    def numbers(self, which):
        """The ``closed`` or ``sample`` numbers that the page shows, in full precision."""
        return super().numbers()[which]


@pytest.fixture
def open_explorer(open_widget):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = SpectrumExplorer(**traits).get_state() | (broken or {})
        return ExplorerPage(open_widget(state, at=at, theme=theme, width=width))

    return open_page

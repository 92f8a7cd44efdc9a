"""The rank explorer on a page of its own: no kernel, the book's host, the network closed."""

import pytest

from attention_collapse.widgets.rank_explorer import RankExplorer
from pages.widget_page import WidgetPage

LABELS = {
    "depth": "Depth L",
    "frames": "Frames S",
    "dilution_frames": "Dilution frames S∗: frames at which the exponent is ½",
    "sharpness": "Leading sharpness a1",
}


class ExplorerPage(WidgetPage):
    """A page with one rank explorer."""

    def position(self):
        """Depth and number of frames that the sliders say."""
        return tuple(int(self.said(name).split()[0]) for name in ("depth", "frames"))


@pytest.fixture
def open_explorer(open_widget):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = RankExplorer(**traits).get_state() | (broken or {})
        page = open_widget(state, at=at, theme=theme, width=width)
        return ExplorerPage(page, RankExplorer._esm, LABELS)

    return open_page


@pytest.fixture
def measurement():
    """What a kernel could have measured at the explorer's initial state."""
    return {
        "depth": 24,
        "frames": 64,
        "label": "random weights",
        "singular_values": [8.0, 4.0, 2.0],
        "singular_ratio": 0.5,
        "heat": [[0.5, 0.5], [0.9, 0.1]],
    }

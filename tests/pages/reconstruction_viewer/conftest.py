"""The reconstruction viewer on a page of its own: no kernel, the network closed."""

import pytest

from attention_collapse.widgets.reconstruction_viewer import ReconstructionViewer
from pages.widget_page import WidgetPage
from widgets.viewer_scene import orbit_viewer

INK = """canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.filter((value, index) => index % 4 === 3 && value > 0).length
    / (canvas.width * canvas.height);
}"""


class ViewerPage(WidgetPage):
    """A page with one reconstruction viewer."""

    def __init__(self, page):
        super().__init__(page, ReconstructionViewer._esm, {})
        self.note = page.locator(".reconstruction-viewer-note")
        self.surface = page.get_by_role("group", name="Scene in space", exact=False)

    def canvas(self, name):
        """The picture of one cloud, ``predicted`` or ``true``."""
        return self.page.locator(f'[data-panel="{name}"] canvas')

    def view(self):
        """Where the reader looks from."""
        return self.numbers()["view"]

    def wait_for_view(self, condition):
        """Wait until the view meets a condition such as ``zoom > 1``."""
        sentence = "document.querySelector('.book-widget-sentence')"
        self.page.wait_for_function(f"JSON.parse({sentence}.dataset.view).{condition}")

    def choose(self, label):
        """Click a radio button, which a label covers."""
        self.radio(label).check(force=True)
        self.settle()

    def picture(self, name="predicted"):
        """The pixels of one picture."""
        self.settle()
        return self.canvas(name).evaluate("canvas => canvas.toDataURL()")

    def inked(self, name="predicted"):
        """Share of the pixels of one picture that are painted."""
        self.settle()
        return self.canvas(name).evaluate(INK)


@pytest.fixture(scope="session")
def states():
    """State of the viewer of a small orbit with some traits, each made once."""
    made = {}

    def state(**traits):
        key = tuple(sorted(traits.items()))
        if key not in made:
            made[key] = orbit_viewer(**traits).get_state()
        return made[key]

    return state


@pytest.fixture
def open_viewer(open_widget, states):
    """A function that shows a viewer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, motion="reduce", broken=None, **traits):
        state = states(**traits) | (broken or {})
        return ViewerPage(open_widget(state, at=at, theme=theme, width=width, motion=motion))

    return open_page

"""The spectrum explorer on a page of its own: no kernel, the book's host, the network closed."""

import json
from pathlib import Path

import pytest

from attention_collapse.widgets.spectrum_explorer import SpectrumExplorer

HOST = Path(__file__).resolve().parents[3] / "book" / "static" / "widget-host.js"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
LABELS = {
    "a1": "Sharpness a1",
    "a2": "Sharpness a2",
    "a3": "Sharpness a3",
    "concentration": "Concentration κ",
    "dimension": "Dimension d",
    "tokens": "Tokens N of the sample",
}
PAGE = """<!doctype html>
<html data-theme="{theme}">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>.</title>
<main style="max-width: 45rem"><div class="widget-figure">
<script type="{view}">{{"model_id": "explorer"}}</script></div></main>
<script type="{state_type}">{state}</script><script defer src="{host}"></script>
"""


class ExplorerPage:
    """What a reader sees of one explorer and can do with it."""

    def __init__(self, page):
        self.page = page
        self.alert = page.get_by_role("alert")
        self.status = page.get_by_role("status")
        self.limits = page.locator(".spectrum-explorer-limits")
        self.panel = page.locator('.spectrum-explorer [data-panel="profile"]')

    def slider(self, name):
        """The slider of one quantity, see ``LABELS``."""
        return self.page.get_by_role("slider", name=LABELS[name], exact=True)

    def button(self, name):
        """The button with this text."""
        return self.page.get_by_role("button", name=name, exact=True)

    def law(self, name):
        """The radio button of a law."""
        return self.page.get_by_role("radio", name=name, exact=True)

    def press(self, name, key, *, times=1):
        """Press a key on a slider."""
        self.slider(name).focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def settle(self):
        """Wait until what was asked for is drawn, a large sample too."""
        self.page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        self.page.wait_for_function("document.querySelector('.stale') === null")

    def numbers(self, which):
        """The ``closed`` or ``sample`` numbers that the page shows, in full precision."""
        self.settle()
        sentence = self.page.locator(".book-widget-sentence")
        return json.loads(sentence.get_attribute(f"data-{which}"))

    def said(self, *names):
        """What sliders say they stand at."""
        self.settle()
        return [self.slider(name).get_attribute("aria-valuetext") for name in names]

    def call(self, *calls):
        """Results of exported functions of the script, each given as (name, *arguments)."""
        return self.page.evaluate(
            """async ([script, calls]) => {
              const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
              const module = await import(url);
              return calls.map(([name, ...given]) => module[name](...given));
            }""",
            [str(SpectrumExplorer._esm), calls],
        )


@pytest.fixture
def open_explorer(new_page, tmp_path):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = SpectrumExplorer(**traits).get_state() | (broken or {})
        records = {"state": {"explorer": {"model_module": "anywidget", "state": state}}}
        path = tmp_path / "page.html"
        path.write_text(
            PAGE.format(
                theme=theme,
                view=VIEW,
                state_type=STATE,
                state=json.dumps(records).replace("</", "<\\/"),
                host=HOST.as_uri(),
            )
        )
        page = new_page(width=width)
        page.emulate_media(reduced_motion="reduce")
        page.goto(path.as_uri() + at)
        page.locator(".widget-figure[data-state=ready]").wait_for()
        return ExplorerPage(page)

    return open_page

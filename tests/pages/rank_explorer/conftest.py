"""The rank explorer on a page of its own: no kernel, the book's host, the network closed."""

import json
from pathlib import Path

import pytest

from attention_collapse.widgets.rank_explorer import RankExplorer

HOST = Path(__file__).resolve().parents[3] / "book" / "static" / "widget-host.js"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
LABELS = {
    "depth": "Depth L",
    "frames": "Frames S",
    "dilution_frames": "Dilution frames S∗: frames at which the exponent is ½",
    "sharpness": "Leading sharpness a1",
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

    def slider(self, name):
        """The slider of one quantity, see ``LABELS``."""
        return self.page.get_by_role("slider", name=LABELS[name], exact=True)

    def button(self, name):
        """The button with this text."""
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name, key, *, times=1):
        """Press a key on a slider."""
        self.slider(name).focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def settle(self):
        """Wait until what was asked for is drawn."""
        self.page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def numbers(self):
        """The numbers that the page shows, in full precision, by their names in the script."""
        self.settle()
        sentence = self.page.locator(".rank-explorer-sentence")
        data = sentence.evaluate("sentence => ({...sentence.dataset})")
        return {name: json.loads(text) for name, text in data.items()}

    def position(self):
        """Depth and number of frames that the sliders say."""
        self.settle()
        said = [self.slider(name).get_attribute("aria-valuetext") for name in ("depth", "frames")]
        return tuple(int(text.split()[0]) for text in said)

    def call(self, *calls):
        """Results of exported functions of the script, each given as (name, *arguments)."""
        return self.page.evaluate(
            """async ([script, calls]) => {
              const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
              const module = await import(url);
              return calls.map(([name, ...given]) => module[name](...given));
            }""",
            [str(RankExplorer._esm), calls],
        )


@pytest.fixture
def open_explorer(new_page, tmp_path):
    """A function that shows an explorer with the given traits and waits until it stands.

    ``at`` is the fragment of the address; ``broken`` replaces parts of the state behind the back
    of the Python side.
    """

    def open_page(*, at="", theme="light", width=1280, broken=None, **traits):
        state = RankExplorer(**traits).get_state() | (broken or {})
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

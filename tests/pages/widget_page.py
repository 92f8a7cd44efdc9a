"""One widget on a page of its own, without a kernel: what a reader sees of it and can do."""

import json
from pathlib import Path

HOST = Path(__file__).resolve().parents[2] / "book" / "static" / "widget-host.js"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
PAGE = """<!doctype html>
<html data-theme="{theme}">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>.</title>
<main style="max-width: 45rem"><div class="widget-figure">
<script type="{view}">{{"model_id": "widget"}}</script></div></main>
<script type="{state_type}">{state}</script><script defer src="{host}"></script>
"""


def page_of(state, *, theme="light"):
    """HTML of a page that shows one widget with this state under the book's host."""
    records = {"state": {"widget": {"model_module": "anywidget", "state": state}}}
    return PAGE.format(
        theme=theme,
        view=VIEW,
        state_type=STATE,
        state=json.dumps(records).replace("</", "<\\/"),
        host=HOST.as_uri(),
    )


class WidgetPage:
    """What a reader sees of one widget and can do with it; ``labels`` are those of its sliders."""

    def __init__(self, page, script, labels):
        self.page = page
        self.script = str(script)
        self.labels = labels
        self.alert = page.get_by_role("alert")
        self.status = page.get_by_role("status")

    def slider(self, name):
        """The slider of one quantity, see ``labels``."""
        return self.page.get_by_role("slider", name=self.labels[name], exact=True)

    def button(self, name):
        """The button with this text."""
        return self.page.get_by_role("button", name=name, exact=True)

    def radio(self, name):
        """The radio button with this label."""
        return self.page.get_by_role("radio", name=name, exact=True)

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

    def said(self, name):
        """What the slider of one quantity says it stands at."""
        self.settle()
        return self.slider(name).get_attribute("aria-valuetext")

    def numbers(self):
        """The numbers that the page shows, in full precision, by their names in the script."""
        self.settle()
        sentence = self.page.locator(".book-widget-sentence")
        data = sentence.evaluate("sentence => ({...sentence.dataset})")
        return {name: json.loads(text) for name, text in data.items()}

    def call(self, *calls):
        """Results of exported functions of the script, each given as (name, *arguments)."""
        return self.page.evaluate(
            """async ([script, calls]) => {
              const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
              const module = await import(url);
              return calls.map(([name, ...given]) => module[name](...given));
            }""",
            [self.script, calls],
        )

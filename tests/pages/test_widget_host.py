"""The widget host alone, on a page made here: what it gives a module, and its messages."""

import base64
import json
from pathlib import Path

import pytest

HOST = Path(__file__).resolve().parents[2] / "book" / "static" / "widget-host.js"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"

# Shows one number and the last byte of a binary trait; a click adds one to the number.
COUNTER = """
export default {
  initialize({ model }) { model.set("started", (model.get("started") ?? 0) + 1); },
  render({ model, el }) {
    el.innerHTML = "<button></button>";
    const button = el.firstChild;
    const show = () => {
      const bytes = model.get("bytes");
      button.textContent = [model.get("count"), model.get("started"),
        bytes.getUint8(bytes.byteLength - 1), el.isConnected && el.clientWidth > 0].join(" ");
    };
    button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
    model.on("change:count", show);
    show();
  },
};
"""
RECORDS_EVENTS = """
export default {
  render({ model, el }) {
    const log = (text) => { el.textContent += text + ";"; };
    const count = (source, value) => log(`count ${value} ${source.get("count")}`);
    model.on("change:count change:list", count);
    model.on("change", () => log("change"));
    model.set("count", 1);                   // as it was: no event
    model.set("list", [1, { a: 2 }]);        // equal: no event
    model.set({ count: 2, list: [1] });      // two events, then one for both
    model.off("change:count", count);
    model.set("count", 3);
    model.off("change change:list");
    model.set("list", [2]);
    model.on("change:count", count);
    model.off();
    model.set("count", 4);
    log(`end ${model.get("count")}`);
  },
};
"""


def anywidget_record(esm, *, binary=None, **attributes):
    """One widget as a notebook stores it."""
    record = {"model_module": "anywidget", "state": {"_esm": esm, **attributes}}
    if binary is not None:
        data = base64.b64encode(binary).decode()
        record["buffers"] = [{"path": ["bytes"], "data": data, "encoding": "base64"}]
    return record


@pytest.fixture
def open_figures(new_page, tmp_path):
    """A function that opens a page with the given widgets, shown in the order of ``shown``."""

    def open_records(records, shown, *, watched=True):
        figures = "".join(
            f'<div class="widget-figure"><script type="{VIEW}">'
            f'{json.dumps({"model_id": name})}</script><img class="widget-poster" alt=""></div>'
            for name in shown
        )
        state = f'<script type="{STATE}">{json.dumps({"state": records})}</script>'
        host = f'<script defer src="{HOST.as_uri()}"></script>'
        path = tmp_path / "page.html"
        path.write_text(f"<!doctype html><title>.</title>{state}{host}{figures}")
        page = new_page(watched=watched)
        page.goto(path.as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.widget-figure')]"
            ".every(({ dataset }) => !['waiting', 'loading'].includes(dataset.state))"
        )
        return page

    return open_records


def test_each_widget_has_its_own_model_and_its_views_share_it(open_figures):
    records = {
        "first": anywidget_record(COUNTER, binary=b"\x00\x07", count=1),
        "second": anywidget_record(COUNTER, binary=b"\x09", count=5),
    }
    page = open_figures(records, ["first", "second", "first"])
    buttons = page.locator("button")
    assert buttons.all_inner_texts() == ["1 1 7 true", "5 1 9 true", "1 1 7 true"]
    buttons.first.click()
    assert buttons.all_inner_texts() == ["2 1 7 true", "5 1 9 true", "2 1 7 true"]


def test_ready_figure_replaces_its_still_image(open_figures):
    page = open_figures({"only": anywidget_record(COUNTER, binary=b"\x01", count=0)}, ["only"])
    figure = page.locator(".widget-figure")
    assert figure.get_attribute("data-state") == "ready"
    assert figure.locator(".widget-poster").count() == 0


def test_module_may_be_made_by_a_function_and_style_is_added_once(open_figures):
    esm = "export default async () => ({ render({ el }) { el.textContent = 'made'; } });"
    records = {name: anywidget_record(esm, _css="body { color: red }") for name in "ab"}
    page = open_figures(records, ["a", "b"])
    assert page.locator(".widget-view").all_inner_texts() == ["made", "made"]
    assert page.locator("style").count() == 1


def test_change_events_are_those_of_a_live_model(open_figures):
    record = anywidget_record(RECORDS_EVENTS, count=1, list=[1, {"a": 2}])
    page = open_figures({"log": record}, ["log"])
    expected = "count 2 2;count 1 2;change;change;end 4;"
    assert page.locator(".widget-view").inner_text() == expected


def test_plain_ipywidget_asks_for_a_kernel(open_figures):
    slider = {"model_module": "@jupyter-widgets/controls", "state": {"value": 3}}
    page = open_figures({"slider": slider}, ["slider"])
    figure = page.locator(".widget-figure")
    assert figure.get_attribute("data-state") == "needs-kernel"
    assert "needs a running kernel" in figure.inner_text()


@pytest.mark.parametrize(
    ("esm", "reason"),
    [
        ("export default { render() { throw new Error('no canvas'); } };", "no canvas"),
        ("export default { async initialize() { throw 'too early'; } };", "too early"),
        ("export default {", "Unexpected end of input"),
    ],
)
def test_failing_widget_keeps_its_still_image_and_says_why(open_figures, esm, reason):
    records = {
        "bad": anywidget_record(esm),
        "good": anywidget_record(COUNTER, binary=b"1", count=0),
    }
    page = open_figures(records, ["bad", "good"], watched=False)
    bad, good = page.locator(".widget-figure").all()
    assert bad.get_attribute("data-state") == "error"
    assert bad.locator(".widget-poster").count() == 1
    assert "could not start" in bad.inner_text()
    assert reason in bad.inner_text()
    assert good.get_attribute("data-state") == "ready"


def test_widget_far_below_waits_until_the_reader_comes_near(new_page, tmp_path):
    record = {"far": anywidget_record(COUNTER, binary=b"1", count=0)}
    (tmp_path / "page.html").write_text(
        f'<!doctype html><script type="{STATE}">{json.dumps({"state": record})}</script>'
        f'<script defer src="{HOST.as_uri()}"></script><div style="height: 5000px"></div>'
        f'<div class="widget-figure"><script type="{VIEW}">{{"model_id": "far"}}</script></div>'
    )
    page = new_page()
    page.goto((tmp_path / "page.html").as_uri())
    figure = page.locator(".widget-figure")
    page.wait_for_timeout(200)
    assert figure.get_attribute("data-state") == "waiting"
    page.evaluate("scrollTo(0, 5000)")
    page.wait_for_function("document.querySelector('.widget-figure').dataset.state === 'ready'")

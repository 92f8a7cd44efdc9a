"""The rank explorer in JupyterLab: ipywidgets 8 and a live kernel that measures."""

import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request

import nbformat
import pytest
from playwright.sync_api import expect

TOKEN = "explorer"
PATIENCE = 60  # s; a busy machine starts servers and kernels slowly
CELLS = (
    # torch measures the singular values. Two more numbers tell where and under which law.
    """
    from attention_collapse.experiments import landmark_flow

    def measure(depth, frames, surface):
        if frames == 13:
            raise RuntimeError("no room for 13 frames")
        flow = landmark_flow.measure_at(depth, frames, surface)
        return {"depth": flow["depth"], "frames": flow["frames"], "label": "torch",
                "singular_values": flow["singular_values"],
                "singular_ratio": depth + frames / 100,
                "stable_rank": surface.dilution_frames}
    """,
    """
    from attention_collapse.widgets.rank_explorer import RankExplorer
    explorer = RankExplorer(depth=24, frames=15)
    explorer
    """,
    "explorer.attach(measure)",
)


@pytest.fixture
def notebook_address(tmp_path):
    """Address of a notebook with ``CELLS``, on a JupyterLab server of its own."""
    sources = [textwrap.dedent(source).strip() for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "explorer.ipynb")
    port = free_port()
    with open(tmp_path / "server.log", "w") as log:
        server = subprocess.Popen(
            server_command(port, tmp_path), env=server_environment(tmp_path), stdout=log, stderr=log
        )
        try:
            wait_until_served(server, port, tmp_path / "server.log")
            yield f"http://127.0.0.1:{port}/lab/tree/explorer.ipynb?token={TOKEN}"
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_command(port, folder):
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": TOKEN,
        "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *flags]


def server_environment(folder):
    """The reader's own settings stay out of the test, and the test out of the reader's."""
    folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    own = {f"JUPYTER_{name}": str(folder / name) for name in folders}
    own["JUPYTERLAB_SETTINGS_DIR"] = own["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "lab")
    return os.environ | own


def wait_until_served(server, port, log):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={TOKEN}").close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture
def page(browser, notebook_address):
    """The notebook in Chromium, all cells run."""
    # Tall enough for all cells: JupyterLab takes those out of sight off the page.
    page = browser.new_page(viewport={"width": 1280, "height": 2000})
    page.set_default_timeout(1000 * PATIENCE)
    expect.set_options(timeout=1000 * PATIENCE)
    page.goto(notebook_address)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".book-widget-sentence").wait_for()
    page.locator(".widget-slider").nth(1).wait_for()
    yield page
    expect.set_options(timeout=None)
    page.close()


def expect_state(page, depth, frames):
    """The explorer, the linked sliders and the measurement all stand at one place."""
    expect(slider(page, "Depth L")).to_have_attribute("aria-valuetext", f"{depth} layers")
    expect(slider(page, "Frames S")).to_have_attribute("aria-valuetext", f"{frames} frames")
    expect(page.locator(".widget-readout").nth(0)).to_have_text(str(depth))
    expect(page.locator(".widget-readout").nth(1)).to_have_text(str(frames))
    legend = page.locator(".book-widget-panel-legend")
    expect(legend).to_contain_text(f"torch, L = {depth}, S = {frames}")
    expect(page.locator(".book-widget-readouts .measured .here")).to_have_count(2)


def expect_measured(page, texts):
    """What is measured at the present state, readout by readout."""
    expect(page.locator(".book-widget-readouts .measured .here")).to_have_text(texts)


def slider(page, label):
    return page.get_by_role("slider", name=label, exact=True)


def enter(page, index, value):
    """Type a value beside an ``IntSlider``: the first is for depth, the second for frames."""
    page.locator(".widget-readout").nth(index).click()
    page.keyboard.press("Control+a")
    page.keyboard.type(str(value))
    page.keyboard.press("Enter")


def effective_rank(page):
    return float(page.locator(".book-widget-sentence").get_attribute("data-effective-rank"))


def test_page_and_kernel_move_each_other(page):
    """One test, because a server with a kernel takes long to start."""
    linked_slider_moves_explorer_and_measurement(page)
    own_controls_move_kernel(page)
    failed_measurement_is_reported_until_the_next(page)
    colours_follow_theme_and_no_address_is_offered(page)


def linked_slider_moves_explorer_and_measurement(page):
    expect_state(page, 24, 15)
    expect_measured(page, ["24", "64.00"])
    start = effective_rank(page)
    enter(page, 0, 40)
    expect_state(page, 40, 15)
    assert effective_rank(page) < start


def own_controls_move_kernel(page):
    """JupyterLab leaves the arrow keys to the slider; a preset is measured once it stands."""
    slider(page, "Depth L").focus()
    page.keyboard.press("ArrowRight")
    expect_state(page, 41, 15)
    page.get_by_role("button", name="A short video").click()
    expect_state(page, 24, 8)
    page.get_by_role("button", name="Matches everywhere").click()
    expect_state(page, 24, 512)
    expect_measured(page, ["29", "1024"])
    page.get_by_role("button", name="A short video").click()
    expect_state(page, 24, 8)


def failed_measurement_is_reported_until_the_next(page):
    enter(page, 1, 13)
    error = page.locator(".book-widget-error")
    expect(error).to_contain_text("RuntimeError: no room for 13 frames")
    expect(page.locator("path.measured")).to_have_count(0)
    slider(page, "Frames S").focus()
    page.keyboard.press("ArrowRight")
    expect_state(page, 24, 14)
    expect(error).to_be_hidden()


def colours_follow_theme_and_no_address_is_offered(page):
    explorer = page.locator(".rank-explorer")
    light = explorer.evaluate("explorer => getComputedStyle(explorer).backgroundColor")
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    dark = explorer.evaluate("explorer => getComputedStyle(explorer).backgroundColor")
    assert light != dark
    assert page.get_by_role("button", name="Copy link").count() == 0
    assert "rank-explorer?" not in page.url

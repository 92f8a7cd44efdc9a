"""Fixtures for tests of the built pages in Chromium with the network closed.

``open_page`` opens a page of the book from disk or through a local server. When the test
ends it fails for any request that left this machine, any failed request, any console error
and any uncaught exception: a page test cannot pass on a page that complains.
"""

import functools
import http.server
import re
import threading
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from find_browser import INSTALL_COMMAND, find_browser
from pages.widget_page import page_of

BOOK = Path(__file__).resolve().parents[2] / "_build" / "html"
# Requests that would leave this machine: every web or socket address but the local ones.
OUTSIDE = re.compile(r"^(https?|wss?)://(?!(127\.0\.0\.1|localhost)[:/])")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files without writing a log line for each."""

    def log_message(self, *args):
        """Stay silent."""


@pytest.fixture(scope="session")
def book():
    """The folder of the built pages."""
    if not (BOOK / "index.html").is_file():
        pytest.fail("the book is not built: run 'make book'")
    return BOOK


@pytest.fixture(scope="session")
def serve():
    """A function that serves a folder on this machine and returns its address."""
    servers = []

    def start(folder):
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def addresses(book, serve):
    """Where the book is read: ``file`` from disk, ``http`` from a local server."""
    return {"file": book.as_uri(), "http": serve(book)}


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests, its profile fresh and its name resolution closed."""
    with sync_playwright() as playwright:
        executable = find_browser(playwright.chromium.executable_path)
        if executable is None:
            pytest.fail(f"no Chromium to test the pages with: run '{INSTALL_COMMAND}'")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """A function that opens an empty tab; its faults fail the test when it ends.

    With ``watched=False`` only outside requests are stopped: for pages that shall complain.
    """
    contexts, faults = [], []

    def new(*, width=1280, colour="light", watched=True):
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, color_scheme=colour)
        contexts.append(context)
        context.route(OUTSIDE, lambda route: route.abort())
        page = context.new_page()
        if watched:
            record_faults(page, faults)
        return page

    yield new
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def record_faults(page, faults):
    """Append what goes wrong on ``page`` to ``faults``, one line each."""

    def on_request(request):
        if OUTSIDE.match(request.url):
            faults.append(f"request that leaves this machine: {request.url}")

    def on_response(response):
        if response.status >= 400:
            faults.append(f"HTTP {response.status}: {response.url}")

    def on_console(message):
        if message.type == "error":
            faults.append(f"console error: {message.text} {message.location}")

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: faults.append(f"failed request: {request.url}"))
    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(f"uncaught exception: {error}"))


@pytest.fixture
def open_widget(new_page, tmp_path):
    """A function that shows a widget with a given state on a page and waits until it stands.

    ``at`` is the fragment of the address; ``motion`` is what the reader prefers.
    """

    def open_state(state, *, at="", theme="light", width=1280, motion="reduce"):
        path = tmp_path / "page.html"
        path.write_text(page_of(state, theme=theme))
        page = new_page(width=width)
        page.emulate_media(reduced_motion=motion)
        page.goto(path.as_uri() + at)
        page.locator(".widget-figure[data-state=ready]").wait_for()
        return page

    return open_state


@pytest.fixture
def open_page(new_page, addresses):
    """A function that opens a page of the book by its path and waits until it has settled.

    ``open_page("chapters/the-phenomenon.html", scheme="http", width=1280, colour="light")``
    returns a Playwright page: formulas typeset, every interactive figure mounted.
    """

    def open_path(path, *, scheme="http", width=1280, colour="light"):
        page = new_page(width=width, colour=colour)
        page.goto(f"{addresses[scheme]}/{path}")
        mount_figures(page)
        typeset_formulas(page)
        return page

    return open_path


def mount_figures(page):
    """Scroll to each interactive figure (they mount when near) and wait until it stands."""
    for figure in page.locator(".widget-figure").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function(
            "figure => !['waiting', 'loading'].includes(figure.dataset.state)",
            arg=figure.element_handle(),
        )
        state = figure.get_attribute("data-state")
        assert state == "ready", f"interactive figure is {state}: {figure.inner_text()}"
        assert figure.locator("[role=alert]:visible").all_inner_texts() == []
    page.evaluate("scrollTo(0, 0)")


def typeset_formulas(page):
    """Wait until MathJax, where the page loads it, has typeset the whole page."""
    page.evaluate("window.MathJax?.startup?.promise")

"""Every page of the built book, in a browser with the network closed.

``open_page`` itself fails a test for outside requests, failed requests, console errors and
figures that do not mount; the tests here look at what a reader would see.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "_build" / "html"
PAGES = sorted(
    path.relative_to(BOOK).as_posix()
    for path in BOOK.rglob("*.html")
    if ("_static" not in path.parts and path.parent != BOOK) or path.name == "search.html"
)
NARROW, WIDE = 390, 1280
COLAB = re.compile(r'https://colab\.research\.google\.com/github/[^/"]+/[^/"]+/blob/([^"]+)')


def test_the_book_is_built(book):
    assert PAGES, f"no page below {book}"


@pytest.mark.parametrize("page_path", PAGES)
@pytest.mark.parametrize(
    ("scheme", "width", "colour"), [("file", NARROW, "dark"), ("http", WIDE, "light")]
)
def test_page(open_page, page_path, scheme, width, colour):
    """Opened as one kind of reader sees it, then resized and recoloured as the other does."""
    page = open_page(page_path, scheme=scheme, width=width, colour=colour)
    assert_page_looks_right(page, colour)
    page.set_viewport_size({"width": NARROW + WIDE - width, "height": 900})
    page.emulate_media(color_scheme={"dark": "light", "light": "dark"}[colour])
    page.wait_for_function(f"document.documentElement.dataset.theme !== '{colour}'")
    assert_page_looks_right(page, {"dark": "light", "light": "dark"}[colour])


def assert_page_looks_right(page, colour):
    """No formula is left as source, nothing sticks out sideways, the colours are the reader's."""
    assert page.locator(".math").count() == page.locator(".math > mjx-container").count()
    assert page.locator("mjx-merror").count() == 0, "MathJax reports an error in a formula"
    assert page.evaluate(too_wide) == []
    assert page.evaluate(cut_formulas) == [], "a formula is cut off and cannot be scrolled"
    assert page.evaluate("document.documentElement.dataset.theme") == colour
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", background)[:3])
    assert (red + green + blue < 3 * 128) == (colour == "dark"), background


# Elements whose right edge lies outside a page that can be scrolled sideways.
too_wide = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= innerWidth) return [];
  return [...document.querySelectorAll("article *")]
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML.slice(0, 200)).slice(0, 3);
}"""


# Inline formulas wider than their place, where it does not scroll.
cut_formulas = """() => [...document.querySelectorAll("article span.math")]
  .filter((place) => place.scrollWidth > place.clientWidth + 1)
  .filter((place) => !["auto", "scroll"].includes(getComputedStyle(place).overflowX))
  .map((place) => place.parentElement.innerText.slice(0, 80)).slice(0, 3)"""


@pytest.mark.parametrize("page_path", PAGES)
def test_verdicts_fit_a_narrow_page(open_page, page_path):
    page = open_page(page_path, width=NARROW)
    tables = page.locator("section[id^=verdict] .pst-scrollable-table-container")
    assert tables.count() == page.locator("section[id^=verdict]").count()
    wide = "box => box.scrollWidth - box.clientWidth"
    assert all(table.evaluate(wide) <= 1 for table in tables.all())


@pytest.mark.parametrize("page_path", PAGES)
def test_colab_links_lead_to_a_notebook_of_the_repository(book, page_path):
    for path in COLAB.findall((book / page_path).read_text()):
        _tag, notebook = path.split("/", 1)
        assert notebook.endswith(".ipynb")
        assert (ROOT / notebook).is_file()


@pytest.mark.parametrize("page_path", PAGES)
def test_page_says_what_it_is_about(book, page_path):
    if page_path != "search.html":
        assert re.search(r'<meta name="description" content="[^"]+', (book / page_path).read_text())


@pytest.mark.parametrize("page_path", PAGES)
def test_every_figure_has_a_still_image_until_it_runs(book, page_path):
    text = (book / page_path).read_text()
    assert text.count("widget-view+json") == text.count('class="widget-poster"')

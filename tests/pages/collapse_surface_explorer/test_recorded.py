"""Recorded grids beside the law: what is restored, what is drawn, what a reader chooses."""

import json

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.figures.surface_overlay import BYTE_LIMIT, restore, surface_overlay
from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.widgets.collapse_surface_explorer import CollapseSurfaceExplorer
from tolerances import PAGE_ARITHMETIC

QUANTITY = "distance_from_rank_one"


@pytest.fixture(scope="module")
def record():
    return records.find("collapse_surface", "to_256_frames")


@pytest.fixture(scope="module")
def overlay(record):
    return surface_overlay(record)


def shown(explorer):
    """The numbers of the settings where the sliders stand."""
    explorer.settle()
    area = explorer.panel("recorded").locator(".book-widget-panel-plot")
    return json.loads(area.get_attribute("data-shown"))


def test_the_page_carries_no_more_than_it_may(overlay):
    without, with_grids = (
        len(json.dumps(CollapseSurfaceExplorer(**given).get_state()))
        for given in ({}, {"overlay": overlay})
    )
    assert with_grids - without <= BYTE_LIMIT


@pytest.mark.parametrize("bits", [8, 16])
def test_the_page_restores_what_the_library_restores(open_explorer, record, bits):
    grids = surface_overlay(record, bits=bits)
    for name, grid in grids["grids"].items():
        (found,) = open_explorer().call(("restoreGrid", grid, bits, grids["missing"]))
        values = np.array([np.nan if value is None else value for value in found])
        expected = restore(grid, bits=bits)
        np.testing.assert_allclose(values, expected, rtol=0, atol=PAGE_ARITHMETIC, err_msg=name)


def test_the_line_of_the_law_is_that_of_the_library(open_explorer):
    surface = CollapseSurface((0.2,), 36.0, 0.25)
    given = {"initialSharpness": [0.2], "dilutionFrames": 36.0, "step": 0.25}
    for frames in (16, 64, 256):
        (depth,) = open_explorer().call(("depthOfLevel", given, 0.5, frames))
        assert surface.spread(depth, frames) == pytest.approx(0.5, abs=PAGE_ARITHMETIC)


def test_maps_stand_side_by_side_and_say_the_number_at_the_cross(open_explorer, record, overlay):
    explorer = open_explorer(overlay=overlay, depth=12, frames=70)
    names = explorer.page.locator(".collapse-surface-map")
    assert [m.get_attribute("data-setting") for m in names.all()] == overlay["settings"]
    tops = {round(area.bounding_box()["y"]) for area in names.all()}
    assert len(tops) <= 2
    row = overlay["frames"].index(64)
    half = overlay["grids"][QUANTITY]["step"] / 2
    recorded = record.arrays[QUANTITY][:, row, 11]
    np.testing.assert_allclose(shown(explorer), recorded, rtol=0, atol=1.001 * half)
    explorer.press("depth", "Home")
    first = record.arrays[QUANTITY][:, row, 0]
    np.testing.assert_allclose(shown(explorer), first, rtol=0, atol=1.001 * half)


def test_a_reader_chooses_the_quantity(open_explorer, record, overlay):
    explorer = open_explorer(overlay=overlay, depth=2, frames=256)
    assert explorer.radio("distance from rank one").is_checked()
    explorer.radio("mean cosine").check()
    half = overlay["grids"]["mean_cosine"]["step"] / 2
    expected = record.arrays["mean_cosine"][:, -1, 1]
    np.testing.assert_allclose(shown(explorer), expected, rtol=0, atol=1.001 * half)
    explorer.radio("σ₂/σ₁").check()
    assert shown(explorer) == [None] * 4  # no spectrum of the second layer
    assert "windows: not measured" in explorer.panel("recorded").inner_text()


def test_the_quantity_goes_to_the_address_and_back(open_explorer, overlay):
    at = "#collapse-surface?depth=3&quantity=mean_cosine"
    explorer = open_explorer(overlay=overlay, at=at)
    assert explorer.radio("mean cosine").is_checked()
    explorer.radio("stable rank").check()
    explorer.page.wait_for_function("location.hash.endsWith('&quantity=stable_rank')")
    explorer.page.evaluate("location.hash = '#collapse-surface?quantity=loss'")
    explorer.page.wait_for_function(
        "document.querySelector('.book-widget-status').textContent.includes('a recorded grid')"
    )
    assert explorer.radio("stable rank").is_checked()


def test_without_grids_the_address_has_no_quantity(open_explorer):
    explorer = open_explorer(at="#collapse-surface?quantity=mean_cosine")
    assert '"quantity" is not one of' in explorer.status.inner_text()


def pixels(explorer, setting):
    """Colours of a map, most frames first, ``[frames layer channel]``."""
    explorer.settle()
    drawn = explorer.page.locator(f"[data-setting={setting}] canvas").evaluate(
        """canvas => {
          const { width, height } = canvas;
          const image = canvas.getContext("2d").getImageData(0, 0, width, height);
          return { shape: [height, width, 4], data: [...image.data] };
        }"""
    )
    return np.array(drawn["data"]).reshape(drawn["shape"])


def test_maps_are_drawn_with_most_frames_on_top(open_explorer, record, overlay):
    explorer = open_explorer(overlay=overlay, quantity="singular_ratio")
    colours = pixels(explorer, "windows")
    grid = record.arrays["singular_ratio"][list(record.arrays["settings"]).index("windows")]
    np.testing.assert_array_equal(colours[..., 3] == 255, np.isfinite(grid[::-1]))
    seen = np.isfinite(grid[::-1])
    light = colours[..., :3].sum(axis=-1)[seen]
    order = np.argsort(grid[::-1][seen])
    assert (np.diff(light[order]) <= 6).all()  # the higher, the darker, but for rounding


def test_the_line_runs_where_the_law_reaches_the_map_and_under_pre_norm_alone(
    open_explorer, overlay
):
    explorer = open_explorer(overlay=overlay, dilution_frames=36.0)
    line = explorer.page.locator("[data-setting=windows] path.law")
    explorer.settle()
    before = line.get_attribute("d")
    assert before.count("L") >= 2
    explorer.press("dilution_frames", "ArrowRight", times=4)
    explorer.settle()
    assert line.get_attribute("d") != before
    explorer.radio("post-norm").check()
    explorer.settle()
    assert line.get_attribute("d") == ""


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out(open_explorer, overlay, width):
    explorer = open_explorer(overlay=overlay, width=width)
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for target in explorer.panel("recorded").locator("label:has([type=radio])").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_colours_follow_the_theme(open_explorer, overlay):
    explorer = open_explorer(overlay=overlay)
    light = pixels(explorer, "orbit")
    explorer.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert (pixels(explorer, "orbit") != light).any()


def test_without_grids_there_is_no_panel(open_explorer):
    assert open_explorer().panel("recorded").count() == 0


def test_a_quantity_without_a_grid_shows_a_message(open_explorer, overlay):
    explorer = open_explorer(overlay=overlay, broken={"quantity": "loss"})
    assert "quantity must be that of a recorded grid" in explorer.alert.inner_text()

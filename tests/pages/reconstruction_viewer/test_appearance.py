"""How the viewer looks: narrow and wide, light and dark, steady."""

import pytest

from attention_collapse.widgets.reconstruction_viewer import PRESETS


@pytest.mark.parametrize("width", [390, 720])
def test_nothing_sticks_out_and_targets_can_be_touched(open_viewer, width):
    viewer = open_viewer(width=width)
    assert viewer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for target in viewer.page.locator(".reconstruction-viewer :is(button, label span)").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_is_seen_at_once_on_a_wide_screen_and_keeps_its_height(open_viewer):
    viewer = open_viewer()
    viewer.settle()
    box = viewer.page.locator(".reconstruction-viewer").bounding_box()
    assert box["height"] <= 850  # of a window of 900, whatever the fonts
    for preset in PRESETS:
        viewer.button(preset["name"]).click()
        viewer.settle()
        assert viewer.page.locator(".reconstruction-viewer").bounding_box() == box
    for choice in ("error", "confidence", "true"):
        viewer.choose(choice)
        assert viewer.page.locator(".reconstruction-viewer").bounding_box() == box


def test_a_page_scrolls_under_a_finger_that_moves_up(open_viewer):
    viewer = open_viewer(width=390)
    assert viewer.surface.evaluate("each => getComputedStyle(each).touchAction") == "pan-y"


def test_pictures_follow_the_theme_and_else_the_reader(open_viewer):
    viewer = open_viewer(colouring="error")
    light = viewer.picture()
    viewer.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert viewer.picture() != light
    viewer.page.evaluate("delete document.documentElement.dataset.theme")
    assert viewer.picture() == light


def test_pictures_follow_the_width(open_viewer):
    viewer = open_viewer()
    viewer.page.set_viewport_size({"width": 390, "height": 900})
    viewer.settle()
    canvas = viewer.canvas("predicted")
    assert canvas.evaluate("each => each.width") == round(canvas.bounding_box()["width"])
    assert viewer.inked() > 0

"""What a reader turns, and what turns with it."""

import pytest

from attention_collapse.widgets.reconstruction_viewer import PRESETS


def test_points_and_cameras_are_painted_in_both_pictures(open_viewer):
    viewer = open_viewer()
    for name in ("predicted", "true"):
        assert viewer.inked(name) > 0
        label = viewer.canvas(name).get_attribute("aria-label")
        assert f"1440 {name} points and 3 cameras, seen from 25° to the right" in label


def test_a_drag_turns_the_scene_with_the_hand(open_viewer):
    viewer = open_viewer()
    before = viewer.picture()
    box = viewer.canvas("predicted").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x + 30, y + 20, steps=4)
    viewer.page.mouse.up()
    assert viewer.view() == {"azimuth": 10, "elevation": 30, "zoom": 1}
    assert viewer.picture() != before
    viewer.page.mouse.move(x - 50, y)  # the hand has let go
    assert viewer.view()["azimuth"] == 10


def test_two_fingers_zoom(open_viewer):
    viewer = open_viewer()
    viewer.canvas("predicted").evaluate(
        """canvas => {
          const surface = canvas.closest("[tabindex]");
          surface.setPointerCapture = () => {};
          const box = canvas.getBoundingClientRect();
          const send = (name, pointerId, x) => surface.dispatchEvent(new PointerEvent(name, {
            pointerId, clientX: box.left + x, clientY: box.top + 50, button: 0, bubbles: true }));
          send("pointerdown", 1, 50);
          send("pointerdown", 2, 100);
          send("pointermove", 2, 150);
          send("pointerup", 1, 50);
          send("pointerup", 2, 150);
        }"""
    )
    assert viewer.view() == {"azimuth": 25, "elevation": 20, "zoom": 2}


def test_the_wheel_zooms_with_control_and_else_scrolls(open_viewer):
    viewer = open_viewer()
    viewer.canvas("predicted").hover()
    viewer.page.mouse.wheel(0, 50)
    assert viewer.view()["zoom"] == 1
    viewer.page.keyboard.down("Control")
    viewer.page.mouse.wheel(0, -90)
    viewer.page.keyboard.up("Control")
    viewer.wait_for_view("zoom > 1")


def test_keys_turn_zoom_and_go_home(open_viewer):
    viewer = open_viewer()
    first = viewer.view()
    viewer.surface.focus()
    for key, change in {
        "ArrowRight": {"azimuth": 30},
        "ArrowUp": {"elevation": 25},
        "+": {"zoom": 1.1},
        "ArrowLeft": {"azimuth": 25},
        "ArrowDown": {"elevation": 20},
        "-": {"zoom": 1},
    }.items():
        viewer.page.keyboard.press(key)
        assert viewer.view().items() >= change.items()
    viewer.page.keyboard.press("ArrowRight")
    viewer.page.keyboard.press("Home")
    assert viewer.view() == first


def test_zoom_makes_the_scene_larger(open_viewer):
    viewer = open_viewer()
    before = viewer.inked()
    viewer.button("Nearer").click()
    assert viewer.view()["zoom"] == 1.25
    assert viewer.inked() > before
    viewer.button("Farther").click()
    viewer.button("Farther").click()
    assert viewer.inked() < before


def test_presets_set_what_they_list(open_viewer):
    viewer = open_viewer()
    for preset in PRESETS:
        viewer.button(preset["name"]).click()
        assert viewer.view().items() <= preset.items()
        assert viewer.button(preset["name"]).get_attribute("aria-pressed") == "true"


def test_colours_are_of_the_image_the_confidence_or_the_error(open_viewer):
    viewer = open_viewer()
    pictures = [viewer.picture()]
    for choice, said in {"confidence": "low confidence", "error": "Distance to the true"}.items():
        viewer.choose(choice)
        assert said in viewer.note.inner_text()
        pictures.append(viewer.picture())
    assert len(set(pictures)) == 3


def test_one_picture_takes_the_room_of_both(open_viewer):
    viewer = open_viewer()
    width = viewer.canvas("true").bounding_box()["width"]
    viewer.choose("true")
    assert viewer.canvas("true").bounding_box()["width"] > 1.9 * width
    assert not viewer.canvas("predicted").is_visible()
    assert viewer.inked("true") > 0


def test_turning_goes_on_until_it_is_stopped(open_viewer):
    viewer = open_viewer(motion="no-preference")
    turn = viewer.button("Turn")
    turn.click()
    viewer.wait_for_view("azimuth > 27")
    assert turn.get_attribute("aria-pressed") == "true"
    turn.click()
    stopped = viewer.view()
    viewer.settle()
    assert viewer.view() == stopped
    assert turn.get_attribute("aria-pressed") == "false"


def test_who_wants_no_motion_turns_by_steps(open_viewer):
    viewer = open_viewer(motion="reduce")
    viewer.button("Turn").click()
    assert viewer.view()["azimuth"] == 55
    viewer.settle()
    assert viewer.view()["azimuth"] == 55


def test_a_prediction_alone_offers_no_truth(open_viewer):
    alone = {"true_points": "", "true_cameras": [], "confidence": "", "shown": "predicted"}
    viewer = open_viewer(broken=alone)
    assert viewer.inked("predicted") > 0
    assert not viewer.canvas("true").is_visible()
    assert viewer.page.get_by_role("radio").count() == 0
    assert not viewer.page.get_by_text("median error").is_visible()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"zoom": 9}, "zoom must be at least 0.25 and at most 8; got 9"),
        ({"points": ""}, "there must be points; got none"),
        ({"presets": None}, "This figure cannot be drawn"),
    ],
)
def test_broken_state_shows_a_message_in_place_of_a_blank(open_viewer, broken, said):
    assert said in open_viewer(broken=broken).alert.inner_text()

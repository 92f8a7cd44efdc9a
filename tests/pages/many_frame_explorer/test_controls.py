"""What a reader slides and chooses, and what changes with it."""

import pytest

from attention_collapse.figures.many_frame_errors import treatment_label
from attention_collapse.widgets.many_frame_explorer import TREATMENTS
from widgets.many_frame_scene import COUNTS


def test_the_arrow_keys_go_through_the_recorded_numbers(open_explorer):
    explorer = open_explorer(frames=COUNTS[0])
    seen = []
    for count in COUNTS:
        assert explorer.said("frames") == f"{count} frames"
        seen.append(str(explorer.numbers()["now"]))
        explorer.press("frames", "ArrowRight")
    assert explorer.said("frames") == "64 frames"
    assert len(set(seen)) == len(COUNTS)
    explorer.press("frames", "Home")
    assert explorer.said("frames") == "2 frames"


def test_treatments_are_called_as_in_the_figures(open_explorer):
    explorer = open_explorer(frames=64)
    seen = set()
    for name in TREATMENTS:
        explorer.choose(treatment_label(name))
        assert explorer.sentence.inner_text().startswith(f"64 frames, {treatment_label(name)}:")
        seen.add(explorer.page.locator("circle.present").get_attribute("cy"))
        assert explorer.page.locator("path.chosen").count() == 1
    assert len(seen) == 2


def test_radio_buttons_take_the_arrow_keys(open_explorer):
    explorer = open_explorer()
    explorer.radio("as trained").focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.settle()
    assert explorer.radio("reference bias").is_checked()
    assert "reference bias" in explorer.sentence.inner_text()


def test_presets_set_both(open_explorer):
    explorer = open_explorer()
    training, plain, cured = (
        explorer.button(name)
        for name in (
            "8 frames, as in training",
            "64 frames as trained",
            "64 frames with the bias",
        )
    )
    explorer.settle()
    assert training.get_attribute("aria-pressed") == "true"
    cured.click()
    assert explorer.said("frames") == "64 frames"
    assert explorer.radio("reference bias").is_checked()
    plain.click()
    explorer.settle()
    assert explorer.radio("as trained").is_checked()
    assert [each.get_attribute("aria-pressed") for each in (training, plain, cured)] == [
        "false",
        "true",
        "false",
    ]


def test_ratios_that_are_not_recorded_are_words(open_explorer):
    explorer = open_explorer(frames=16)
    assert len(explorer.heights("ratios", "now")) == 4
    for change, words in (
        (lambda: explorer.press("frames", "ArrowRight"), "recorded to 16 frames"),
        (lambda: explorer.choose("reference bias"), "not recorded with the bias"),
    ):
        change()
        assert explorer.heights("ratios", "now") == explorer.heights("ratios", "trained") == []
        assert words in explorer.panel("ratios").inner_text()
        assert words in explorer.panel("ratios").locator("svg").get_attribute("aria-label")
        assert explorer.numbers()["ratios"] == {"absent": words}


def test_panels_say_their_numbers_aloud(open_explorer):
    explorer = open_explorer(frames=16)
    shares = explorer.numbers()["now"]["shares"]
    label = explorer.panel("shares").locator("svg").get_attribute("aria-label")
    assert "layer 1" in label
    assert "layer 4" in label
    assert f"layer 2 {100 * shares[1]:.2g}" in label


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"frames": 3}, "frames must be one of 2, 4, 8, 16, 64; got 3"),
        ({"treatment": "scale"}, "treatment must be one of none, bias; got scale"),
        ({"frame_counts": []}, "there must be numbers of frames; got none"),
        ({"errors": None}, "This figure cannot be drawn"),
    ],
)
def test_broken_state_shows_a_message_in_place_of_a_blank(open_explorer, broken, said):
    assert said in open_explorer(broken=broken).alert.inner_text()

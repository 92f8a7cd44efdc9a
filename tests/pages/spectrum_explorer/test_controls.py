"""What a reader moves, and what moves with it."""

import pytest

from attention_collapse.widgets.spectrum_explorer import SpectrumExplorer
from tolerances import SLIDER_STEP

RANKS = ("singularRatio", "effectiveRank", "stableRank", "entropyDeficit")
RECORD_STALE = """() => {
  window.stale = 0;
  const count = () => { window.stale += document.querySelectorAll(".stale").length; };
  const watched = { attributes: true, childList: true, subtree: true };
  new MutationObserver(count).observe(document.querySelector(".spectrum-explorer"), watched);
}"""


@pytest.mark.parametrize(
    ("name", "state"),
    [("a1", {}), ("a2", {}), ("concentration", {"law": "sphere"})],
)
def test_rank_rises_with_the_scores(open_explorer, name, state):
    explorer = open_explorer(**state)
    before = {which: explorer.numbers(which) for which in ("closed", "sample")}
    explorer.press(name, "ArrowRight", times=12)
    for which, numbers in before.items():
        after = explorer.numbers(which)
        for rank in RANKS[1:]:
            assert after[rank] > numbers[rank]


def test_clicking_a_slider_moves_it_there(open_explorer):
    explorer = open_explorer()
    box = explorer.slider("a1").bounding_box()
    explorer.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
    (said,) = explorer.stands("a1")
    assert float(said) == pytest.approx(0.35, abs=SLIDER_STEP)


def test_law_changes_the_sliders_and_the_numbers(open_explorer):
    explorer = open_explorer()
    assert explorer.slider("a1").is_visible()
    assert not explorer.slider("concentration").is_visible()
    explorer.radio("Gaussian tokens").focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.settle()
    assert explorer.radio("Tokens on a sphere").is_checked()
    assert explorer.slider("concentration").is_visible()
    assert not explorer.slider("a1").is_visible()
    profile = SpectrumExplorer(law="sphere").profile
    assert explorer.numbers("closed")["stableRank"] == pytest.approx(profile.stable_rank)


def test_every_dimension_can_be_reached(open_explorer):
    explorer = open_explorer(law="sphere", dimension=2)
    seen = explorer.stands("dimension")
    for _ in range(3):
        explorer.press("dimension", "ArrowRight")
        seen += explorer.stands("dimension")
    assert seen == [f"{count} dimensions" for count in (2, 3, 4, 8)]


def test_new_sample_leaves_the_closed_form_alone(open_explorer):
    explorer = open_explorer()
    closed, sample = explorer.numbers("closed"), explorer.numbers("sample")
    explorer.button("New sample").click()
    assert explorer.numbers("closed") == closed
    assert explorer.numbers("sample") != sample


def test_direction_of_sharpness_zero_changes_nothing(open_explorer):
    explorer = open_explorer(sharpness=[0.4, 0.3])
    without = [explorer.numbers(which) for which in ("closed", "sample")]
    explorer.press("a3", "ArrowRight")
    assert explorer.numbers("sample") != without[1]
    explorer.press("a3", "ArrowLeft")
    assert [explorer.numbers(which) for which in ("closed", "sample")] == without


def test_more_tokens_come_closer_to_the_closed_form(open_explorer):
    explorer = open_explorer(sharpness=[0.3, 0.2, 0.0], tokens=32)
    closed = explorer.numbers("closed")["effectiveRank"]
    small = explorer.numbers("sample")["effectiveRank"]
    explorer.press("tokens", "End")
    assert explorer.stands("tokens") == ["256 tokens"]
    large = explorer.numbers("sample")["effectiveRank"]
    assert small < large < closed


@pytest.mark.parametrize(("tokens", "waits"), [(128, False), (256, True)])
def test_large_sample_is_pale_until_the_reader_rests(open_explorer, tokens, waits):
    explorer = open_explorer(tokens=tokens)
    before = explorer.numbers("sample")
    explorer.page.evaluate(RECORD_STALE)
    explorer.press("a1", "ArrowRight")
    assert explorer.numbers("sample") != before
    assert (explorer.page.evaluate("window.stale") > 0) == waits


def test_presets_set_what_they_list(open_explorer):
    explorer, library = open_explorer(), SpectrumExplorer()
    for preset in library.presets:
        button = explorer.button(preset["name"])
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        library.apply_preset(preset["name"])
        shown = explorer.numbers("closed")["effectiveRank"]
        assert shown == pytest.approx(library.profile.effective_rank)
        assert explorer.stands("tokens") == [f"{library.tokens} tokens"]
        assert button.get_attribute("aria-pressed") == "true"


def test_plateaus_say_how_often_a_value_occurs(open_explorer):
    explorer = open_explorer(law="sphere", dimension=3)
    labels = explorer.panel.locator(".plateau-label")
    assert labels.all_text_contents() == ["× 3", "× 5", "× 7", "× 9"]
    explorer.press("dimension", "End")
    explorer.settle()
    assert labels.all_text_contents() == ["× 8", "× 35"]
    explorer.button("Three equal directions").click()
    explorer.settle()
    assert labels.all_text_contents() == ["× 3", "× 6", "× 10", "× 15"]
    explorer.button("Two directions").click()
    explorer.settle()
    assert labels.count() == 0


def test_closed_form_and_sample_are_both_drawn(open_explorer):
    explorer = open_explorer(law="sphere", dimension=4)
    explorer.settle()
    assert explorer.panel.locator("circle.theory").count() == 25
    sample = explorer.numbers("sample")["singularValues"][:25]
    assert explorer.panel.locator("svg[role=img] path.measured").count() == len(sample)
    assert "sample of 128 tokens" in explorer.panel.inner_text()


def test_limits_of_the_closed_form_are_said(open_explorer):
    explorer = open_explorer(sharpness=[0.4, 0.4, 0.4])
    assert "shrink like N−0.50." in explorer.limits.inner_text()
    assert "At 1/√2 ≈ 0.71 the closed form ends" in explorer.limits.inner_text()
    explorer.press("a2", "ArrowRight", times=10)
    explorer.settle()
    assert "infinite variance and shrink like N−0.33 only" in explorer.limits.inner_text()
    explorer.press("a2", "End")
    assert explorer.stands("a2") == ["0.70"]  # below 1/√2
    explorer.radio("Tokens on a sphere").check(force=True)
    explorer.settle()
    assert "exists for every κ" in explorer.limits.inner_text()


def test_broken_state_shows_a_message_and_recovers(open_explorer):
    explorer = open_explorer(broken={"sharpness": [0.9, 0.3, 0.2]})
    assert "sharpness must be at least 0 and below 1/√2" in explorer.alert.inner_text()
    explorer.press("a1", "ArrowLeft")
    explorer.settle()
    assert not explorer.alert.is_visible()


def test_missing_state_shows_a_message_in_place_of_a_blank(open_explorer):
    explorer = open_explorer(broken={"presets": None})
    assert "This figure cannot be drawn" in explorer.alert.inner_text()

"""What a reader moves, and what moves with it."""

import pytest

from attention_collapse.widgets.merge_explorer import MergeExplorer

PATCHES = 48  # of one frame of the example


def test_more_merging_leaves_fewer_tokens_and_a_smaller_coefficient(open_explorer):
    explorer = open_explorer(ratio=0.2)
    before = explorer.numbers()["statistics"]
    explorer.press("ratio", "ArrowRight", times=12)
    assert explorer.said("ratio") == "32 %"
    after = explorer.numbers()["statistics"]
    assert after["kept"] < before["kept"]
    for name in ("between", "predicted", "measured"):
        assert after[name] < before[name]


def test_nothing_merged_is_all_tokens(open_explorer):
    explorer = open_explorer(ratio=0.5)
    explorer.press("ratio", "Home")
    numbers = explorer.numbers()
    assert numbers["target"] == list(range(3 * PATCHES))
    assert numbers["curves"]["merged"] == numbers["curves"]["unmerged"]
    assert numbers["statistics"]["predicted"] == pytest.approx(1)
    assert explorer.page.locator(".merge-explorer-frame rect").count() == 0


def test_first_frame_stays_where_it_is_kept_apart(open_explorer):
    explorer = open_explorer()
    explorer.choose("apart")
    numbers = explorer.numbers()
    assert numbers["target"][:PATCHES] == list(range(PATCHES))
    assert min(numbers["target"][PATCHES:]) > PATCHES - 1
    assert explorer.overlays.first.locator("circle").count() == 0
    explorer.choose("destinations")
    assert explorer.overlays.first.locator("circle").count() == PATCHES


def test_sizes_change_the_measurement_and_not_the_law(open_explorer):
    explorer = open_explorer()
    before = explorer.numbers()
    explorer.choose("one each")
    after = explorer.numbers()
    assert after["statistics"]["predicted"] == before["statistics"]["predicted"]
    assert after["curves"]["law"] == before["curves"]["law"]
    assert after["statistics"]["measured"] != before["statistics"]["measured"]
    assert "Here each weighs one" in explorer.note.inner_text()


def test_a_ratio_that_cannot_be_had_is_said(open_explorer):
    explorer = open_explorer(cell=2, ratio=0.9)
    assert "Only 75 % of the tokens may join one" in explorer.note.inner_text()
    assert explorer.numbers()["statistics"]["kept"] == 36
    explorer.choose("4 × 4")
    assert "tr Σ²" in explorer.note.inner_text()


def test_a_patch_is_chosen_by_pointer_and_by_key(open_explorer):
    explorer = open_explorer()
    box = explorer.overlays.nth(1).bounding_box()
    explorer.page.mouse.click(box["x"] + 2.5 * box["width"] / 8, box["y"] + 1.5 * box["height"] / 6)
    explorer.settle()
    patch = PATCHES + 1 * 8 + 2
    target = explorer.numbers()["target"]
    members = [token for token, home in enumerate(target) if home == target[patch]]
    assert explorer.page.locator("rect.chosen").count() == len(members)
    assert explorer.page.locator("rect.here").count() == 1
    assert f"in a group of {len(members)}: " in explorer.sentence.inner_text()
    explorer.frames.focus()
    for key, step in (("ArrowRight", 1), ("ArrowDown", 8), ("ArrowLeft", -1), ("ArrowUp", -8)):
        explorer.page.keyboard.press(key)
        explorer.settle()
        patch += step
        explorer.page.wait_for_function(f"location.hash.endsWith('patch={patch}')")
    explorer.page.keyboard.press("Escape")
    explorer.settle()
    assert explorer.page.locator("rect.chosen").count() == 0


def test_presets_set_what_they_list(open_explorer):
    explorer, library = open_explorer(ratio=0.1), MergeExplorer()
    for preset in library.presets:
        button = explorer.button(preset["name"])
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        library.apply_preset(preset["name"])
        assert explorer.numbers()["target"] == library.groups.tolist()
        assert button.get_attribute("aria-pressed") == "true"


def test_law_flow_and_frozen_part_are_drawn(open_explorer):
    explorer = open_explorer()
    explorer.settle()
    panel = explorer.page.locator('[data-panel="variance"] svg[role=img]')
    assert panel.locator("path.measured").count() == 9
    assert panel.locator("path.law").count() == panel.locator("path.unmerged").count() == 1
    assert panel.locator("line.frozen").count() == 1


def test_frames_are_shown(open_explorer):
    explorer = open_explorer()
    pictures = explorer.page.locator(".merge-explorer-frame img")
    assert pictures.count() == 3
    widths = pictures.evaluate_all("images => images.map((image) => image.naturalWidth)")
    assert widths == [112] * 3
    assert pictures.first.get_attribute("alt") == "frame 1"


def test_broken_state_shows_a_message_and_recovers(open_explorer):
    explorer = open_explorer(broken={"ratio": 0.95})
    assert "ratio must be at least 0 and at most 0.9; got 0.95" in explorer.alert.inner_text()
    explorer.press("ratio", "ArrowLeft")
    explorer.settle()
    assert not explorer.alert.is_visible()


def test_missing_state_shows_a_message_in_place_of_a_blank(open_explorer):
    explorer = open_explorer(broken={"presets": None})
    assert "This figure cannot be drawn" in explorer.alert.inner_text()

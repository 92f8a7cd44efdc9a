"""What a reader scrubs and chooses, and what changes with it."""

import pytest

from widgets.heat_map_scene import COLUMNS, QUERIES, ROWS


def test_layer_and_head_change_the_map_and_the_numbers(open_explorer):
    explorer = open_explorer()
    seen = [explorer.numbers()]
    for name in ("layer", "head"):
        explorer.press(name, "ArrowRight")
        seen.append(explorer.numbers())
    for part in ("map", "layer", "statistics"):
        assert len({str(numbers[part]) for numbers in seen}) == 3
    assert "layer 2, head 2, 16 frames" in explorer.sentence.inner_text()


def test_frames_that_are_not_in_the_pass_carry_no_map(open_explorer):
    explorer = open_explorer()
    assert explorer.page.locator(".heat-map-explorer-frame.absent").count() == 0
    explorer.choose("2")
    shades = explorer.shades()
    assert all(max(each) > 0 for each in shades[:2])
    assert all(max(each) == 0 for each in shades[2:])
    assert explorer.page.locator(".heat-map-explorer-frame.absent").count() == 2 * 2
    last = explorer.frames().nth(2).locator("img")
    assert last.get_attribute("alt") == "frame 3, not in this pass"


def test_a_query_is_chosen_by_pointer(open_explorer):
    explorer = open_explorer()
    for query, (frame, row, column) in reversed(list(enumerate(QUERIES, start=1))):
        box = explorer.frames("predicted").nth(int(frame)).bounding_box()
        x = box["x"] + (column + 0.7) / COLUMNS * box["width"]
        y = box["y"] + (row + 0.4) / ROWS * box["height"]
        explorer.page.mouse.click(x, y)
        explorer.page.wait_for_function(f"location.hash.endsWith('query={query}')")
        said = f"Patch ({row}, {column}) of frame {frame + 1}"
        assert said in explorer.sentence.inner_text()
    explorer.frames().nth(3).click()  # a frame without a query
    assert explorer.query() == 1


def test_the_arrow_keys_go_round_the_queries(open_explorer):
    explorer = open_explorer()
    explorer.surface.focus()
    for key, query in (("ArrowLeft", 4), ("ArrowRight", 1), ("ArrowRight", 2)):
        explorer.page.keyboard.press(key)
        explorer.page.wait_for_function(f"location.hash.endsWith('query={query}')")
    explorer.settle()
    marked = explorer.frames().nth(0).locator("circle.chosen")
    assert marked.get_attribute("cx") == str(QUERIES[1][2] + 0.5)
    assert explorer.page.locator("circle.chosen").count() == 2  # one in each panel


def test_numbers_are_those_of_layer_and_map(open_explorer):
    explorer = open_explorer()
    numbers = explorer.numbers()
    text = explorer.page.locator(".book-widget-readouts").inner_text()
    assert f"{numbers['layer']['entropy']:.2f}" in text
    assert f"{numbers['layer']['singularRatio']:.3f}" in text
    assert f"{100 * numbers['statistics']['recorded']['elsewhere']:.1f} %" in text
    assert "N = 400" in text
    assert "correlates with it to 0." in explorer.sentence.inner_text()


def test_without_prediction_the_recording_stands_alone(open_explorer):
    explorer = open_explorer(predicted=False)
    assert not explorer.page.locator('[data-panel="predicted"]').is_visible()
    assert "predicted" not in explorer.sentence.inner_text()
    assert max(explorer.shades()[0]) > 0


def test_frames_say_how_much_attention_they_have(open_explorer):
    explorer = open_explorer()
    masses = explorer.numbers()["statistics"]["recorded"]["masses"]
    label = explorer.frames().nth(1).locator("img").get_attribute("alt")
    assert label == f"frame 2: {100 * masses[1]:.1f} % of the recorded attention"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"layer": 7}, "layer must be a whole number from 1 to 3; got 7"),
        ({"frame_counts": []}, "there must be maps; got none"),
        ({"recorded": None}, "This figure cannot be drawn"),
    ],
)
def test_broken_state_shows_a_message_in_place_of_a_blank(open_explorer, broken, said):
    assert said in open_explorer(broken=broken).alert.inner_text()

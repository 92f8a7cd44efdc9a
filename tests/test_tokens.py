import numpy as np
import pytest

from attention_collapse.tokens import SPECIAL_TOKENS, TokenLayout


def test_vggt_has_one_camera_token_and_four_registers():
    assert SPECIAL_TOKENS == 5
    assert TokenLayout(1, 2, 3).special == 5


def test_counts_of_a_vggt_frame():
    layout = TokenLayout.from_image(3, 392, 518)
    assert (layout.rows, layout.columns) == (28, 37)
    assert (layout.patches, layout.per_frame, layout.count) == (1036, 1041, 3123)


def test_walking_the_tokens_in_order_counts_the_indices_up():
    layout = TokenLayout(frames=3, rows=2, columns=4, special=2)
    walk = []
    for frame in range(3):
        walk += [layout.special_index(frame, slot) for slot in range(2)]
        walk += [layout.index(frame, row, column) for row in range(2) for column in range(4)]
    assert walk == list(range(layout.count))


def test_an_index_gives_back_its_frame_and_place():
    layout = TokenLayout(frames=2, rows=3, columns=2)
    for frame in range(2):
        for slot in range(5):
            index = layout.special_index(frame, slot)
            assert (layout.frame_of(index), layout.slot_of(index)) == (frame, slot)
        for row in range(3):
            for column in range(2):
                index = layout.index(frame, row, column)
                assert (layout.frame_of(index), layout.patch_of(index)) == (frame, (row, column))


def test_positions_leave_the_origin_to_the_special_tokens():
    positions = TokenLayout(frames=7, rows=2, columns=3, special=2).positions()
    assert positions.dtype == np.int64
    expected = [[0, 0], [0, 0], [1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    np.testing.assert_array_equal(positions, expected)


def test_masks_agree_with_the_index_maps():
    layout = TokenLayout(frames=3, rows=2, columns=2, special=1)
    cameras = [layout.special_index(frame, 0) for frame in range(3)]
    np.testing.assert_array_equal(np.flatnonzero(layout.is_special()), cameras)
    owner = [layout.frame_of(index) for index in range(layout.count)]
    for frame in range(3):
        np.testing.assert_array_equal(layout.frame_mask(frame), np.equal(owner, frame))


def test_a_layout_may_have_no_special_token():
    layout = TokenLayout(frames=1, rows=1, columns=2, special=0)
    assert layout.count == 2
    assert not layout.is_special().any()
    np.testing.assert_array_equal(layout.positions(), [[1, 1], [1, 2]])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"frames": 0}, r"frames must be an integer of at least 1, got 0; give counts"),
        ({"rows": 0}, r"rows must be an integer of at least 1, got 0"),
        ({"columns": -2}, r"columns must be an integer of at least 1, got -2"),
        ({"special": -1}, r"special must be an integer of at least 0, got -1"),
    ],
)
def test_a_count_that_is_too_small_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        TokenLayout(**{"frames": 1, "rows": 1, "columns": 1} | sizes)


@pytest.mark.parametrize(
    ("height", "width", "near"),
    [(27, 28, "28 x 28"), (28, 50, "28 x 56"), (0, 14, "14 x 14"), (3, 14, "14 x 14")],
)
def test_image_sides_off_the_patch_grid_are_refused(height, width, near):
    message = (
        "image sides must be positive multiples of the patch size 14, "
        f"got height {height} and width {width}; resize to {near}"
    )
    with pytest.raises(ValueError, match=message):
        TokenLayout.from_image(1, height, width)


def test_a_patch_without_pixels_is_refused():
    with pytest.raises(ValueError, match="patch_size must be at least 1 pixel, got 0"):
        TokenLayout.from_image(1, 14, 14, patch_size=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda layout: layout.index(2, 0, 0), "frame must be at least 0 and less than 2, got 2"),
        (lambda layout: layout.index(0, 3, 0), "row must be at least 0 and less than 3, got 3"),
        (lambda layout: layout.index(0, 0, 4), "column must be at least 0 and less than 4, got 4"),
        (lambda layout: layout.special_index(0, 5), "slot must be .* less than 5, got 5"),
        (lambda layout: layout.special_index(-1, 0), "frame must be .* less than 2, got -1"),
        (lambda layout: layout.frame_of(34), "index must be .* less than 34, got 34"),
        (lambda layout: layout.frame_mask(2), "frame must be .* less than 2, got 2"),
        (lambda layout: layout.slot_of(5), "only a special token has a slot, token 5 is a patch"),
        (lambda layout: layout.patch_of(21), "only a patch has a row .* token 21 is special"),
    ],
)
def test_a_place_outside_the_layout_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(TokenLayout(frames=2, rows=3, columns=4))

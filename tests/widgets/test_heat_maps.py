"""Maps in 8 bits a weight, and what is refused as a map."""

import dataclasses

import numpy as np
import pytest

from attention_collapse.widgets.heat_maps import decode_map, encode_maps
from tolerances import HALF_STEP
from widgets.heat_map_scene import HEADS, LAYERS, QUERIES, random_maps

MAPS = random_maps(4)


def test_roots_of_shares_come_back_within_half_a_step():
    weights = MAPS.attention
    text, peaks = encode_maps(weights)
    flat = weights.reshape(-1, *weights.shape[3:])
    assert len(peaks) == len(flat) == LAYERS * HEADS * len(QUERIES)
    for number, expected in enumerate(flat):
        found = decode_map(text, peaks, number, grid=expected.shape)
        assert peaks[number] == float(f"{expected.max():.6g}")
        error = np.sqrt(found / peaks[number]) - np.sqrt(expected / peaks[number])
        assert np.abs(error).max() <= HALF_STEP / 255


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entropy": MAPS.entropy[:1]}, "must have the layers and heads of attention"),
        ({"predicted": MAPS.attention[:, :, :1]}, "and predicted its shape"),
        ({"frames": 3}, "frames must be at least those shown; got 3 and 4 shown"),
        ({"attention": -MAPS.attention}, "give attention after the softmax"),
        ({"attention": 0 * MAPS.attention}, "some above 0"),
        ({"attention": 2 * MAPS.attention}, "sums up to"),
        ({"predicted": np.full_like(MAPS.attention, np.nan)}, "a map must hold weights"),
    ],
)
def test_what_is_no_map_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MAPS, **change)

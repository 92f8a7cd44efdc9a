import math

import pytest
import torch

from attention_collapse.vggt.position_map import position_map
from tolerances import FLOAT64


def test_each_cell_holds_sines_and_cosines_of_its_place():
    rows, columns, aspect = 3, 4, 1.5
    found = position_map(8, rows, columns, aspect=aspect, dtype=torch.float64)
    diagonal = math.sqrt(aspect**2 + 1)
    for row in range(rows):
        for column in range(columns):
            # Centres of cells in an image from -1 to 1, shrunk so that its corner is at radius 1.
            across = ((2 * column + 1) / columns - 1) * aspect / diagonal
            down = ((2 * row + 1) / rows - 1) / diagonal
            expected = [
                wave(place * frequency)
                for place in (across, down)
                for wave in (math.sin, math.cos)
                for frequency in (1, 0.1)
            ]
            expected = torch.tensor(expected, dtype=torch.float64)
            torch.testing.assert_close(found[:, row, column], expected, rtol=0, atol=FLOAT64)


def test_angles_are_rounded_once():
    short = position_map(16, 5, 7, aspect=1.4)
    exact = position_map(16, 5, 7, aspect=1.4, dtype=torch.float64)
    assert torch.equal(short, exact.float())


@pytest.mark.parametrize("channels", [0, 6])
def test_channels_that_two_axes_cannot_share_are_refused(channels):
    with pytest.raises(ValueError, match=f"positive multiple of 4 channels .*, got {channels}; V"):
        position_map(channels, 2, 2, aspect=1.0)

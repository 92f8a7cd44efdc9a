"""What *VGGT in one chapter* says about the cost of a pass and the size of the released network."""

import numpy as np
import pytest
import torch

from attention_collapse import records
from attention_collapse.theory.cost import BlockShape, block_cost
from attention_collapse.vggt import VGGT, VGGT_1B, cast_linear_weights

TOKENS = 1041


@pytest.fixture(scope="module")
def costs():
    names = ("ours_aggregator", "reference_aggregator", "ours_model", "reference_model")
    return {name: records.find("forward_cost", name).arrays for name in names}


@pytest.fixture
def released():
    with torch.device("meta"):
        return VGGT(VGGT_1B, generator=torch.Generator())


def slope(arrays):
    """Gigabytes a frame, from 32 frames on."""
    many = (arrays["frames"] >= 32) & np.isfinite(arrays["peak_bytes"])
    return np.polyfit(arrays["frames"][many], arrays["peak_bytes"][many], 1)[0] / 1e9


def test_memory_grows_by_less_than_a_third_of_the_released_design(costs):
    assert slope(costs["ours_model"]) < slope(costs["reference_model"]) / 3
    assert slope(costs["ours_model"]) < 0.065 < 0.195 < slope(costs["reference_model"])
    assert slope(costs["ours_aggregator"]) < 0.0487


@pytest.mark.parametrize("part", ["aggregator", "model"])
def test_the_designs_do_the_same_work_and_meet_in_time(costs, part):
    ours, reference = costs[f"ours_{part}"], costs[f"reference_{part}"]
    many = list(ours["frames"]).index(200)
    assert list(reference["frames"]).index(200) == many
    assert ours["flops"][many] == reference["flops"][many]
    assert ours["seconds"][many] == pytest.approx(reference["seconds"][many], rel=0.1)
    assert ours["seconds"][0] < reference["seconds"][0]


def test_the_counted_work_is_that_of_the_formula(costs):
    """Global blocks, frame blocks and encoder; patches and positions are a thousandth of it."""
    arrays = costs["ours_aggregator"]
    alone = block_cost(BlockShape(), TOKENS).flops
    by_formula = np.array(
        [
            24 * (block_cost(BlockShape(), int(frames) * TOKENS).flops + 2 * int(frames) * alone)
            for frames in arrays["frames"]
        ]
    )
    np.testing.assert_allclose(arrays["flops"], by_formula, rtol=5e-3)


def test_attention_is_most_of_the_work_for_many_frames(costs):
    arrays = costs["ours_model"]
    row = list(arrays["frames"]).index(200)
    compared = 24 * 4 * int(arrays["tokens"][row]) ** 2 * 1024
    assert compared / arrays["flops"][row] > 0.8


def test_the_released_network_has_the_stated_sizes(released):
    sizes = {
        name: sum(weight.numel() for weight in part.state_dict().values())
        for name, part in released.named_children()
    }
    assert sizes == {
        "aggregator": 909_112_320,
        "camera_head": 216_174_610,
        "depth_head": 32_654_562,
        "point_head": 32_654_628,
    }


def test_short_weights_of_the_aggregator_save_two_fifths(released):
    long = sum(weight.nbytes for weight in released.state_dict().values())
    cast_linear_weights(released.aggregator, torch.float16)
    short = sum(weight.nbytes for weight in released.state_dict().values())
    assert long / 1e9 == pytest.approx(4.8, abs=0.05)
    assert short / long == pytest.approx(0.62, abs=0.01)

"""What *VGGT in one chapter* says about the cost of a pass and the size of the released network."""

import numpy as np
import pytest
import torch

from attention_collapse import records
from attention_collapse.figures.forward_cost import by_design
from attention_collapse.theory.cost import BlockShape, block_cost
from attention_collapse.vggt import VGGT, VGGT_1B, cast_linear_weights
from attention_collapse.vggt.chunks import FRAME_CHUNK
from tolerances import LEVEL, UNCOUNTED_WORK, quoted

TOKENS = 1041


@pytest.fixture(scope="module")
def runs():
    names = ("to_200_frames", "at_500_frames", "at_1000_frames")
    return [records.find("forward_cost", name).arrays for name in names]


def test_the_runs_were_made_as_the_chapter_says(runs):
    """Chunks of 32 frames, cuDNN, three passes each up to 200 frames and one beyond."""
    every = ("library", "compiled", "release")
    designs, passes = (every, every, ("library",)), (3, 1, 1)
    names = ("to_200_frames", "at_500_frames", "at_1000_frames")
    for name, arrays, taking_part, repeats in zip(names, runs, designs, passes, strict=True):
        record = records.find("forward_cost", name)
        assert record.config["frame_chunk"] == FRAME_CHUNK
        assert record.config["prefer_cudnn"]
        assert tuple(arrays["designs"]) == taking_part
        assert {timing.repeats for timing in record.timings.values()} == {repeats}


@pytest.fixture
def released():
    with torch.device("meta"):
        return VGGT(VGGT_1B, generator=torch.Generator())


def slope(arrays):
    """Gigabytes a frame, from 32 frames on."""
    many = arrays["frames"] >= 32
    return np.polyfit(arrays["frames"][many], arrays["peak_bytes"][many], 1)[0] / 1e9


def test_memory_grows_by_less_than_a_fifth_of_the_released_design(runs):
    costs = by_design(runs)
    assert slope(costs["library"]) < slope(costs["release"]) / 5
    assert slope(costs["library"]) < 0.065 < 0.195 < slope(costs["release"])
    assert slope(by_design(runs, stage=0)["library"]) < 0.195 / 4
    assert costs["library"]["frames"].tolist() == [2, 8, 32, 100, 200, 500, 1000]
    release = by_design(runs, stage=0)["release"]
    assert slope(release) > 0.195, "the published figure, of the aggregator, is the safer one"


def test_the_release_would_not_fit_at_1000_frames(runs):
    release = by_design(runs)["release"]
    assert release["frames"][-1] == 500
    device = records.find("forward_cost", "at_500_frames").device["memory"]
    assert release["peak_bytes"][-1] < 0.9 * device
    assert release["peak_bytes"][-1] + 500e9 * slope(release) > device


def test_the_designs_are_level_for_many_frames_and_compiled_blocks_are_faster(runs):
    costs = by_design(runs)
    release = costs["release"]["seconds"]
    ratio = costs["library"]["seconds"][: len(release)] / release
    assert (ratio[:3] < 1).all()
    assert ratio[3:] == pytest.approx(1, abs=LEVEL)
    assert costs["library"]["frames"][[4, 5]].tolist() == [200, 500]
    assert abs(ratio[4] - 1) < abs(ratio[5] - 1)  # as long, and a little longer
    assert ratio[5] > 1
    assert (costs["compiled"]["seconds"] < (1 - 2 * LEVEL) * release).all()


def test_the_counted_work_is_that_of_the_formula(runs):
    """Global blocks, frame blocks and encoder; patches and positions are a thousandth of it."""
    alone = block_cost(BlockShape(), TOKENS).flops
    for arrays in runs:
        by_formula = [
            24 * (block_cost(BlockShape(), int(frames) * TOKENS).flops + 2 * int(frames) * alone)
            for frames in arrays["frames"]
        ]
        np.testing.assert_allclose(arrays["flops"][0], by_formula, rtol=UNCOUNTED_WORK)


def test_attention_is_most_of_the_work_for_many_frames(runs):
    arrays = runs[0]
    row = list(arrays["frames"]).index(200)
    compared = 24 * 4 * int(arrays["tokens"][row]) ** 2 * 1024
    assert compared / arrays["flops"][-1, row] > 0.8


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
    assert long / 1e9 == pytest.approx(4.8, abs=quoted(1))
    assert short / long == pytest.approx(0.62, abs=quoted(2))

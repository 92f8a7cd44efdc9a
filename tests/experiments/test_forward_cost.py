import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import device_cost, forward_cost
from attention_collapse.experiments.forward_cost import Config, Forward
from attention_collapse.theory.cost import BlockShape, scene_cost

SMALL = Config(
    frames=(2, 5),
    image_size=(28, 42),
    width=16,
    depth=4,
    heads=2,
    encoder_depth=0,
    kept_layers=(0, 1, 2, 3),
    frame_chunk=2,
    repeats=2,
    ceiling_size=32,
)
# A frame of 2 x 3 patches and 5 special tokens.
PER_FRAME = 11


@pytest.fixture(scope="module")
def measurement():
    return forward_cost.run(SMALL, device="cpu")


def test_work_is_that_of_the_closed_form(measurement):
    shape = BlockShape(width=16, hidden=64)
    for frames, flops in zip(SMALL.frames, measurement.arrays["flops"], strict=True):
        cost = scene_cost(shape, frames=frames, per_frame=PER_FRAME, depth=4)
        patches = 2 * frames * 6 * (3 * 14 * 14) * 16
        assert flops == cost["frame"].flops + cost["global"].flops + patches


def test_work_beyond_the_counted_frames_is_what_a_count_gives():
    forward = Forward(dataclasses.replace(SMALL, whole_model=True, frame_chunk=0), "cpu")
    assert forward.flops(5) == forward._counted(5)


@pytest.mark.parametrize(("reference", "layers"), [(False, 4), (True, 6)])
def test_bytes_kept_are_the_layers_that_the_design_keeps(reference, layers):
    config = dataclasses.replace(
        SMALL, reference_design=reference, depth=6, kept_layers=(0, 1, 3, 5)
    )
    two_streams = 2 * PER_FRAME * 16 * 4
    assert Forward(config, "cpu").kept_bytes(3) == layers * 3 * two_streams


def test_time_is_compared_with_the_ceiling(measurement):
    arrays = measurement.arrays
    rate = arrays["flops"] / arrays["seconds"]
    np.testing.assert_allclose(arrays["share_of_ceiling"], rate / arrays["ceiling"])
    medians = [measurement.timings[f"forward_{frames}_frames"].median for frames in (2, 5)]
    assert medians == list(arrays["seconds"])
    assert np.isnan(arrays["peak_bytes"]).all()


def test_frames_that_do_not_fit_are_recorded_and_the_rest_is_measured(monkeypatch):
    run = Forward.run

    def out_of_memory(self, images):
        if images.shape[1] == 5:
            raise torch.OutOfMemoryError("tried to allocate 3 GiB\nand more")
        return run(self, images)

    monkeypatch.setattr(Forward, "run", out_of_memory)
    said = []
    config = dataclasses.replace(SMALL, frames=(5, 2))
    result = forward_cost.run(config, device="cpu", report=said.append)
    assert list(result.arrays["failure"]) == ["tried to allocate 3 GiB", ""]
    assert list(np.isnan(result.arrays["seconds"])) == [True, False]
    assert list(result.timings) == ["forward_2_frames"]
    assert said[1] == "5 frames: tried to allocate 3 GiB"
    assert np.isfinite(list(forward_cost.canary_values(result).values())).all()


def test_a_long_run_is_not_repeated(monkeypatch):
    clock = iter([0.0, 25.0])
    monkeypatch.setattr(device_cost.time, "perf_counter", lambda: next(clock))
    taken = device_cost.timing(lambda: None, repeats=3, device="cpu")
    assert (taken.repeats, taken.median) == (1, 25.0)


def test_the_first_run_is_left_out_and_the_middle_one_counts(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 11.0, 20.0, 23.0, 30.0, 32.0])
    monkeypatch.setattr(device_cost.time, "perf_counter", lambda: next(clock))
    taken = device_cost.timing(lambda: None, repeats=3, device="cpu")
    assert (taken.minimum, taken.median, taken.maximum) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (0,)}, r"at least 0, got \(0,\), 2, 32 and 2: a frame_chunk of 0"),
        ({"frame_chunk": -1}, r"got \(2, 5\), 2, 32 and -1"),
        ({"repeats": 0}, r"got \(2, 5\), 0, 32 and 2"),
        ({"image_size": (28, 40)}, "multiples of the patch size 14"),
        ({"kept_layers": (0, 1, 2)}, "end with 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)

import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import device_cost, forward_cost
from attention_collapse.experiments.forward_cost import Config
from attention_collapse.experiments.forward_designs import DESIGNS, STAGES, Designs
from attention_collapse.experiments.forward_race import race
from attention_collapse.theory.cost import BlockShape, scene_cost
from tolerances import PARITY_ABSOLUTE, PARITY_RELATIVE

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


@pytest.fixture
def designs():
    return Designs(SMALL.model(), ("library", "release"), device="cpu", seed=0)


class Stopwatch:
    """Passes take the seconds that it is told."""

    def __init__(self, **seconds):
        self.seconds = {name: iter(values) for name, values in seconds.items()}
        self.order = []

    def cost(self, name):
        self.order.append(name)
        taken = next(self.seconds[name])
        if taken is None:
            raise torch.OutOfMemoryError("tried to allocate 3 GiB\nand more")
        return {"aggregator": (taken / 2, 10.0 * taken), "network": (taken, 20.0 * taken)}


def raced(stopwatch, repeats=2):
    return race(stopwatch.cost, list(stopwatch.seconds), repeats=repeats)


def test_work_is_that_of_the_closed_form(measurement):
    shape = BlockShape(width=16, hidden=64)
    aggregator = measurement.arrays["flops"][STAGES.index("aggregator")]
    for frames, flops in zip(SMALL.frames, aggregator, strict=True):
        cost = scene_cost(shape, frames=frames, per_frame=PER_FRAME, depth=4)
        patches = 2 * frames * 6 * (3 * 14 * 14) * 16
        assert flops == cost["frame"].flops + cost["global"].flops + patches


def test_work_beyond_the_counted_frames_is_what_a_count_gives(measurement, designs):
    counted = designs.flops(designs.images(5, SMALL.image_size))
    assert list(measurement.arrays["flops"][:, 1]) == [counted[stage] for stage in STAGES]


def test_bytes_kept_are_the_layers_that_each_design_keeps():
    config = dataclasses.replace(SMALL, depth=6, kept_layers=(0, 1, 3, 5), repeats=1)
    kept = forward_cost.run(config, device="cpu").arrays["kept_bytes"]
    two_streams = 2 * PER_FRAME * 16 * 4
    np.testing.assert_array_equal(kept, np.outer((4, 6), (2, 5)) * two_streams)


def test_all_designs_share_weights_and_give_the_same_answer(designs):
    images = designs.images(3, SMALL.image_size)
    library, release = (designs.network(name) for name in ("library", "release"))
    with torch.inference_mode():
        first, second = library(images, frame_chunk=2), release(images)
    torch.testing.assert_close(
        first.depth, second.depth, rtol=PARITY_RELATIVE, atol=PARITY_ABSOLUTE
    )
    tensors = [{tensor.data_ptr() for tensor in net.parameters()} for net in (library, release)]
    assert tensors[0] == tensors[1]


def test_time_is_compared_with_the_ceiling(measurement):
    arrays = measurement.arrays
    rate = arrays["flops"] / arrays["seconds"]
    np.testing.assert_allclose(arrays["share_of_ceiling"], rate / arrays["ceiling"])
    medians = [measurement.timings[f"release_network_{frames}_frames"].median for frames in (2, 5)]
    assert medians == list(arrays["seconds"][1, 1])
    assert (arrays["seconds"][:, 0] < arrays["seconds"][:, 1]).all()
    assert np.isnan(arrays["peak_bytes"]).all()


def test_designs_take_turns_and_the_first_round_is_left_out():
    stopwatch = Stopwatch(one=[9.0, 1.0, 3.0], two=[9.0, 4.0, 2.0])
    result = raced(stopwatch)
    assert stopwatch.order == ["one", "two"] * 3
    timing = result.seconds("two", "network")
    assert (timing.repeats, timing.minimum, timing.median, timing.maximum) == (2, 2.0, 3.0, 4.0)
    assert result.seconds("one", "aggregator").median == 1.0
    assert result.peak_bytes("one", "network") == 60.0


def test_a_long_pass_is_the_only_one():
    long = device_cost.LONG_RUN + 5
    stopwatch = Stopwatch(one=[long], two=[1.0, 2.0, 2.0])
    result = raced(stopwatch)
    assert stopwatch.order == ["one", "two", "two", "two"]
    assert result.seconds("one", "network").repeats == 1
    assert result.seconds("one", "network").median == long


def test_a_design_that_does_not_fit_is_recorded_and_the_others_are_measured():
    result = raced(Stopwatch(one=[None], two=[1.0, 2.0, 4.0]))
    assert result.failures == {"one": "tried to allocate 3 GiB"}
    assert result.seconds("one", "network") is None
    assert np.isnan(result.peak_bytes("one", "network"))
    assert result.seconds("two", "network").median == 3.0


def test_frames_that_do_not_fit_leave_a_gap_in_the_record(monkeypatch):
    cost = Designs.cost

    def out_of_memory(self, name, images, **options):
        if name == "release" and images.shape[1] == 5:
            raise torch.OutOfMemoryError("tried to allocate 3 GiB\nand more")
        return cost(self, name, images, **options)

    monkeypatch.setattr(Designs, "cost", out_of_memory)
    said = []
    config = dataclasses.replace(SMALL, frames=(5, 2), frame_chunk=1)
    result = forward_cost.run(config, device="cpu", report=said.append)
    assert result.arrays["failure"].tolist() == [["", ""], ["tried to allocate 3 GiB", ""]]
    assert np.isnan(result.arrays["seconds"][1]).tolist() == [[True, False]] * 2
    assert "release_network_5_frames" not in result.timings
    assert said[1].endswith("; release tried to allocate 3 GiB")
    assert np.isfinite(list(forward_cost.canary_values(result).values())).all()


def test_the_clock_of_other_experiments_leaves_out_the_first_run(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 11.0, 20.0, 23.0, 30.0, 32.0])
    monkeypatch.setattr(device_cost.time, "perf_counter", lambda: next(clock))
    taken = device_cost.timing(lambda: None, repeats=3, device="cpu")
    assert (taken.minimum, taken.median, taken.maximum) == (1.0, 2.0, 3.0)


def test_the_clock_of_other_experiments_does_not_repeat_a_long_run(monkeypatch):
    clock = iter([0.0, 25.0])
    monkeypatch.setattr(device_cost.time, "perf_counter", lambda: next(clock))
    taken = device_cost.timing(lambda: None, repeats=3, device="cpu")
    assert (taken.repeats, taken.median) == (1, 25.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (0,)}, r"at least 0, got \(0,\), 2, 32 and 2: a frame_chunk of 0"),
        ({"frame_chunk": -1}, r"got \(2, 5\), 2, 32 and -1"),
        ({"repeats": 0}, r"got \(2, 5\), 0, 32 and 2"),
        ({"image_size": (28, 40)}, "multiples of the patch size 14"),
        ({"kept_layers": (0, 1, 2)}, "end with 3"),
        ({"designs": ("library", "fast")}, f"one or more of {', '.join(DESIGNS)}, got"),
        ({"designs": ()}, "one or more of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)

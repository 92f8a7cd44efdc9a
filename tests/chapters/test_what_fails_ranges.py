"""The words of *What fails* on training on more frames."""

import dataclasses

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.experiments.error_slopes import error_slopes
from attention_collapse.figures.scene_means import mean_and_error
from attention_collapse.training import PRESETS
from tolerances import FLOAT64, RECORDED_AGAIN, RECORDED_SHARE_AGAIN

FRAMES = [2, 4, 8, 16, 32, 64, 128, 256, 512]
EIGHT = FRAMES.index(8)
COMPARED = ("points", "rotation")


@pytest.fixture(scope="module")
def ranges():
    return records.find("train_range", "to_512_frames").arrays


@pytest.fixture(scope="module")
def seeds():
    """Three networks trained on 2 to 8 frames, at the numbers of frames of ``ranges``."""
    arrays = records.find("orbit_error", "to_2048_frames").arrays
    assert list(arrays["frames"][: len(FRAMES)]) == FRAMES
    return {name: arrays[name][..., : len(FRAMES)] for name in COMPARED} | {
        "reference_mass": arrays["reference_mass"][:, :, : len(FRAMES)],
        "scene_seeds": arrays["scene_seeds"],
    }


@pytest.fixture(scope="module")
def fourth():
    """Seed 0 trained again, with the code and the TF32 of the network of 2 to 24 frames."""
    record = records.find("orbit_error", "again_to_2048_frames")
    training = records.find("training", "mini_again_seed0")
    assert record.numerics["weights"][0]["sha256"] == training.numerics["weights"]["sha256"]
    assert training.numerics["tf32"]
    assert training.config == records.find("training", "mini_seed0").config
    return record.arrays


def excess(errors):
    """As trained less under the bias, ``[weights scene frame_count]``."""
    return errors[:, :, 0] - errors[:, :, 1]


def same_excess(errors, aim):
    """Frames at which the mean excess of one network ``[scene treatment frame_count]`` is aim."""
    curve = excess(errors[None]).mean((0, 1))[FRAMES.index(16) :]
    assert (np.diff(curve) > 0).all(), "one number of frames for each excess"
    assert curve[0] < min(aim) <= max(aim) < curve[-1], "no extrapolation"
    return np.exp(np.interp(np.log(aim), np.log(curve), np.log(FRAMES[FRAMES.index(16) :])))


def ratios(ranges, seeds, name):
    """Of frames with the same excess at 128, 256 and 512 frames, ``[seed frame_count]``."""
    many = np.array(FRAMES[-3:])
    aim = excess(ranges[name])[1].mean(0)[-3:]
    return np.stack([many / same_excess(errors, aim) for errors in seeds[name]])


# What the two networks are


def test_the_record_compares_a_network_of_2_to_8_with_one_of_2_to_24_frames(ranges, seeds):
    record = records.find("train_range", "to_512_frames")
    assert record.config["trained_frames"] == [8, 24]
    assert list(ranges["treatments"]) == ["none", "bias"]
    assert list(ranges["frames"]) == FRAMES
    np.testing.assert_array_equal(ranges["scene_seeds"], seeds["scene_seeds"])
    assert len(ranges["scene_seeds"]) == 12
    trainings = [
        records.find("training", what)
        for what in ("mini_seed0", "mini_wide_seed0", "mini_seed1", "mini_seed2")
    ]
    for weights, training in zip(record.numerics["weights"], trainings[:2], strict=True):
        assert weights["sha256"] == training.numerics["weights"]["sha256"]
    narrow, wide = (training.config for training in trainings[:2])
    assert {key for key in narrow if narrow[key] != wide[key]} == {"preset"}
    assert wide["seed"] == 0
    assert [each.numerics["tf32"] for each in trainings] == [False, True, False, False]


def test_their_settings_differ_in_the_frames_of_a_scene_alone():
    narrow, wide = PRESETS["mini"], PRESETS["mini_wide"]
    assert dataclasses.replace(wide, frame_counts=narrow.frame_counts) == narrow
    for config, most in ((narrow, 8), (wide, 24)):
        assert (min(config.frame_counts), max(config.frame_counts)) == (2, most)
    assert [config.frame_counts.count(8) for config in (narrow, wide)] == [2, 1]
    assert [len(config.frame_counts) for config in (narrow, wide)] == [7, 8]


def test_the_first_network_has_the_errors_of_the_first_of_the_other_record(ranges, seeds):
    for name in COMPARED:
        once, again = (values[name][0].mean(0) for values in (seeds, ranges))
        np.testing.assert_allclose(again, once, rtol=RECORDED_AGAIN)
        others = seeds[name][1:, :, 0, -1].mean(1)
        assert (np.abs(others / once[0, -1] - 1) > RECORDED_AGAIN).all(), "another would not pass"
    shares = (values["reference_mass"][0].mean(-1) for values in (seeds, ranges))
    np.testing.assert_allclose(*shares, rtol=RECORDED_SHARE_AGAIN)


# As trained


def test_at_512_frames_training_on_more_is_below_three_seeds_in_every_scene(ranges, seeds):
    for name in COMPARED:
        narrow, wide = ranges[name][:, :, 0, -1]
        gap, error = mean_and_error(wide - narrow)
        assert gap < -7 * error, name
        assert (wide < seeds[name][:, :, 0, -1].min(0)).all(), name
        by_seed = seeds[name][:, :, 0, -1].mean(1)
        assert wide.mean() < by_seed.min() - 1.5 * by_seed.std(ddof=1), name


def test_the_fourth_network_shares_tf32_and_lies_above_too(ranges, seeds, fourth):
    np.testing.assert_array_equal(fourth["scene_seeds"], seeds["scene_seeds"])
    assert list(fourth["frames"][: len(FRAMES)]) == FRAMES
    for name in COMPARED:
        own = fourth[name][0, :, 0]
        assert (ranges[name][1, :, 0, -1] < own[:, len(FRAMES) - 1]).all(), name
        change, error = mean_and_error(own[:, EIGHT] - ranges[name][0, :, 0, EIGHT])
        assert abs(change) < error, "at eight frames it is as good as the first"


def test_the_excess_begins_later_and_its_slopes_do_not_tell_the_two_ranges_apart(ranges, fourth):
    for name in COMPARED:
        both = excess(ranges[name])
        assert (both[0, :, : EIGHT + 1] == 0).all()
        assert (both[1, :, : FRAMES.index(16) + 1] == 0).all(), "no bias below 24 frames"
        narrow, wide = both.mean(1)
        late = FRAMES.index(32)
        assert (wide[late:] < narrow[late:] / 4).all(), "a fraction of the first one's"
        assert (np.diff(wide[late:]) > 0).all(), "not removed"
        frames = np.array(FRAMES[late:])
        first, second = (error_slopes(each[None, :, late:], frames) for each in both)
        assert first.low[-1] < 1 < first.high[-1], name
        assert (second.value > 1.5).all(), name
        assert second.low[-1] > 1.4, name
        window = FRAMES.index(256)
        _, low, high = fourth[f"{name}_excess_slope"][window]
        assert low < second.high[-1], name
        assert second.low[-1] < high, "their intervals meet"


# Where the same excess lies


def test_on_a_power_of_the_frames_the_same_excess_is_found_where_it_is():
    base = np.ones(len(FRAMES))
    errors = np.stack([base + np.array(FRAMES) ** 1.5, base])[None]
    found = same_excess(errors, np.array([100, 300]) ** 1.5)
    np.testing.assert_allclose(found, [100, 300], rtol=FLOAT64)


def test_the_fault_moves_by_three_to_five_times(ranges, seeds):
    found = np.stack([ratios(ranges, seeds, name) for name in ("rotation", "points")])
    assert 2.7 < found.min() < 3.1 < np.median(found) < 5 < found.max() < 5.1
    assert (found[:, 0] > 3.6).all(), "of the same seed"
    level = found.max(-1) / found.min(-1)
    assert level.min() < 1.07, "some rows are nearly level"
    assert level.max() > 1.5, "others are not"
    assert 1.5 < (found.max(1) / found.min(1)).max() < 1.6, "how much is the seed"


def test_against_the_fourth_the_fault_moves_by_as_much(ranges, seeds, fourth):
    """Within what the three differ by."""
    own = {name: fourth[name][:, :, :, : len(FRAMES)] for name in COMPARED}
    three = np.stack([ratios(ranges, seeds, name) for name in COMPARED])
    found = np.stack([ratios(ranges, own, name) for name in COMPARED])
    assert three.min() < found.min() < found.max() < three.max()


def test_with_resampled_scenes_the_excess_stays_a_curve_to_look_up(ranges, seeds):
    """What the interval of the ratio rests on: positive, ascending, and around the sought value."""
    draws = np.random.default_rng(0).integers(0, 12, (2000, 12))
    curves = excess(seeds["rotation"])[0][draws].mean(1)[:, FRAMES.index(32) :]
    aims = excess(ranges["rotation"])[1][draws].mean(1)[:, -1]
    assert (np.diff(curves) > 0).all()
    assert (curves[:, 0] > 0).all()
    assert ((curves[:, 0] < aims) & (aims < curves[:, -1])).all()


def test_the_share_falls_less_and_in_two_layers_the_same_excess_goes_with_less(ranges, seeds):
    wide = ranges["reference_mass"][1, 0].mean(-1)
    three = seeds["reference_mass"][:, 0].mean(-1)
    fall, falls = wide[EIGHT] / wide[-1], three[:, EIGHT] / three[:, -1]
    assert (fall < falls).all(), "in every layer by less than in each"
    assert fall[0] > 50, "and still dilutes"
    aim = excess(ranges["rotation"])[1].mean(0)[-1:]
    places = [np.log(same_excess(errors, aim)).item() for errors in seeds["rotation"]]
    held = np.array(
        [
            [np.exp(np.interp(place, np.log(FRAMES), np.log(layer))) for layer in shares.T]
            for place, shares in zip(places, three, strict=True)
        ]
    )
    assert (wide[-1, :2] < 0.7 * held[:, :2]).all(), "in layers 1 and 2"
    least = (1 - RECORDED_SHARE_AGAIN) * held.min(0)
    assert (wide[-1, 2:] > least[2:]).all(), "in the others it is not below them"


def test_the_share_of_the_fourth_network_reads_otherwise(ranges, fourth):
    wide = ranges["reference_mass"][1, 0].mean(-1)
    own = fourth["reference_mass"][0, 0, : len(FRAMES)].mean(-1)
    more = wide[EIGHT] / wide[-1] > own[EIGHT] / own[-1]
    assert list(np.flatnonzero(more)) == [4], "in layer 5 it falls by less in the fourth"
    aim = excess(ranges["rotation"])[1].mean(0)[-1:]
    place = np.log(same_excess(fourth["rotation"][0][..., : len(FRAMES)], aim)).item()
    held = [np.exp(np.interp(place, np.log(FRAMES), np.log(layer))) for layer in own.T]
    assert list(np.flatnonzero(np.array(held) > wide[-1])) == [0, 1, 2, 3, 4]


# The bias and the price


def test_the_bias_for_the_own_range_removes_the_growth_in_both(ranges):
    for name in COMPARED:
        cured = ranges[name][:, :, 1]
        for each, plain in zip(cured, ranges[name][:, :, 0], strict=True):
            change, error = mean_and_error(each[:, -1] - each[:, EIGHT])
            assert change < error, f"{name} do not grow"
            gain, error = mean_and_error(plain[:, -1] - each[:, -1])
            assert gain > 4 * error
            assert abs(change) < gain / 5
        more, _ = mean_and_error(cured[1, :, -1] - cured[0, :, -1])
        assert more > 0, "under the bias the network trained on more is no better"


def test_at_eight_frames_points_are_worse_and_rotations_are_not_told_apart(ranges, seeds):
    price, error = mean_and_error(np.subtract(*ranges["points"][::-1, :, 0, EIGHT]))
    assert price > 7 * error
    few = {name: ranges[name][1, :, 0, EIGHT].mean() for name in COMPARED}
    three = {name: seeds[name][:, :, 0, EIGHT].mean(1) for name in COMPARED}
    assert few["points"] > 1.1 * three["points"].max()
    price, error = mean_and_error(np.subtract(*ranges["rotation"][::-1, :, 0, EIGHT]))
    assert abs(price) < error
    assert three["rotation"].min() < few["rotation"] < three["rotation"].max()
    floor, _ = mean_and_error(np.subtract(*ranges["points"][::-1, :, 1, -1]))
    start, error = mean_and_error(np.subtract(*ranges["points"][::-1, :, 0, EIGHT]))
    assert abs(floor - start) < error, "points are worse by as much from the start"

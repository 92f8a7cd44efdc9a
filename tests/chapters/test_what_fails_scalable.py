"""The statements and the words of *What fails* on scalable softmax in training."""

import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import records
from attention_collapse.figures.scene_means import mean_and_error
from attention_collapse.training import PRESETS
from attention_collapse.vggt import ScalableSoftmax
from tolerances import FLOAT64, RECORDED_AGAIN, quoted

FRAMES = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
EIGHT = FRAMES.index(8)
COMPARED = ("points", "rotation")
NONE, BIAS, HELD = range(3)


@pytest.fixture(scope="module")
def scaled():
    return records.find("orbit_error", "scalable_to_2048_frames").arrays


@pytest.fixture(scope="module")
def plain():
    """The partner: the same training with plain softmax."""
    return records.find("orbit_error", "again_to_2048_frames").arrays


def odds(first, later, factor):
    """Of the reference frame for one query under the library's scalable softmax."""
    scores = torch.cat((first, later))
    softmax = ScalableSoftmax(1, factor).double()
    with torch.no_grad():
        query = softmax(torch.ones(1, 1, len(scores), 1, dtype=torch.float64))[0, 0, 0]
    weights = torch.softmax(query * scores, dim=0)
    return (weights[: len(first)].sum() / weights[len(first) :].sum()).item()


@pytest.mark.claims("eq-scalable-odds")
def test_a_weight_is_a_power_of_the_number_of_tokens():
    drawn = torch.randn(60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    powers = 60 ** (0.375 * drawn)
    expected = powers[:6].sum() / powers[6:].sum()
    assert odds(drawn[:6], drawn[6:], 0.375) == pytest.approx(expected.item(), rel=100 * FLOAT64)


@pytest.mark.claims("prop-scalable-gap")
@pytest.mark.parametrize(("factor", "gap"), [(0.3, 5.0), (0.3, 2.0), (0.8, 1.5), (0.8, 1.0)])
def test_the_gap_decides_whether_the_share_tends_to_one_or_to_nothing(factor, gap):
    per_frame, top, share = 6, 1.7, 0.25
    generator = torch.Generator().manual_seed(0)
    first = top - torch.rand(per_frame, dtype=torch.float64, generator=generator)
    first[2] = top
    found = []
    for frames in (10, 100, 1000, 10_000):
        tokens = per_frame * frames
        below = torch.rand(tokens - per_frame, dtype=torch.float64, generator=generator)
        later = top - gap - below
        if factor * gap < 1:
            later[: int(np.ceil(share * len(later)))] = top - gap + 0.1 * below[0]
        found.append(odds(first, later, factor))
        power = tokens ** (factor * gap)
        if factor * gap > 1:
            assert found[-1] >= power / tokens
        else:
            assert found[-1] <= per_frame / (share * (tokens - per_frame)) * power
    rising = np.diff(found) > 0
    assert rising.all() if factor * gap > 1 else not rising.any()


def test_at_the_border_one_key_has_half_of_the_attention():
    for tokens in (100, 10_000):
        first, later = torch.tensor([2.0]).double(), torch.zeros(tokens - 1).double()
        found = odds(first, later, 0.5)
        assert found == pytest.approx(tokens / (tokens - 1), rel=100 * FLOAT64)


@pytest.mark.claims("exercise-scalable-head")
def test_the_shares_of_the_exercise():
    few, many = 8 * 69, 2048 * 69
    assert many == 141_312
    told = {0.99: (0.279, 1.728, 5600, 0.9998), 0.4: (0.0026, 0.935, 0.465, 0.318)}
    for share, (plain_share, power, scalable_odds, scalable_share) in told.items():
        start = share / (1 - share)
        diluted = start * (few - 1) / (many - 1)
        decimals = 3 if share > 0.5 else 4
        assert diluted / (1 + diluted) == pytest.approx(plain_share, abs=quoted(decimals))
        raised = np.log(start * (few - 1)) / np.log(few)
        assert raised == pytest.approx(power, abs=quoted(3))
        kept = odds(torch.tensor([raised]).double(), torch.zeros(many - 1).double(), 1.0)
        assert kept / (1 + kept) == pytest.approx(scalable_share, abs=quoted(4 if kept > 1 else 3))
        assert kept == pytest.approx(scalable_odds, abs=50 if kept > 1 else quoted(3))


# The pair of networks


def test_the_partner_differs_in_the_softmax_alone(plain, scaled):
    runs = [records.find("training", f"mini_{kind}_seed0") for kind in ("again", "scalable")]
    one, other = (PRESETS[run.config["preset"]] for run in runs)
    sizes = dataclasses.replace(one.network.aggregator, scalable_softmax=0.17)
    network = dataclasses.replace(one.network, aggregator=sizes)
    assert dataclasses.replace(one, network=network) == other
    assert [run.numerics["tf32"] for run in runs] == [True, True]
    assert {run.config["seed"] for run in runs} == {0}
    assert len({run.source_digest for run in runs}) == 1, "the same code"
    for name in ("orbit_error", "foreign_frames"):
        frames = 2048 if name == "orbit_error" else 512
        for run, kind in zip(runs, ("again", "scalable"), strict=True):
            (weights,) = records.find(name, f"{kind}_to_{frames}_frames").numerics["weights"]
            assert weights["sha256"] == run.numerics["weights"]["sha256"]
    assert list(scaled["treatments"]) == ["none", "bias", "held"]
    assert list(plain["frames"]) == list(scaled["frames"]) == FRAMES
    np.testing.assert_array_equal(plain["scene_seeds"], scaled["scene_seeds"])


def test_it_hardly_grows_and_costs_nothing_at_eight_frames(plain, scaled):
    seeds = records.find("orbit_error", "to_2048_frames").arrays
    for name, least in (("points", 3), ("rotation", 20)):
        own = scaled[name][0, :, NONE]
        assert (own[:, -1] < plain[name][0, :, NONE, -1]).all(), "in every scene"
        assert own[:, -1].mean() < seeds[name][:, :, 0, -1].mean(1).min() / least
        growth, error = mean_and_error(own[:, -1] - own[:, EIGHT])
        assert growth > 3 * error, "not quite a cure"
        assert growth < 0.7 * own[:, EIGHT].mean()
        gap, error = mean_and_error(own[:, -1] - plain[name][0, :, BIAS, -1])
        assert gap > 2 * error, "the partner under the bias is better"
        price, error = mean_and_error(own[:, EIGHT] - plain[name][0, :, NONE, EIGHT])
        assert price < error, "no worse at eight frames"


def test_the_rise_has_not_ended(scaled):
    for name in COMPARED:
        own = scaled[name][0, :, NONE]
        steps, error = mean_and_error(np.diff(own[:, FRAMES.index(64) :], axis=1))
        assert (steps > 3 * error).all()
        assert steps[-1] > 0.9 * steps.max()
        assert steps[-1] > steps[:-1].mean(), "the last doubling adds more than the mean before it"
    turned = scaled["aligned_rotation"][0, :, NONE].mean(0)
    assert turned[-1] > 2 * turned[EIGHT]


def test_with_the_scores_held_the_fault_is_back(plain, scaled):
    for name in COMPARED:
        own, held = scaled[name][0, :, NONE], scaled[name][0, :, HELD]
        np.testing.assert_array_equal(held[:, : EIGHT + 1], own[:, : EIGHT + 1])
        gap, error = mean_and_error(held - own)
        assert (gap[EIGHT + 1 :] > 3 * error[EIGHT + 1 :]).all(), name
        assert (np.diff(held.mean(0)[EIGHT:]) > 0).all()
    three = records.find("orbit_error", "to_2048_frames").arrays
    studies = three, plain
    four = {n: np.concatenate([each[n][:, :, 0, -1].mean(1) for each in studies]) for n in COMPARED}
    held = {name: scaled[name][0, :, HELD, -1].mean() for name in COMPARED}
    assert four["rotation"].min() < held["rotation"] < four["rotation"].max()
    assert held["points"] > four["points"].max()


def test_held_scores_with_the_bias_are_those_of_eight_frames(scaled):
    """The share is what holding takes away; the growth of the other scores does harm."""
    study = records.find("orbit_error", "scalable_held_to_128_frames")
    training = records.find("training", "mini_scalable_seed0")
    assert study.numerics["weights"][0]["sha256"] == training.numerics["weights"]["sha256"]
    arrays = study.arrays
    np.testing.assert_array_equal(arrays["scene_seeds"], scaled["scene_seeds"])
    none, bias, held, both = (
        list(arrays["treatments"]).index(name) for name in ("none", "bias", "held", "held+bias")
    )
    for name in COMPARED:
        own = arrays[name][0]
        change, error = mean_and_error(own[:, both, -1] - own[:, none, 0])
        assert change < error, f"{name}: no worse than at eight frames"
        for other in (none, bias, held):
            gain, error = mean_and_error(own[:, other, -1] - own[:, both, -1])
            assert gain > 2 * error, name
        for place, treatment in ((none, NONE), (bias, BIAS), (held, HELD)):
            recorded = scaled[name][0, :, treatment, FRAMES.index(128)].mean()
            assert abs(own[:, place, -1].mean() / recorded - 1) < RECORDED_AGAIN


def test_four_heads_stay_above_one_half_and_fall_and_none_does_with_the_scores_held(plain, scaled):
    mass = scaled["reference_mass"][0]
    most = mass[:, EIGHT] > 0.5
    assert most[NONE].sum() == 4
    assert not most[NONE, :4].any(), "in layers 5 and 6"
    for place in range(EIGHT, len(FRAMES)):
        np.testing.assert_array_equal(mass[NONE, place] > 0.5, most[NONE])
    assert (np.diff(mass[NONE, EIGHT:][:, most[NONE]], axis=0) < 0).all(), "and all four fall"
    assert (mass[HELD, -1] < 0.25).all()
    assert (plain["reference_mass"][0, NONE, -1] > 0.5).sum() == 2, "and it fails"


def test_shares_of_layers_fall_slower_than_with_the_scores_held(plain, scaled):
    own, bias, held = scaled["reference_mass"][0].mean(-1)
    partner = plain["reference_mass"][0, NONE].mean(-1)
    assert 120 < own[EIGHT, 0] / own[-1, 0] < 130, "in the first layer it dilutes"
    assert 240 < partner[EIGHT, 0] / partner[-1, 0] < 260
    assert (np.diff(own[EIGHT:], axis=0) < 0).all()
    assert (own[-1, 1:4] > 6 * held[-1, 1:4]).all()
    assert (own[-1, 4:] > 5 * held[-1, 4:]).all()
    assert (np.abs(bias[-1] / bias[EIGHT] - 1) < 0.1).all()


def test_the_bias_on_top_does_harm(scaled):
    for name in COMPARED:
        gap, error = mean_and_error(scaled[name][0, :, BIAS, -1] - scaled[name][0, :, NONE, -1])
        assert gap > 2 * error


@pytest.mark.parametrize("name", COMPARED)
def test_among_foreign_frames_the_bias_does_more_and_adds_to_scalable_softmax(name):
    studies = [records.find("foreign_frames", f"{k}_to_512_frames") for k in ("again", "scalable")]
    partner, own = (study.arrays[name][0] for study in studies)
    assert [list(study.arrays["treatments"])[:2] for study in studies] == [["none", "bias"]] * 2
    assert list(studies[1].arrays["treatments"])[HELD] == "held"
    many, spoiled = own[..., -1], partner[..., -1]
    gains = {"the softmax": spoiled[:, NONE] - many[:, NONE]}
    gains["its growth"] = many[:, HELD] - many[:, NONE]
    gains["the bias on top"] = many[:, NONE] - many[:, BIAS]
    gains["the bias alone"] = many[:, NONE] - spoiled[:, BIAS]
    for what, gain in gains.items():
        mean, error = mean_and_error(gain)
        assert mean > (2 if what == "the bias alone" else 4) * error, what
    mean, error = mean_and_error(spoiled[:, BIAS] - many[:, BIAS])
    assert (mean > 2 * error) == (name == "points"), "for rotations it is open"
    assert many[:, BIAS].mean() > 3 * own[:, NONE, 0].mean(), "not the error without them"

"""The statements and the words of *What fails* on scalable softmax in training."""

import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import records
from attention_collapse.figures.scene_means import mean_and_error
from attention_collapse.training import PRESETS
from attention_collapse.vggt import ScalableSoftmax
from tolerances import FLOAT64, quoted

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
    told = {0.99: (0.386, 0.279, 1.728, 0.9998), 0.4: (0.003, None, 0.935, 0.318)}
    for share, (plain_odds, plain_share, power, scalable_share) in told.items():
        start = share / (1 - share)
        diluted = start * (few - 1) / (many - 1)
        assert diluted == pytest.approx(plain_odds, abs=quoted(3))
        if plain_share:
            assert diluted / (1 + diluted) == pytest.approx(plain_share, abs=quoted(3))
        raised = np.log(start * (few - 1)) / np.log(few)
        assert raised == pytest.approx(power, abs=quoted(3))
        kept = odds(torch.tensor([raised]).double(), torch.zeros(many - 1).double(), 1.0)
        assert kept / (1 + kept) == pytest.approx(scalable_share, abs=quoted(3))


# The pair of networks


def test_the_partner_differs_in_the_softmax_alone(plain, scaled):
    runs = [records.find("training", f"mini_{kind}_seed0") for kind in ("again", "scalable")]
    one, other = (PRESETS[run.config["preset"]] for run in runs)
    sizes = dataclasses.replace(one.network.aggregator, scalable_softmax=0.17)
    network = dataclasses.replace(one.network, aggregator=sizes)
    assert dataclasses.replace(one, network=network) == other
    assert [run.numerics["tf32"] for run in runs] == [True, True]
    assert {run.config["seed"] for run in runs} == {0}
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


def test_with_the_scores_held_the_fault_is_back(scaled):
    for name in COMPARED:
        own, held = scaled[name][0, :, NONE], scaled[name][0, :, HELD]
        np.testing.assert_array_equal(held[:, : EIGHT + 1], own[:, : EIGHT + 1])
        gap, error = mean_and_error(held - own)
        assert (gap[EIGHT + 1 :] > 3 * error[EIGHT + 1 :]).all(), name
        assert (np.diff(held.mean(0)[EIGHT:]) > 0).all()
        assert held[:, -1].mean() > 8 * own[:, -1].mean()


def test_four_heads_keep_more_than_half_and_none_with_the_scores_held(plain, scaled):
    mass = scaled["reference_mass"][0]
    most = mass[:, EIGHT] > 0.5
    assert most[NONE].sum() == 4
    assert not most[NONE, :4].any(), "in layers 5 and 6"
    for place in range(EIGHT, len(FRAMES)):
        np.testing.assert_array_equal(mass[NONE, place] > 0.5, most[NONE])
    assert (mass[HELD, -1] < 0.25).all()
    assert (plain["reference_mass"][0, NONE, -1] > 0.5).sum() == 2, "and it fails"


def test_shares_of_layers_level_off_where_they_fall_with_the_scores_held(plain, scaled):
    own, bias, held = scaled["reference_mass"][0].mean(-1)
    partner = plain["reference_mass"][0, NONE].mean(-1)
    assert 120 < own[EIGHT, 0] / own[-1, 0] < 130, "in the first layer it dilutes"
    assert 240 < partner[EIGHT, 0] / partner[-1, 0] < 260
    assert (own[-1, 1:4] > 6 * held[-1, 1:4]).all()
    assert (own[-1, 4:] > 5 * held[-1, 4:]).all()
    assert (np.abs(bias[-1] / bias[EIGHT] - 1) < 0.1).all()


def test_the_bias_on_top_does_harm(scaled):
    for name in COMPARED:
        gap, error = mean_and_error(scaled[name][0, :, BIAS, -1] - scaled[name][0, :, NONE, -1])
        assert gap > 2 * error


@pytest.mark.parametrize(("name", "both"), [("points", 2), ("rotation", 1.9)])
def test_among_foreign_frames_the_two_remedies_add_up(name, both):
    """``both`` in standard errors: the two against the bias alone."""
    studies = [records.find("foreign_frames", f"{k}_to_512_frames") for k in ("again", "scalable")]
    partner, own = (study.arrays[name][0] for study in studies)
    assert [list(study.arrays["treatments"])[:2] for study in studies] == [["none", "bias"]] * 2
    assert list(studies[1].arrays["treatments"])[HELD] == "held"
    many, spoiled = own[..., -1], partner[..., -1]
    gains = {"the softmax": spoiled[:, NONE] - many[:, NONE]}
    gains["its growth"] = many[:, HELD] - many[:, NONE]
    gains["the bias on top"] = many[:, NONE] - many[:, BIAS]
    for what, gain in gains.items():
        mean, error = mean_and_error(gain)
        assert mean > 4 * error, what
    mean, error = mean_and_error(spoiled[:, BIAS] - many[:, BIAS])
    assert mean > both * error
    assert many[:, BIAS].mean() > 3 * own[:, NONE, 0].mean(), "not the error without them"

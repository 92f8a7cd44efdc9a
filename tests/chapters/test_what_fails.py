"""The statements, the words on records and the exercises of *What fails*."""

import math

import numpy as np
import pytest
import torch

from attention_collapse import records, scenes, vggt
from attention_collapse.experiments.error_slopes import error_slopes
from attention_collapse.theory.reference_dilution import diluted_mass
from tolerances import (
    COPIED_ROTATION,
    FINITE_DIFFERENCE_SLOPE,
    FLOAT64,
    FLOAT64_NETWORK,
    SAMPLED_SHARE,
    quoted,
)


def means(experiment, what, quantity):
    """Means over networks and scenes, ``[treatment frame_count]``."""
    return records.find(experiment, what).arrays[quantity].mean((0, 1))


@pytest.fixture(scope="module")
def orbit():
    return records.find("orbit_error", "to_64_frames").arrays


# The share of the reference frame


@pytest.mark.claims("eq-reference-odds", "eq-reference-bias")
def test_the_bias_multiplies_the_odds():
    scores = np.random.default_rng(0).normal(size=40)
    first = np.arange(40) < 5
    for bias in (0.0, math.log(8), -2.0):
        weights = np.exp(scores + bias * first)
        share = weights[first].sum() / weights.sum()
        expected = math.exp(bias) * np.exp(scores[first]).sum() / np.exp(scores[~first]).sum()
        assert share / (1 - share) == pytest.approx(expected, rel=100 * FLOAT64)
    assert math.exp(vggt.reference_bias(512, 8)) == pytest.approx(64, rel=FLOAT64)
    assert vggt.reference_bias(8, 8) == 0


@pytest.mark.claims("prop-share-limit", "eq-share-limit")
def test_the_share_falls_like_one_over_the_frames_and_has_a_limit_under_the_bias():
    rng = np.random.default_rng(0)
    reference, frames = np.exp(rng.normal(size=6)).sum(), 200_000
    later = np.exp(rng.normal(size=(frames - 1, 6))).sum()
    mean = 6 * math.exp(1 / 2)
    share = reference / (reference + later)
    assert frames * share == pytest.approx(reference / mean, rel=SAMPLED_SHARE)
    biased = reference * frames / 8
    limit = reference / (reference + 8 * mean)
    assert biased / (biased + later) == pytest.approx(limit, rel=SAMPLED_SHARE)


@pytest.mark.claims("thm-copies")
@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_copies_act_like_a_bias_on_all_that_a_network_says(bias):
    network = vggt.VGGT(vggt.TINY, generator=torch.Generator().manual_seed(0)).double()
    images = scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images
    adjusted = vggt.AdjustedScores
    copied = network.reconstruct(images[[0, 1, 2, 1, 2, 1, 2]], reducer=adjusted(bias=bias))
    once = network.reconstruct(images, reducer=adjusted(bias=bias - math.log(3)))
    for name in ("points", "depth", "world_to_camera"):
        found, expected = getattr(copied, name), getattr(once, name)
        for frames in ([0, 1, 2], [0, 3, 4], [0, 5, 6]):
            difference = (found[:, frames] - expected).abs().max()
            assert difference < FLOAT64_NETWORK, name


@pytest.mark.claims("exercise-copied-reference")
def test_a_copy_of_the_reference_is_not_the_reference():
    network = vggt.VGGT(vggt.TINY, generator=torch.Generator().manual_seed(0)).double()
    images = scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images
    copied = network.reconstruct(images[[0, 0, 1, 2]]).points
    biased = network.reconstruct(images, reducer=vggt.AdjustedScores(bias=math.log(2))).points
    assert (copied[:, [0, 2, 3]] - biased).abs().max() > 1e6 * FLOAT64_NETWORK


@pytest.mark.claims("exercise-reference-share")
def test_shares_at_64_frames():
    found = diluted_mass(np.array([0.55, 0.13]), known=8, frames=64)
    np.testing.assert_allclose(found, [0.120, 0.016], atol=quoted(3))


# Growth


@pytest.mark.claims("eq-window-slope")
def test_a_slope_is_that_of_logarithms():
    frames = np.array([4, 8, 32])
    errors = 3 * frames[None, None] ** np.array(1.7)
    found = error_slopes(errors, frames).value
    np.testing.assert_allclose(found, 1.7, rtol=100 * FLOAT64)


@pytest.mark.claims("prop-quadrature", "eq-right-angle", "exercise-quadrature")
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_drift_at_a_right_angle_has_twice_its_slope_at_the_onset(power):
    def excess(logarithm):
        return math.hypot(1, math.exp(power * logarithm)) - 1

    step = 1e-4
    for place in (-4.0, 0.0, 3.0):
        slope = math.log(excess(place + step) / excess(place - step)) / (2 * step)
        expected = power * (1 + 1 / math.hypot(1, math.exp(power * place)))
        assert slope == pytest.approx(expected, abs=FINITE_DIFFERENCE_SLOPE)
    assert 1 + 1 / math.sqrt(2) == pytest.approx(1.71, abs=quoted(2))
    assert 64 * math.sqrt(99) == pytest.approx(637, abs=quoted(0))


# Words on records


def test_the_bias_removes_the_growth_and_nothing_else_differs(orbit):
    frames, trained = list(orbit["frames"]), list(orbit["frames"]).index(8)
    assert list(orbit["treatments"]) == ["none", "bias"]
    for name in ("points", "aligned_points", "rotation", "centre"):
        plain, cured = orbit[name].mean((0, 1))
        np.testing.assert_array_equal(plain[: trained + 1], cured[: trained + 1])
        growth, left = plain[-1] - plain[trained], cured[-1] - plain[trained]
        assert growth > 0, name
        assert left < growth / 10, name
        gains = (orbit[name][:, :, 0] - orbit[name][:, :, 1]).mean(0)[:, -1]
        assert gains.mean() > 2 * gains.std(ddof=1) / len(gains) ** 0.5, name
        assert (np.diff(plain[: trained + 1]) < 0).all(), "more frames help up to those of training"
    assert frames[-1] > 8


def test_a_part_of_the_excess_is_the_coordinate_frame_and_depth_stays(orbit):
    gain = {name: np.subtract(*orbit[name].mean((0, 1))[:, -1]) for name in orbit_errors()}
    assert 0.3 < gain["aligned_points"] / gain["points"] < 0.8
    assert abs(gain["depth"]) < 0.02 * orbit["depth"].mean()


def orbit_errors():
    return ("points", "aligned_points", "depth")


def test_the_share_falls_in_proportion_in_four_layers_and_slowly_in_two(orbit):
    plain, cured = orbit["reference_mass"].mean((0, -1))
    frames, trained = orbit["frames"], list(orbit["frames"]).index(8)
    fallen = plain[-1] / plain[trained]
    proportional = 8 / frames[-1]
    assert (fallen[:4] < 1.6 * proportional).all()
    assert (fallen[4:] > 4 * proportional).all()
    assert (np.abs(cured[-1] / cured[trained] - 1) < 0.12).all()


def test_the_rank_stays():
    rank = records.find("orbit_frames", "orbit").arrays
    trained = list(rank["frames"]).index(8)
    for name in ("stable_rank", "singular_ratio"):
        first, last = rank[name][:, [trained, -1]].mean((0, -1))
        assert (np.abs(last / first - 1) < 0.12).all(), name
    distance = rank["distance_from_rank_one"][:, [trained, -1]].mean((0, -1))
    assert (distance[1] - distance[0] > -0.01).all()
    assert rank["stable_rank"].mean((0, -1))[0, -1] < 2


def test_copies_raise_the_error_and_their_bias_keeps_rotations():
    copied = records.find("duplicates_error", "to_57_frames").arrays
    plain, cured = np.moveaxis(copied["rotation"], 2, 0)
    assert (plain[..., -1] > 1.3 * plain[..., 0]).all()
    np.testing.assert_allclose(
        cured, cured[..., :1].repeat(cured.shape[-1], -1), rtol=COPIED_ROTATION
    )


def test_copies_move_rotations_in_proportion_and_then_less():
    far = records.find("photograph_copies", "orbit").arrays
    rates = far["rotation"][0, 1:] / (far["frames"][1:] - far["frames"][0])
    assert rates.max() < 1.2 * rates[0]
    assert rates[-1] < 0.7 * rates[0]
    assert far["rotation"][1].max() < far["rotation"][0, -1] / 500


def test_the_excess_grows_super_linearly_in_the_last_window_and_the_error_does_not(orbit):
    for name in ("points", "aligned_points", "rotation", "centre"):
        _, low, _ = orbit[f"{name}_excess_slope"][-1]
        assert low > 1, name
        _, _, high = orbit[f"{name}_slope"][0, -1]
        assert high < 1, name


def test_the_bias_takes_a_part_of_what_foreign_frames_do():
    for name in ("points", "rotation"):
        plain, cured, sharp = means("foreign_frames", "to_32_frames", name)
        assert plain[-1] > 2 * plain[0], name
        assert 0.15 < (plain[-1] - cured[-1]) / (plain[-1] - plain[0]) < 0.5, name
        assert cured[-1] < sharp[-1] < plain[-1], name


def test_remedies_rank_as_told():
    names = list(records.find("remedies", "to_32_frames").arrays["treatments"])
    points, rotation = (
        dict(zip(names, means("remedies", "to_32_frames", name), strict=True))
        for name in ("points", "rotation")
    )
    best = sorted(names, key=lambda name: points[name][-1])
    assert best[:3] == ["bias", "chunks:8", "none"]
    assert min(rotation, key=lambda name: rotation[name][-1]) == "bias"
    assert rotation["scale:0.85"][-1] > 2 * rotation["none"][-1]
    assert points["scale:1.3"][0] > 1.1 * points["none"][0]
    assert rotation["length"][-1] < rotation["none"][-1]
    assert points["length"][-1] > points["none"][-1]


def test_merging_loses_more_than_its_share_gains_at_few_frames():
    """So that the identity cannot be seen in errors yet; the share by itself does help."""
    names = list(records.find("trained_merging", "to_32_frames").arrays["treatments"])
    points, aligned, rotation = (
        dict(zip(names, means("trained_merging", "to_32_frames", name), strict=True))
        for name in ("points", "aligned_points", "rotation")
    )
    for ratio in ("0.3", "0.6"):
        plain, merged, match = (
            rotation[n][-1] for n in ("none", f"merge:{ratio}", f"match:{ratio}")
        )
        assert merged > 1.4 * plain
        assert match < 0.9 * plain
        kept, free = f"merge:{ratio}", f"merge:{ratio}+open"
        assert points[free][-1] > 1.5 * points[kept][-1]
        assert points[free][-1] - aligned[free][-1] > 5 * (points[kept][-1] - aligned[kept][-1])
    assert rotation["match:0.6"][-1] < rotation["match:0.3"][-1]


def test_walks_fail_by_their_range():
    walk, bias, chain = means("walk_error", "to_32_frames", "points")
    dense = means("fixed_range_error", "to_32_frames", "points")[0]
    wide = means("fixed_range_error", "long_to_32_frames", "points")[0]
    assert walk[-1] > 50 * walk[-2]
    assert dense[-1] < walk[-1] / 20
    assert wide[0] > walk[-1], "eight frames over the range of 32 fail as well"
    assert wide[-1] < 1.1 * wide[0]
    assert bias[-1] > walk[-1]
    assert chain[-1] < walk[-1] / 50
    spread = means("walk_error", "to_32_frames", "spread_ratio")[0, -1]
    assert spread < 0.6


def test_under_the_bias_of_copies_points_change_by_their_weights_alone():
    """A mean over the reference frame once and the others m times, from two numbers of frames."""
    copied = records.find("duplicates_error", "to_57_frames").arrays
    errors, frames = copied["points"][:, :, 1], copied["frames"]
    share = 1 / frames
    later = (errors[..., -1] * frames[-1] - errors[..., 0] * frames[0]) / (frames[-1] - frames[0])
    first = errors[..., 0] * frames[0] - later * (frames[0] - 1)
    assert first.mean() < later.mean()
    expected = later[..., None] + (first - later)[..., None] * share
    np.testing.assert_allclose(errors, expected, rtol=COPIED_ROTATION)

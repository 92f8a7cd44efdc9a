"""The statements and the exercises of *What fails*; its words on records are tested beside."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from attention_collapse import scenes, vggt
from attention_collapse.experiments.error_slopes import error_slopes
from attention_collapse.measure import spectrum
from attention_collapse.theory.reference_dilution import diluted_mass
from tolerances import (
    FINITE_DIFFERENCE_SLOPE,
    FLOAT64,
    FLOAT64_NETWORK,
    SAMPLED_SHARE,
    quoted,
)

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


# Residual scales of one, so that the head's attention between frames shows.
CAMERA_HEADS = {
    "of each frame": vggt.TINY.camera,
    "over frames": vggt.CameraHeadConfig(width=96, depth=4, heads=4, layer_scale=1.0),
}


def under(network, images, bias, camera_bias):
    reducer = vggt.AdjustedScores(bias=bias)
    return network.reconstruct(images, reducer=reducer, camera_bias=camera_bias)


@pytest.mark.claims("thm-copies")
@pytest.mark.parametrize("head", CAMERA_HEADS)
@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_copies_act_like_a_bias_on_all_that_a_network_says(bias, head):
    sizes = replace(vggt.TINY, camera=CAMERA_HEADS[head])
    network = vggt.VGGT(sizes, generator=torch.Generator().manual_seed(0)).double()
    images = scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images
    copied = under(network, images[[0, 1, 2, 1, 2, 1, 2]], bias, bias)
    once = under(network, images, bias - math.log(3), bias - math.log(3))
    for name in ("points", "depth", "pose_encoding", "world_to_camera"):
        found, expected = getattr(copied, name), getattr(once, name)
        for frames in ([0, 1, 2], [0, 3, 4], [0, 5, 6]):
            assert (found[:, frames] - expected).abs().max() < FLOAT64, name
    layers_alone = under(network, images, bias - math.log(3), bias)
    assert (layers_alone.points - once.points).abs().max() < FLOAT64
    moved = (layers_alone.pose_encoding - once.pose_encoding).abs().max()
    if head == "over frames":
        assert moved > 0.05, "the head dilutes the reference frame by itself"
    else:
        assert moved < FLOAT64


def attention_under(network, images, bias):
    """Weights of all global layers, ``[layer head query key]``."""
    names = [f"global.{n:02}.attention.weights" for n in range(network.config.aggregator.depth)]
    seen = {}
    watch = vggt.Watch(frozenset(names), seen.__setitem__)
    network.reconstruct(images, reducer=vggt.AdjustedScores(bias=bias), observe=watch)
    return torch.stack([seen[name][0] for name in names]).double()


def among_copies(weights, frames, copies):
    """The matrix with the spectrum of attention among copies, and its distance from rank one."""
    later = torch.arange(weights.shape[-1]) >= weights.shape[-1] // frames
    root = (1 + (copies - 1) * later.double()).sqrt()
    between = root[:, None] * weights / root
    mean = root @ between / root.norm()
    return between, 1 - mean.square().sum(-1) / between.square().sum((-2, -1))


@pytest.mark.parametrize("bias", [0.0, math.log(3)])
def test_ranks_of_copies_are_those_of_weighted_attention(bias):
    network = vggt.VGGT(vggt.TINY, generator=torch.Generator().manual_seed(0)).double()
    images = scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images
    whole = attention_under(network, images[[0, 1, 2, 1, 2, 1, 2]], bias)
    between, apart = among_copies(attention_under(network, images, bias - math.log(3)), 3, 3)
    expected = spectrum.singular_values(whole)[..., : between.shape[-1]]
    close = {"rtol": 0, "atol": FLOAT64}
    torch.testing.assert_close(spectrum.singular_values(between), expected, **close)
    torch.testing.assert_close(apart, spectrum.distance_from_rank_one(whole), **close)


def test_one_head_nears_rank_one_with_copies_and_stable_ranks_are_lowest_under_the_bias():
    network = vggt.mini()
    images = scenes.orbit(8, image_size=(56, 56), seed=0).images
    ranks, distances = [], []
    for copies, bias in ((1, 0.0), (73, 0.0), (73, math.log(73))):
        weights = attention_under(network, images, bias - math.log(copies))
        between, apart = among_copies(weights, 8, copies)
        ranks.append(spectrum.stable_rank(spectrum.singular_values(between)).mean(-1))
        distances.append(apart)
    few, copied, cured = ranks
    assert (cured[:5] < few[:5]).all()
    assert (cured[:5] < copied[:5]).all()
    fallen = distances[1] - distances[0]
    assert fallen.argmin() == 5 * 6 + 1
    assert distances[1][5, 1] < 0.6 * distances[0][5, 1]
    assert distances[2][5, 1] > 0.9 * distances[0][5, 1]


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

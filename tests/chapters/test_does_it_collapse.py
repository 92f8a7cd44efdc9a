"""The statements, the words on records and the exercises of *Does it collapse?*."""

import math

import numpy as np
import pytest
import torch

from attention_collapse import records, scenes, vggt
from attention_collapse.figures.scene_means import mean_and_error
from attention_collapse.measure import attention_maps, spectrum
from tolerances import EXTREME_FRAMES, FITTED_SLOPE, FLOAT64, SETTLING_OPERATOR, quoted

SKIP = records.find("depth_skip", "orbit").arrays
ITERATED = records.find("iterated_depth", "orbit").arrays
WALK = records.find("walk_frames", "walk").arrays
ORBIT = records.find("orbit_frames", "orbit").arrays
KNOCK = records.find("knock_out", "orbit").arrays
MAPS = records.find("heat_maps", "orbit").arrays


def frame_place(arrays, count):
    return list(arrays["frames"]).index(count)


def layer_change(arrays, name, first, last=-1):
    """Mean change from one number of frames to another, and its standard error, by layer."""
    values = arrays[name]
    means = values.mean(axis=-1) if values.ndim == 4 else values
    return mean_and_error(means[:, last] - means[:, first])


def readers():
    """Heads with more than five times an even share on the first of 32 frames."""
    mass = ORBIT["reference_mass"][:, frame_place(ORBIT, 32)].mean(axis=0)
    return 32 * mass > 5


# Where it collapses


def test_tokens_collapse_without_the_skip_of_attention_at_any_number_of_frames():
    spread = dict(zip(SKIP["settings"], SKIP["spread"].mean(axis=1), strict=True))
    assert (spread["skips"] > 0.9).all()
    for name in ("no_attention_skip", "no_skip"):
        assert (spread[name][:, -1] < 1e-6).all()
        few, many = spread[name][[0, -1], :3]
        assert (np.abs(many / few - 1) < 0.1).all()
    assert (spread["no_mlp_skip"][:, -1] > 0.2).all()


def test_positions_keep_attention_of_equal_tokens_off_rank_one():
    ratios = SKIP["singular_ratio"].mean(axis=(1, 2, -1))
    lowest = dict(zip(SKIP["settings"], ratios.min(axis=-1), strict=True))
    assert 0.25 < lowest["no_attention_skip"] < 0.7 * lowest["skips"]


def late_slopes():
    """Exponents of the spread from 20 applications on, by setting and block."""
    times, spread = ITERATED["applications"], ITERATED["spread"].mean(axis=2)[:, :, -1]
    late = times >= 20
    lines = np.log(spread[..., late]).reshape(-1, late.sum()).T
    slopes = np.polyfit(np.log(times[late]), lines, 1)[0].reshape(spread.shape[:2])
    return dict(zip(ITERATED["settings"], slopes, strict=True))


def test_attention_alone_collapses_like_one_over_the_applications():
    slopes = late_slopes()["attention"]
    assert ((slopes > -1.2) & (slopes < -0.85)).all()
    ranks = ITERATED["stable_rank"].mean(axis=(2, -1))[0, :, -1, -1]
    assert ranks.max() < 1.01


def test_the_rest_of_the_block_ends_the_collapse():
    slopes = late_slopes()
    assert slopes["mlp"].min() > -0.2
    assert slopes["rotary"].min() > -0.1
    assert ITERATED["spread"].mean(axis=2)[-1, :, -1, -1].min() > 0.5
    assert ITERATED["stable_rank"].mean(axis=(2, -1))[-1, :, -1, -1].min() > 1.5
    directions = ITERATED["participation_ratio"].mean(axis=2)[-1, :, -1]
    assert (directions[:, -1] < 0.75 * directions[:, 0]).all()
    assert directions[:, -1].min() < 1.25


def test_frame_attention_brings_the_tokens_of_one_block_on_a_line():
    thin = ITERATED["participation_ratio"].mean(axis=2)[1, :, -1, -1]
    assert thin.min() < 1.05
    assert ITERATED["spread"].mean(axis=2)[1, thin.argmin(), -1, -1] > 1.5


def test_long_walks_move_the_last_layer_a_little():
    eight = frame_place(WALK, 8)
    cosine, cosine_error = layer_change(WALK, "mean_cosine", eight)
    far, far_error = layer_change(WALK, "distance_from_rank_one", eight)
    assert cosine[5] > 3 * cosine_error[5]
    assert cosine[4] < 2 * cosine_error[4]
    assert far[5] < -3 * far_error[5]
    assert (far[3:5] > 3 * far_error[3:5]).all()
    assert cosine[:4].max() < cosine[4:].min()


# Where it does not


def test_frames_leave_the_deficit_of_the_first_four_layers_and_raise_the_others():
    deficit = ORBIT["entropy_deficit"].mean(axis=(0, -1))
    assert np.abs(deficit[-1] / deficit[0] - 1)[:4].max() < 0.02
    assert (np.diff(deficit[:, 4:], axis=0) > 0).all()
    entropy = ORBIT["row_entropy"].mean(axis=(0, -1))[:, :4].mean(axis=-1)
    slope = np.polyfit(np.log(ORBIT["frames"]), entropy, 1)[0]
    assert slope == pytest.approx(1, abs=FITTED_SLOPE)


def test_frames_bring_neither_attention_nor_tokens_together():
    far, _ = layer_change(ORBIT, "distance_from_rank_one", 0)
    assert far.min() > -0.01
    assert (far > 0).sum() > 3
    cosine, _ = layer_change(ORBIT, "mean_cosine", 0)
    assert np.abs(cosine).max() < 0.01
    spread = ORBIT["spread"].mean(axis=0)
    assert np.abs(spread[-1] / spread[frame_place(ORBIT, 8)] - 1).max() < 0.01


def test_three_heads_make_the_fall_of_the_singular_ratio():
    ratio = ORBIT["singular_ratio"].mean(axis=0)
    change = ratio[-1] - ratio[0]
    falls = change.mean(axis=-1)
    assert np.abs(falls).max() < 0.07
    assert set(np.argsort(falls)[:2]) == {2, 3}
    named = change[[2, 2, 3], [2, 4, 2]]
    assert named.sum() < 0.8 * change[2:4].sum() < 0


def test_four_heads_lose_stable_rank_by_the_rows_of_their_special_tokens():
    rank = ORBIT["stable_rank"]
    ratio = (rank[:, -1] / rank[:, 0]).mean(axis=0)
    sharp = np.argwhere(ratio < 0.6)
    assert len(sharp) == 4
    assert (np.abs(ratio - 1) < 0.25).sum() > 30
    far = ORBIT["distance_from_rank_one"].mean(axis=0)[:, *sharp.T]
    assert (np.diff(far, axis=0) > 0).all()
    energy = ORBIT["frobenius_squared"].mean(axis=0)[:, *sharp.T]
    assert (energy[-1] > 3 * energy[0]).all()
    mass = MAPS["frame_mass"][0][*sharp.T][..., 0]
    camera, patch = mass[:, 1], mass[:, 3]
    assert MAPS["queries"][[1, 3]].tolist() == [[1, 0], [1, 23]]
    assert camera.min() > 0.6
    assert patch.max() < 2 / 8


def test_up_to_512_frames_the_same_in_one_scene():
    deficit = MAPS["entropy_deficit"].mean(axis=-1)
    assert MAPS["frames"][[0, -1]].tolist() == [8, 512]
    assert np.abs(deficit[-1] / deficit[0] - 1)[:4].max() < 0.03
    for layer in (4, 5):
        peak = deficit[:, layer].argmax()
        assert 0 < peak < len(deficit) - 1
    far = MAPS["distance_from_rank_one"].mean(axis=-1)
    assert np.abs(far[-1] - far[0]).max() < 0.07


def test_maps_of_patches_keep_their_shape_from_8_to_512_frames():
    weights = MAPS["largest"][..., None, None].astype(np.float64) * (MAPS["maps"] / 255) ** 2
    patches = weights[:, :, :, [3, 5], :, 5:].reshape(len(weights), 72, -1)
    alike = [np.corrcoef(few, many)[0, 1] for few, many in zip(*patches[[0, -1]], strict=True)]
    assert min(alike) > 0.98
    first = patches.reshape(len(weights), 6, 6, 2, 8, 64).sum(axis=-1)[..., 0]
    for layer, head in ((4, 0), (5, 1)):
        assert first[0, layer, head].min() > 0.95
        assert (first[-1, layer, head] < first[0, layer, head] - 0.05).all()


# The operator settles


@pytest.mark.claims("prop-doubling", "eq-doubling")
def test_doubling_independent_frames_changes_the_output_by_the_stated_variance():
    generator = np.random.default_rng(0)
    sizes, limits = np.array([32, 128, 512]), []
    for size in sizes:
        score = generator.standard_normal((4000, 2 * size))
        z = 1 + np.exp(0.3 * score)
        y = z * (2 + score + generator.uniform(-1, 1, score.shape))
        output = y.mean() / z.mean()
        gamma = np.var((y - output * z) / z.mean())
        few, many = (y[:, :n].sum(1) / z[:, :n].sum(1) for n in (size, 2 * size))
        limits.append(2 * size * np.var(many - few) / gamma)
    assert limits[-1] == pytest.approx(1, abs=2 * FITTED_SLOPE)
    slope = np.polyfit(np.log(sizes), np.log(np.array(limits) / sizes) / 2, 1)[0]
    assert slope == pytest.approx(-0.5, abs=FITTED_SLOPE)


def doublings(seed):
    """Change of each head's output as the keys go from 2 to 32 frames, [layer, head, doubling]."""
    points = (f"attention.{part}" for part in ("query", "key", "value"))
    names = [f"global.{n:02d}.{point}" for point in points for n in range(6)]
    seen, room = {}, scenes.orbit(32, image_size=(56, 56), seed=seed)
    watch = vggt.Watch(frozenset(names), seen.__setitem__)
    with torch.inference_mode():
        vggt.mini().aggregator(room.images[None], observe=watch, keep=())
    query, key, value = torch.cat([seen[name] for name in names]).split(6)
    scores = query[:, :, :69] @ key.mT / key.shape[-1] ** 0.5
    counts = [69 * frames for frames in (2, 4, 8, 16, 32)]
    outputs = [scores[..., :n].softmax(-1) @ value[:, :, :n] for n in counts]
    return torch.stack(outputs).diff(dim=0).norm(dim=(-2, -1)).permute(1, 2, 0).numpy()


def test_heads_that_do_not_read_the_first_frame_settle_like_one_over_root_s():
    assert np.argwhere(readers())[:, 0].tolist() == [4, 4, 4, 5, 5, 5]
    moved = np.log(np.mean([doublings(seed) for seed in (0, 1, 2)], axis=0))
    lines = moved.reshape(36, 4).T
    slopes = np.polyfit(np.log([2, 4, 8, 16]), lines, 1)[0].reshape(6, 6)
    assert np.median(slopes[~readers()]) == pytest.approx(-0.5, abs=SETTLING_OPERATOR)
    assert np.median(slopes[readers()]) > 0


# What frames dilute


@pytest.mark.claims("prop-reference-share", "eq-reference-share")
def test_the_share_of_one_frame_among_many():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    scores[0] += 3
    mass = scores.exp().sum(dim=-1)
    share = scores.flatten().softmax(0)[:6].sum()
    star = mass[0] / mass[1:].mean()
    assert share == pytest.approx(float(star / (39 + star)), rel=FLOAT64)


@pytest.mark.claims("prop-reference-share")
def test_the_deficit_of_a_row_on_one_frame_grows_by_log_two_with_each_doubling():
    first = torch.linspace(0, 1, 6, dtype=torch.float64)
    deficits = []
    for frames in (10, 20, 40):
        scores = torch.full((frames, 6), -60.0, dtype=torch.float64)
        scores[0] = first
        row = scores.flatten().softmax(0)[None]
        deficits.append(math.log(6 * frames) - float(attention_maps.row_entropy(row)))
    assert np.diff(deficits) == pytest.approx(math.log(2), abs=FLOAT64)
    alone = float(attention_maps.row_entropy(first.softmax(0)[None]))
    assert deficits[0] == pytest.approx(math.log(60) - alone, abs=FLOAT64)


def test_shares_of_the_reading_heads_follow_the_law_roughly():
    share = MAPS["reference_mass"][:, *np.argwhere(readers()).T]
    before = MAPS["frames"][:, None] - 1
    star = before * share / (1 - share)
    assert (np.diff(share, axis=0) < 0).all()
    assert (np.diff(star, axis=0) > 0).all()
    predicted = star[0] / (before[-1] + star[0])
    assert np.abs(predicted - share[-1]).max() < 0.3


# Is low rank a defect?


def test_low_rank_is_no_defect():
    whole = KNOCK["points"].mean()
    cost = KNOCK["points_without_head"].mean(axis=(2, 3)) / whole
    eight = frame_place(ORBIT, 8)
    rank = ORBIT["stable_rank"][:, eight].mean(axis=0)
    places = [values.ravel().argsort().argsort() for values in (rank, cost)]
    assert np.corrcoef(places)[0, 1] < -0.3
    low = rank < np.quantile(rank, 1 / 3)
    assert np.median(cost[low]) > np.median(cost[~low])
    worst = np.unravel_index(cost.argmax(), cost.shape)
    assert ORBIT["reference_mass"][:, eight][:, *worst].mean() > 0.99
    assert KNOCK["points_without_all"].mean() > 20 * whole
    assert KNOCK["rotation_without_all"].mean() > 50 * KNOCK["rotation"].mean()


# Exercises


@pytest.mark.claims("exercise-broadcast")
def test_exercise_broadcast():
    deficits = []
    for frames in (4, 8):
        attention = torch.zeros(frames * 5, frames * 5, dtype=torch.float64)
        attention[:, :3] = 1 / 3
        entropy = attention_maps.row_entropy(attention).mean()
        deficits.append(math.log(5 * frames) - float(entropy))
        assert spectrum.distance_from_rank_one(attention) == pytest.approx(0, abs=FLOAT64)
        values = spectrum.singular_values(attention)
        assert spectrum.stable_rank(values) == pytest.approx(1, abs=FLOAT64)
    assert deficits[0] == pytest.approx(math.log(20 / 3), abs=FLOAT64)
    assert deficits[1] - deficits[0] == pytest.approx(math.log(2), abs=FLOAT64)


@pytest.mark.claims("exercise-half-share")
def test_exercise_half_share():
    star = 7 * 0.91 / 0.09
    assert star == pytest.approx(70.8, abs=quoted(1))
    assert 1 + star == pytest.approx(72, abs=quoted(0))
    assert star / (511 + star) == pytest.approx(0.12, abs=quoted(2))


@pytest.mark.claims("exercise-mixed-shares")
def test_exercise_mixed_shares():
    stars = np.array([3.0, 20.0, 400.0])
    implied = []
    for later in (1e-9, 7, 511, 1e12):
        share = (stars / (later + stars)).mean()
        rest = (later / (later + stars)).mean()
        implied.append(later * share / rest)
    assert implied[0] == pytest.approx(1 / np.mean(1 / stars), rel=EXTREME_FRAMES)
    assert implied[-1] == pytest.approx(stars.mean(), rel=EXTREME_FRAMES)
    assert np.all(np.diff(implied) > 0)

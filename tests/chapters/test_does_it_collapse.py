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


def late_slopes(since=20, frame_count=-1):
    """Exponents of the spread from some application on, by setting, each [block, scene]."""
    times, spread = ITERATED["applications"], ITERATED["spread"][:, :, :, frame_count]
    late = times >= since
    lines = np.log(spread[..., late]).reshape(-1, late.sum()).T
    slopes = np.polyfit(np.log(times[late]), lines, 1)[0].reshape(spread.shape[:3])
    return dict(zip(ITERATED["settings"], slopes, strict=True))


def test_attention_alone_collapses_like_one_over_the_applications_but_in_block_5():
    slopes = late_slopes()["attention"]
    five = np.delete(slopes, 4, axis=0)
    assert ((five > -1.2) & (five < -0.9)).all()
    ranks = ITERATED["stable_rank"].mean(axis=(2, -1))[0, :, -1, -1]
    assert ranks.max() < 1.01
    few = np.delete(late_slopes(frame_count=0)["attention"], 4, axis=0)
    assert ((few > -1.2) & (few < -0.9)).all()


def test_block_5_is_slow_in_the_scene_where_rank_one_comes_late():
    quick, slow = late_slopes()["attention"][4]
    assert quick < -0.9 < -0.75 < slow
    half = list(ITERATED["applications"]).index(50)
    rank = ITERATED["stable_rank"][0, 4, :, -1, half].mean(axis=-1)
    assert rank[0] < 1.05 < 1.1 < rank[1]
    assert late_slopes(since=100)["attention"][4, 1] < slow - 0.1
    assert ITERATED["stable_rank"][0, 4, 1, 0, -1].max() > 1.05


def test_the_rest_of_the_block_ends_the_collapse():
    slopes = {name: each.mean(axis=1) for name, each in late_slopes().items()}
    assert slopes["mlp"].min() > -0.2
    assert slopes["rotary"].min() > -0.1
    assert ITERATED["spread"].mean(axis=2)[-1, :, -1, -1].min() > 0.5
    assert ITERATED["stable_rank"].mean(axis=(2, -1))[-1, :, -1, -1].min() > 1.5
    directions = ITERATED["participation_ratio"].mean(axis=2)[-1, :, -1]
    kept = directions[:, -1] / directions[:, 0]
    assert kept.argmax() == 4
    assert 0.9 < kept[4] < 1
    assert np.delete(kept, 4).max() < 0.75
    assert directions[:, -1].min() < 1.25


def test_with_frame_attention_the_fall_goes_on_in_two_blocks():
    slopes = late_slopes(since=50)["frame_attention"].mean(axis=1)
    assert np.flatnonzero(slopes < 0).tolist() == [1, 5]


def test_frame_attention_brings_the_tokens_of_one_block_on_a_line():
    thin = ITERATED["participation_ratio"].mean(axis=2)[1, :, -1, -1]
    assert thin.argmin() == 4
    assert thin.min() < 1.05
    assert ITERATED["spread"].mean(axis=2)[1, thin.argmin(), -1, -1] > 1.5


def test_long_walks_move_the_last_layer_a_little():
    assert WALK["frames"].tolist() == [2, 8, 32, 128, 512]
    eight = frame_place(WALK, 8)
    cosine, cosine_error = layer_change(WALK, "mean_cosine", eight)
    far, far_error = layer_change(WALK, "distance_from_rank_one", eight)
    assert cosine[5] > 3 * cosine_error[5]
    assert far[5] < -3 * far_error[5]
    assert np.abs(far[4]) < 2 * far_error[4]
    assert cosine[:5].max() < 0 < cosine[5] < 0.05
    by_frames = WALK["distance_from_rank_one"].mean(axis=(0, -1))
    assert (np.diff(by_frames[:, 5]) < 0).all()
    assert (by_frames.argmax(axis=0)[3:5] == frame_place(WALK, 32)).all()
    assert WALK["mean_cosine"].mean(axis=0)[:, 4].argmax() == frame_place(WALK, 128)


def test_one_head_makes_the_change_of_the_last_layer_and_gets_to_rank_one():
    eight, far = frame_place(WALK, 8), WALK["distance_from_rank_one"][:, :, 5]
    rest = np.delete(far, 1, axis=-1).mean(axis=-1)
    change, error = mean_and_error(rest[:, -1] - rest[:, eight])
    assert np.abs(change) < 2 * error
    assert far[:, eight, 1].min() > 0.4
    assert far[:, -1, 1].max() < 0.05
    assert WALK["stable_rank"][:, -1, 5, 1].max() < 1.01
    assert WALK["reference_mass"][:, -1, 5, 1].min() > 0.9


# Where it does not


def test_frames_leave_the_deficit_of_the_first_four_layers_and_raise_the_others():
    deficit = ORBIT["entropy_deficit"].mean(axis=(0, -1))
    assert ORBIT["frames"][[0, -1]].tolist() == [2, 512]
    assert np.abs(deficit[-1] / deficit[0] - 1)[:4].max() < 0.025
    for layer, top in ((4, 64), (5, 256)):
        peak = frame_place(ORBIT, top)
        assert (np.diff(deficit[: peak + 1, layer]) > 0).all()
        assert (np.diff(deficit[peak:, layer]) < 0).all()
    entropy = ORBIT["row_entropy"].mean(axis=(0, -1))[:, :4].mean(axis=-1)
    slope = np.polyfit(np.log(ORBIT["frames"]), entropy, 1)[0]
    assert slope == pytest.approx(1, abs=FITTED_SLOPE)


def test_frames_bring_neither_layers_nor_tokens_together():
    far, _ = layer_change(ORBIT, "distance_from_rank_one", 0)
    assert far.min() > -0.01
    assert (far > 0).sum() == 4
    cosine, _ = layer_change(ORBIT, "mean_cosine", 0)
    assert np.abs(cosine).max() < 0.015
    spread = ORBIT["spread"].mean(axis=0)
    assert np.abs(spread[-1] / spread[frame_place(ORBIT, 8)] - 1).max() < 0.01


def test_one_head_comes_nearer_to_rank_one_and_takes_its_layer_along():
    far = ORBIT["distance_from_rank_one"]
    change = (far[:, -1] - far[:, 0]).mean(axis=0)
    assert np.unravel_index(change.argmin(), change.shape) == (5, 1)
    assert change[5, 1] < -0.25
    assert np.sort(change.ravel())[1] > -0.05
    late = (far[:, -1] - far[:, frame_place(ORBIT, 32)]).mean(axis=0)[5]
    assert late.mean() < -0.03
    assert np.abs(np.delete(late, 1)).max() < 0.015
    assert ORBIT["reference_mass"][:, -1, 5, 1].min() > 0.85


def test_five_heads_lose_most_of_the_singular_ratio():
    ratio = ORBIT["singular_ratio"].mean(axis=0)
    change = ratio[-1] - ratio[0]
    assert np.abs(change.mean(axis=-1)).max() < 0.1
    heads = [[2, 2], [2, 4], [3, 2], [4, 2], [5, 1]]
    assert np.argwhere(change < -0.18).tolist() == heads
    rank = ORBIT["stable_rank"]
    fallen = (rank[:, -1] / rank[:, 0]).mean(axis=0) < 0.7
    assert np.argwhere(fallen).tolist() == heads


def test_four_heads_lose_stable_rank_by_the_rows_of_their_special_tokens():
    rank = ORBIT["stable_rank"]
    ratio = (rank[:, -1] / rank[:, 0]).mean(axis=0)
    sharp = np.argwhere(ratio < 0.6)
    assert len(sharp) == 4
    assert (np.abs(ratio - 1) < 0.25).sum() == 30
    far = ORBIT["distance_from_rank_one"].mean(axis=0)[:, *sharp.T]
    assert (far[-1] > far[0]).all()
    assert far[-1].min() > 0.9
    energy = ORBIT["frobenius_squared"].mean(axis=0)[:, *sharp.T]
    assert (energy[-1] > 3 * energy[0]).all()
    shares = 512 * ORBIT["reference_mass"].mean(axis=0)[-1, *sharp.T]
    assert shares.min() > 5
    mass = MAPS["frame_mass"][0][*sharp.T][..., 0]
    camera, patch = mass[:, 1], mass[:, 3]
    assert MAPS["queries"][[1, 3]].tolist() == [[1, 0], [1, 23]]
    assert camera.min() > 0.6
    assert patch.max() < 2 / 8


def test_maps_of_patches_keep_their_shape_from_8_to_512_frames():
    weights = MAPS["largest"][..., None, None].astype(np.float64) * (MAPS["maps"] / 255) ** 2
    patches = weights[:, :, :, [3, 5], :, 5:].reshape(len(weights), 72, -1)
    alike = [np.corrcoef(few, many)[0, 1] for few, many in zip(*patches[[0, -1]], strict=True)]
    assert min(alike) > 0.98
    special = weights[:, :, :, :3, :, 5:].reshape(len(weights), 108, -1)
    moved = [np.corrcoef(few, many)[0, 1] for few, many in zip(*special[[0, -1]], strict=True)]
    assert min(moved) == pytest.approx(0.72, abs=quoted(2))
    first = patches.reshape(len(weights), 6, 6, 2, 8, 64).sum(axis=-1)[..., 0]
    for layer, head in ((4, 0), (5, 1)):  # in the text 5, 1 and 6, 2
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
    """Change of each head's output as the keys go from 2 to 64 frames, [layer, head, doubling]."""
    points = (f"attention.{part}" for part in ("query", "key", "value"))
    names = [f"global.{n:02d}.{point}" for point in points for n in range(6)]
    seen, room = {}, scenes.orbit(64, image_size=(56, 56), seed=seed)
    watch = vggt.Watch(frozenset(names), seen.__setitem__)
    with torch.inference_mode():
        vggt.mini().aggregator(room.images[None], observe=watch, keep=())
    query, key, value = torch.cat([seen[name] for name in names]).split(6)
    scores = query[:, :, :69] @ key.mT / key.shape[-1] ** 0.5
    counts = [69 * frames for frames in (2, 4, 8, 16, 32, 64)]
    outputs = [scores[..., :n].softmax(-1) @ value[:, :, :n] for n in counts]
    return torch.stack(outputs).diff(dim=0).norm(dim=(-2, -1)).permute(1, 2, 0).numpy()


def test_heads_that_do_not_read_the_first_frame_settle_like_one_over_root_s():
    assert np.argwhere(readers())[:, 0].tolist() == [4, 4, 4, 5, 5, 5]
    moved = np.log(np.mean([doublings(seed) for seed in (0, 1, 2)], axis=0))
    lines = moved.reshape(36, 5).T
    slopes = np.polyfit(np.log([2, 4, 8, 16, 32]), lines, 1)[0].reshape(6, 6)
    assert np.median(slopes[~readers()]) == pytest.approx(-0.5, abs=SETTLING_OPERATOR)
    assert np.median(slopes[readers()]) > 0
    sharp = slopes[[2, 2, 3, 4], [2, 4, 2, 2]]
    assert sharp.min() > np.median(slopes[~readers()])
    assert (np.sort(slopes[~readers()])[-3:] == np.sort(sharp)[-3:]).all()


def test_to_512_frames_distance_and_rank_settle_and_the_deficit_drifts():
    eight, found = frame_place(ORBIT, 8), {}
    for name in ("distance_from_rank_one", "stable_rank", "entropy_deficit"):
        values = np.log(ORBIT[name]) if name == "stable_rank" else ORBIT[name]
        moved = np.median(np.abs(np.diff(values, axis=1))[:, :, ~readers()], axis=-1)
        at = np.log(ORBIT["frames"][eight:-1])
        found[name] = mean_and_error(np.polyfit(at, np.log(moved[:, eight:]).T, 1)[0])
    assert found["distance_from_rank_one"][0] == pytest.approx(-0.5, abs=SETTLING_OPERATOR)
    assert found["stable_rank"][0] == pytest.approx(-0.5, abs=SETTLING_OPERATOR)
    slope, error = found["entropy_deficit"]
    assert slope > -0.5 + 3 * error
    assert moved.mean(axis=0).argmin() in (5, 6)
    last = np.diff(ORBIT["entropy_deficit"].mean(axis=0), axis=0)[-1]
    assert (last.mean(axis=-1)[2:4] < -0.005).all()
    assert last[2, [2, 4]].sum() < 0.9 * last[2].sum() < 0


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
    since = frame_place(ORBIT, 8)
    share = ORBIT["reference_mass"].mean(axis=0)[since::2, *np.argwhere(readers()).T]
    before = ORBIT["frames"][since::2, None] - 1
    star = before * share / (1 - share)
    assert (np.diff(share, axis=0) < 0).all()
    assert (np.diff(star, axis=0) > 0).all()
    predicted = star[0] / (before[-1] + star[0])
    assert np.abs(predicted - share[-1]).max() < 0.3


# Is low rank a defect?


@pytest.mark.parametrize("frames", [8, 64])
def test_low_rank_is_no_defect(frames):
    at = frame_place(KNOCK, frames)
    whole = KNOCK["points"][:, at]
    costs = KNOCK["points_without_head"][..., at] / whole
    cost, _ = mean_and_error(np.moveaxis(costs, -1, 0))
    rank = ORBIT["stable_rank"][:, frame_place(ORBIT, frames)].mean(axis=0)
    orders = np.moveaxis(costs, -1, 0).reshape(len(whole), -1)
    places = [values.argsort().argsort() for values in (rank.ravel(), *orders)]
    ordered, error = mean_and_error(np.corrcoef(places)[0, 1:])
    assert ordered < -0.3
    assert error < 0.1
    low = rank < np.quantile(rank, 1 / 3)
    assert np.median(cost[low]) > np.median(cost[~low])
    assert np.unravel_index(cost.argmax(), cost.shape) == (5, 1)
    assert ORBIT["reference_mass"][:, frame_place(ORBIT, frames), 5, 1].mean() > 0.98
    assert (KNOCK["points_without_all"][:, at] > 20 * whole).all()
    rotation = KNOCK["rotation_without_all"][:, at].mean()
    assert rotation > 50 * KNOCK["rotation"][:, at].mean()


@pytest.mark.parametrize("frames", [8, 64])
def test_within_layers_rank_and_cost_are_not_correlated(frames):
    at = frame_place(KNOCK, frames)
    costs = (KNOCK["points_without_head"] / KNOCK["points"])[..., at]
    rank = ORBIT["stable_rank"][:, frame_place(ORBIT, frames)].mean(axis=0)
    orders = costs.argsort(axis=1).argsort(axis=1), rank.argsort(axis=1).argsort(axis=1)
    cost, order = (each - each.mean(axis=1, keepdims=True) for each in orders)
    by_scene = np.einsum("lhs,lh->ls", cost, order).mean(axis=0) / (order[0] ** 2).sum()
    found, error = mean_and_error(by_scene)
    said = {8: (-0.05, 0.05), 64: (-0.06, 0.06)}[frames]
    assert (found, error) == pytest.approx(said, abs=quoted(2))


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

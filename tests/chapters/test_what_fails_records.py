"""The words of *What fails* on its records."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.experiments.error_slopes import error_slopes
from attention_collapse.figures.scene_means import mean_and_error
from tolerances import COPIED_POINTS, COPIED_ROTATION, KEPT_ODDS, PROPORTIONAL_SHARE

CHAPTER = Path(__file__).parents[2] / "chapters" / "what-fails.ipynb"


def by_treatment(experiment, what, quantity):
    """Values ``[weights scene frame_count]`` by the names of treatments, and numbers of frames."""
    arrays = records.find(experiment, what).arrays
    values = np.moveaxis(arrays[quantity], 2, 0)
    return dict(zip(arrays["treatments"], values, strict=True)), list(arrays["frames"])


def means(experiment, what, quantity):
    """Means over networks and scenes by the names of treatments, and numbers of frames."""
    values, frames = by_treatment(experiment, what, quantity)
    return {name: value.mean((0, 1)) for name, value in values.items()}, frames


def paired(one, other):
    """Difference over scenes of networks' means, and its standard error, by number of frames."""
    return mean_and_error((one - other).mean(0))


@pytest.fixture(scope="module")
def orbit():
    return records.find("orbit_error", "to_2048_frames").arrays


# Growth with frames of one room


def test_the_headline_has_three_networks_twelve_scenes_and_eight_to_2048_frames(orbit):
    assert list(orbit["treatments"]) == ["none", "bias"]
    assert orbit["rotation"].shape[:2] == (3, 12)
    assert len(set(orbit["weights"])) == 3
    assert {8, 64, 512, 2048} <= set(orbit["frames"])


def test_the_bias_removes_the_growth_and_nothing_else_differs(orbit):
    trained = list(orbit["frames"]).index(8)
    for name in ("points", "aligned_points", "rotation", "centre"):
        plain, cured = np.moveaxis(orbit[name], 2, 0)
        np.testing.assert_array_equal(plain[..., : trained + 1], cured[..., : trained + 1])
        assert (plain[..., -1] > cured[..., -1]).all(), "in every scene of every network"
        assert (np.diff(plain.mean((0, 1))[trained + 1 :]) > 0).all(), name
        gain, error = paired(plain, cured)
        assert gain[-1] > 4 * error[-1], name
        change, error = paired(cured[..., -1:], cured[..., [trained]])
        assert change < 2 * error, f"{name} stays where it was"
        assert abs(change) < gain[-1] / 100, name


def test_up_to_training_more_frames_do_not_harm(orbit):
    trained = list(orbit["frames"]).index(8)
    for name in ("points", "aligned_points", "depth", "rotation", "centre"):
        plain = orbit[name][:, :, 0]
        change, error = paired(plain[..., [trained]], plain[..., :1])
        assert change < error, name


def test_much_of_the_excess_is_the_coordinate_frame_and_depth_fails_last(orbit):
    frames = list(orbit["frames"])
    names = ("points", "aligned_points", "depth")
    excess = {name: np.subtract(*orbit[name].mean((0, 1))) for name in names}
    early, late = (
        excess["aligned_points"][at] / excess["points"][at] for at in (frames.index(64), -1)
    )
    assert late < 1 / 3
    assert 1 / 2 < early < 0.55, "about half"
    harm = excess["depth"] / orbit["depth"].mean((0, 1))[1]
    assert harm[frames.index(512)] < 0.1
    assert harm[-1] > 0.5
    plain, cured = np.moveaxis(orbit["pose_accuracy"], 2, 0)
    assert (plain[..., -1] < cured[..., -1]).all()


def test_the_share_falls_in_proportion_in_one_layer_and_slower_the_deeper(orbit):
    plain, cured = orbit["reference_mass"].mean((0, -1))
    frames, trained = orbit["frames"], list(orbit["frames"]).index(8)
    proportion = (plain[trained:] / plain[trained]).T * (frames[trained:] / 8)
    np.testing.assert_allclose(proportion[0], 1, rtol=PROPORTIONAL_SHARE)
    assert (np.diff(proportion[:, -1]) > 0).all()
    assert (np.diff(plain, axis=0) < 0).all()
    assert (plain[trained, 4:] / (1 - plain[trained, 4:]) > 1 / 2).all()
    odds = cured[[trained, -1]] / (1 - cured[[trained, -1]])
    limit = 7 / 8 * frames[-1] / (frames[-1] - 1)
    np.testing.assert_allclose(odds[1] / odds[0], limit, rtol=KEPT_ODDS)


def test_the_rank_stays_while_the_share_falls():
    rank = records.find("orbit_frames", "orbit").arrays
    trained = list(rank["frames"]).index(8)
    assert rank["frames"][-1] == 512
    for name in ("stable_rank", "singular_ratio"):
        first, last = rank[name][:, [trained, -1]].mean((0, -1))
        assert (last / first > 0.88).all(), name
    distance = rank["distance_from_rank_one"].mean((0, -1))
    change = distance[-1] - distance[trained]
    assert change.argmin() == 5, "the last layer is the one that moves"
    assert (change[:5] > -0.01).all()
    assert change.argmax() == 4
    assert distance[-1, 5] > distance[0, 5] - 0.01, "and no further than at two frames"
    assert rank["stable_rank"].mean((0, -1))[0, -1] < 2
    share = rank["reference_mass"].mean((0, -1))[:, 0]
    assert share[trained] / share[-1] > 60


def test_one_head_nears_rank_one_and_it_is_the_costliest_to_lose():
    rank = records.find("orbit_frames", "orbit").arrays
    trained = list(rank["frames"]).index(8)
    apart = rank["distance_from_rank_one"].mean(0)
    fallen = apart[-1] - apart[trained]
    assert fallen.size == 36
    assert np.unravel_index(fallen.argmin(), fallen.shape) == (5, 1)
    assert np.sort(fallen.ravel())[1] > fallen.min() / 5
    ranks = rank["stable_rank"].mean(0)
    change = ranks[-1] / ranks[trained] - 1
    assert change.min() < -0.5
    assert change.max() > 0.5
    knock = records.find("knock_out", "orbit").arrays
    costs = (knock["points_without_head"] / knock["points"]).mean(-2)
    assert np.unravel_index(costs[..., 0].argmax(), costs.shape[:2]) == (5, 1)


# Copies


def test_copies_do_what_new_frames_do_and_their_bias_keeps_rotations(orbit):
    copied, frames = means("duplicates_error", "to_449_frames", "rotation")
    np.testing.assert_allclose(copied["bias"], copied["bias"][0], rtol=COPIED_ROTATION)
    each, _ = by_treatment("duplicates_error", "to_449_frames", "rotation")
    assert (each["none"][..., -1] > 2 * each["none"][..., 0]).all()
    # Between 256 and 512 new frames, by the count of frames: at least as bad, by a fifth at most.
    for name in ("rotation", "points"):
        copied, frames = means("duplicates_error", "to_449_frames", name)
        new = orbit[name][:, :, 0].mean((0, 1))
        between = np.interp(np.log(frames[-1]), np.log(orbit["frames"]), np.log(new))
        assert 1 < copied["none"][-1] / np.exp(between) < 1.2, name


def test_under_the_bias_of_copies_points_change_by_their_weights_alone():
    """A mean over the reference frame once and the others m times, from two numbers of frames."""
    copied, frames = means("duplicates_error", "to_449_frames", "points")
    errors, frames = copied["bias"], np.array(frames)
    later = (errors[-1] * frames[-1] - errors[0] * frames[0]) / (frames[-1] - frames[0])
    first = errors[0] * frames[0] - later * (frames[0] - 1)
    assert first < later
    np.testing.assert_allclose(errors, later + (first - later) / frames, rtol=COPIED_POINTS)


def test_copies_move_rotations_in_proportion_and_then_less():
    far = records.find("photograph_copies", "orbit").arrays
    rates = np.diff(far["rotation"][0]) / np.diff(far["frames"])
    assert rates.max() < 1.2 * rates[0]
    assert (np.diff(rates[rates.argmax() :]) < 0).all()
    assert rates[-1] < 0.5 * rates[0]
    assert far["rotation"][1].max() < far["rotation"][0, -1] / 500


def test_the_stages_of_the_viewer_cover_the_recorded_frames(orbit):
    cells = json.loads(CHAPTER.read_text())["cells"]
    source = "".join(next(cell for cell in cells if cell["id"] == "room")["source"])
    copies = ast.literal_eval(source.split("for copies in ")[1].split(":")[0])
    stages = [1 + 7 * count for count in copies]
    assert {8, 64, 512} <= set(stages)
    assert stages[-1] == 2052 >= orbit["frames"][-1] == 2048


# Windows


def test_the_excess_grows_super_linearly_then_linearly_then_less(orbit):
    ends = list(orbit["frames"])
    for name, until in (("points", 256), ("aligned_points", 128), ("rotation", 256)):
        _, low, high = orbit[f"{name}_excess_slope"].T
        above = [end for end, value in zip(ends[1:], low, strict=True) if value > 1]
        assert above[-1] == until, name
        start = ends.index(64 if name == "points" else 32)
        assert above == ends[start : ends.index(until) + 1], "without a gap"
        linear = slice(ends.index(256), ends.index(1024))
        assert (low[linear] < 1).all()
        assert (high[linear] > 1).all()
    for name, less in (("rotation", True), ("centre", True), ("points", False)):
        assert (orbit[f"{name}_excess_slope"][-1, 2] < 1) == less, name
    assert orbit["aligned_points_excess_slope"][-1, 2] > 1
    for name in ("points", "aligned_points", "rotation", "centre"):
        slopes = orbit[f"{name}_excess_slope"][:, 0]
        assert (np.diff(slopes[np.isfinite(slopes)]) < 0).all(), f"the slope of {name} falls"


def test_the_error_as_a_whole_grows_no_faster_than_the_frames(orbit):
    trained = list(orbit["frames"]).index(8)
    for name in ("points", "aligned_points", "rotation", "centre"):
        assert (orbit[f"{name}_slope"][0, :, 0] < 1).all(), name
        plain = orbit[name][:, :, 0].mean((0, 1))
        assert plain[-1] / plain[trained] < 256 / 6
    assert orbit["rotation_slope"][0, :, 2].max() > 1, "though intervals reach one"
    assert orbit["points_slope"][0, :, 2].max() > 1


@pytest.fixture(scope="module")
def fourth():
    return records.find("orbit_error", "again_to_2048_frames").arrays


def test_a_fourth_network_grows_super_linearly_later_and_as_a_whole(orbit, fourth):
    ends = list(fourth["frames"])
    middle = slice(ends.index(256), ends.index(1024))
    whole, grown = fourth["rotation_slope"][0], fourth["rotation_excess_slope"]
    for slopes in (whole, grown):
        assert (slopes[middle, 1] > 1).all(), "with all of their intervals"
    between = slice(ends.index(64), ends.index(256))
    assert ((grown[between, 1] < 1) & (grown[between, 2] > 1)).all(), "open from 64 to 256"
    assert fourth["points_slope"][0, :, 0].max() < 1.1
    assert (orbit["rotation_slope"][0, :, 0] < 1).all(), "in none of the windows of the three"


def test_what_all_four_networks_share(orbit, fourth):
    ends = list(fourth["frames"])
    own = np.concatenate([study["rotation"] for study in (orbit, fourth)])
    for each in own:
        slopes = error_slopes((each[:, 0] - each[:, 1])[None], fourth["frames"])
        assert (slopes.low[ends.index(16) : ends.index(64)] > 1).all(), "super-linear at first"
        assert slopes.high[-1] < 1, "sub-linear at last"
    for name in ("points", "rotation"):
        plain = fourth[name][0, :, 0].mean(0)
        assert plain[-1] > orbit[name][:, :, 0, -1].mean(1).max(), "the fourth is worst"
        for study in (orbit, fourth):
            assert (study[name][:, :, 1, -1].mean(1) < 1.01 * study[name][:, :, 0, 2].mean(1)).all()


def test_alignment_leaves_more_in_the_fourth_network(orbit, fourth):
    def left(study, at=-1):
        raw, best = (
            study[name][:, :, 0, at].mean(1) - study[name][:, :, 1, at].mean(1)
            for name in ("points", "aligned_points")
        )
        return best / raw

    assert left(orbit).max() < 0.42 < 0.75 < left(fourth)[0]
    poses = [study["pose_accuracy"][:, :, 0, -1].mean(1) for study in (orbit, fourth)]
    assert poses[0].min() > 0.8 > 0.4 > poses[1][0]


def test_the_excess_of_copies_has_the_slopes_of_new_frames(orbit):
    copied = records.find("duplicates_error", "to_449_frames").arrays
    for name in ("points", "rotation"):
        found = copied[f"{name}_excess_slope"]
        assert (np.diff(found[1:, 0]) < 0).all()
        for (_, low, high), (value, _, _) in zip(
            found[2:], orbit[f"{name}_excess_slope"][4:8], strict=True
        ):
            assert low < value < high, name


# Other scenes


def test_the_bias_takes_most_of_what_many_foreign_frames_do_and_little_of_what_few_do():
    for name in ("points", "rotation"):
        found, frames = means("foreign_frames", "to_512_frames", name)
        plain, cured, sharp = (found[key] for key in ("none", "bias", "scale:1.3"))
        assert (np.diff(plain) > 0).all()
        removed = (plain - cured)[1:] / (plain - plain[0])[1:]
        assert removed[frames.index(32) - 1] < 1 / 3, name
        assert removed[-1] > 3 / 4, name
        assert cured[-1] < sharp[-1] < plain[-1], name
        assert cured[-1] > 5 * plain[0], "what is left is many times the error without them"
    slopes = records.find("foreign_frames", "to_512_frames").arrays["rotation_slope"]
    assert slopes[0, frames.index(9), 1] > 1


def test_walks_fail_by_their_range():
    walk, frames = means("walk_error", "to_512_frames", "points")
    dense, dense_frames = means("fixed_range_error", "to_512_frames", "points")
    wide, wide_frames = means("fixed_range_error", "long_to_128_frames", "points")
    at, dense_at = frames.index(32), dense_frames.index(32)
    assert walk["none"][at] > 50 * walk["none"][frames.index(8)]
    assert dense["none"][dense_at] < walk["none"][at] / 20
    assert wide_frames[0] == 8
    assert wide["none"][0] > walk["none"][at], "eight frames over the range of 32 fail as well"
    assert (wide["none"][1:] < wide["none"][0]).all()
    assert (wide["bias"][1:] > wide["none"][1:]).all()
    spread, _ = means("walk_error", "to_512_frames", "spread_ratio")
    assert spread["none"][-1] < 0.05
    assert dense["bias"][-1] < 1.1 * dense["bias"][dense_frames.index(8)]
    assert dense["none"][-1] > 5 * dense["bias"][-1]
    each, _ = by_treatment("fixed_range_error", "to_512_frames", "points")
    harm = np.sort((each["none"] - each["bias"])[..., -1].mean(1))
    assert harm[-1] > 0.8 * harm.sum(), "for the most part that of one network"


def test_the_bias_keeps_the_start_of_a_walk_and_chains_keep_the_way():
    walk, _ = means("walk_error", "to_512_frames", "points")
    first, _ = means("walk_error", "to_512_frames", "first_points")
    rotation, _ = means("walk_error", "to_512_frames", "rotation")
    assert walk["bias"][-1] > walk["none"][-1]
    assert first["bias"][-1] < first["none"][-1] / 5
    assert rotation["bias"][-1] < rotation["none"][-1] / 2
    assert walk["chained:8:4"][-1] < walk["none"][-1] / 20
    arrays = records.find("walk_error", "to_512_frames").arrays
    chain = arrays["points_slope"][list(arrays["treatments"]).index("chained:8:4")]
    assert chain[-1, 1] > 1, "the drift of odometry is super-linear"


# Remedies and merging


def test_remedies_rank_as_told():
    points, frames = means("remedies", "to_512_frames", "points")
    rotation, _ = means("remedies", "to_512_frames", "rotation")
    best = sorted(points, key=lambda name: points[name][-1])
    assert best[:4] == ["bias", "chunks:8", "bias+scale:1.15", "scale:1.3"]
    assert best[-2:] == ["none", "scale:0.85"]
    assert sorted(rotation, key=lambda name: rotation[name][-1])[:2] == ["bias", "chunks:8"]
    each, _ = by_treatment("remedies", "to_512_frames", "points")
    price, error = paired(each["chunks:8"], each["bias"])
    assert price[-1] > 3 * error[-1]
    assert price[-1] < 0.05 * points["bias"][-1]
    assert rotation["scale:0.85"][-1] > 2 * rotation["none"][-1]
    assert rotation["scale:1.3"][-1] < 1.25 * rotation["scale:1.3"][0]
    assert points["scale:1.3"][0] > 1.1 * points["none"][0]
    assert rotation["length"][-1] < rotation["none"][-1] / 3
    worse = points["length"] > points["none"]
    assert worse[1:-1].all()
    assert not worse[-1], "scores with the logarithm help points at 512 frames alone"
    assert frames[-1] == 512


@pytest.mark.parametrize("what", ["to_512_frames", "at_2048_frames"])
@pytest.mark.parametrize("share", ["0.3", "0.6"])
def test_with_many_frames_merging_gains_by_the_weights_alone(what, share):
    each, frames = by_treatment("trained_merging", what, "rotation")
    kept, sized, match = (each[f"{n}:{share}{e}"] for n, e in PARTS)
    many = [place for place, count in enumerate(frames) if count >= 256]
    gain, error = (values[many] for values in paired(kept, sized))
    assert (gain < -2 * error).all(), "leaving out the sizes removes drift"
    whole, _ = (values[many] for values in paired(match, each["none"]))
    assert (np.abs(paired(sized, each["none"])[0][many] / whole) < 0.1).all()
    assert (gain / whole > 0.5).all()
    assert (gain / whole < 0.8).all(), "and less than the matching bias"


def test_with_few_frames_the_weights_gain_nothing():
    each, frames = by_treatment("trained_merging", "to_512_frames", "rotation")
    kept, sized, match = (each[f"{n}:0.6{e}"] for n, e in PARTS)
    at = frames.index(64)
    gain, error = paired(kept, sized)
    assert gain[at] > 2 * error[at]
    whole, error = paired(match, each["none"])
    assert whole[at] < -2 * error[at]


PARTS = (("merge", ""), ("merge", "+sized"), ("match", ""))


@pytest.mark.parametrize("share", ["0.3", "0.6"])
def test_merging_loses_where_frames_are_few_and_the_biases_never_do(share):
    rotation, frames = means("trained_merging", "to_512_frames", "rotation")
    points, _ = means("trained_merging", "to_512_frames", "points")
    better = rotation[f"merge:{share}"] < rotation["none"]
    assert [count for count, wins in zip(frames, better, strict=True) if wins] == [256, 512]
    for quantity in (points, rotation):
        assert (quantity[f"match:{share}"] < quantity[f"merge:{share}"]).all()
        from_64 = slice(frames.index(64), None)
        assert (quantity["bias"][from_64] < quantity[f"match:{share}"][from_64]).all()
    each, _ = by_treatment("trained_merging", "to_512_frames", "points")
    gain, error = paired(each["merge:0.6"], each["none"])
    assert gain[-2] > 0 > gain[-1] > -error[-1]
    late, _ = by_treatment("trained_merging", "at_2048_frames", "points")
    gain, error = paired(late["merge:0.6"], late["none"])
    assert gain[-1] < -2 * error[-1]


def test_an_open_reference_costs_the_frame_at_eight_and_gains_alike_at_2048():
    def gap(what):
        raw, _ = means("trained_merging", what, "points")
        aligned, _ = means("trained_merging", what, "aligned_points")
        return {name: raw[name] - aligned[name] for name in raw}

    early, late = gap("to_512_frames"), gap("at_2048_frames")
    assert early["merge:0.3+open"][0] > 5 * early["merge:0.3"][0]
    assert late["merge:0.3+open"][-1] < 1.1 * late["merge:0.3"][-1]
    rotation, _ = means("trained_merging", "at_2048_frames", "rotation")
    lost = rotation["merge:0.3+open"][-1] - rotation["merge:0.3"][-1]
    assert lost < 0.1 * (rotation["none"][-1] - rotation["merge:0.3"][-1]), "the prediction fails"


def test_the_two_records_of_merging_have_the_same_treatments_and_nested_scenes():
    first, second = (
        records.find("trained_merging", what).arrays for what in ("to_512_frames", "at_2048_frames")
    )
    np.testing.assert_array_equal(first["treatments"], second["treatments"])
    assert set(second["scene_seeds"]) < set(first["scene_seeds"])

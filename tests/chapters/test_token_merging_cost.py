"""What *Token merging* says about the cost of merging and the error beside it."""

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.experiments import merging_problem
from attention_collapse.figures.merging_cost import (
    STAGES,
    pareto_front,
    shares_of_ceilings,
    speed_ups,
)
from attention_collapse.merging.partition import _balanced_stripes, grid_partition
from attention_collapse.tokens import TokenLayout
from tolerances import COUNTED_DESTINATIONS, LEVEL, quoted

FRAMES = (100, 200, 500, 1000)
WIDTH = 1024


@pytest.fixture(scope="module")
def record():
    return records.find("merging_cost", "h200")


@pytest.fixture(scope="module")
def arrays(record):
    return record.arrays


@pytest.fixture(scope="module")
def at(arrays):
    return {name: row for row, name in enumerate(arrays["variant"].tolist())}


@pytest.fixture(scope="module")
def last(arrays, at):
    """Times of the stages in ms, gain and errors at 1000 frames, by variant."""
    stages = arrays["stage"].tolist()
    gains = speed_ups(arrays)[-1]
    return {
        name: dict(zip(stages, 1e3 * arrays["seconds"][-1, row], strict=True))
        | {"gain": gains[row], "error": arrays["error"][-1, row]}
        | {"apart": arrays["centred_error"][-1, row]}
        for name, row in at.items()
    }


def test_the_run_was_made_as_the_chapter_says(record, arrays):
    config = record.config
    assert tuple(arrays["frames"]) == tuple(config["frames"]) == FRAMES
    assert (config["grid"], config["heads"], config["dim"]) == ([28, 37], 16, 64)
    assert record.numerics["compute_dtype"] == "bfloat16"
    assert {timing.repeats for timing in record.timings.values()} == {3}
    assert (merging_problem.DRIFT, config["checked"]) == (2, 128)


def test_cells_that_the_edge_cuts_have_a_destination_of_their_own(arrays, at):
    layout = TokenLayout(2, 28, 37)
    partition = grid_partition(layout, cell=(3, 3), reference="grid")
    chosen = np.zeros((2, layout.per_frame), dtype=bool)
    chosen.ravel()[partition.destinations] = True
    grid = chosen[1, layout.special :].reshape(28, 37)
    cells = [
        grid[row : row + 3, column : column + 3]
        for row in range(0, 28, 3)
        for column in range(0, 37, 3)
    ]
    assert [cell.sum() for cell in cells] == [1] * 130
    assert sum(cell.size == 9 for cell in cells) == 108
    even = grid_partition(layout, cell=(3, 3), reference="grid", balanced=True)
    assert len(even.destinations) == 2 * 9 * 12
    sides = [np.bincount(_balanced_stripes(lines, 3)) for lines in (28, 37)]
    assert (np.outer(*sides) >= 12).sum() == 20
    for name, kept in (("3x3, 128", 135), ("3x3, 128, balanced", 9 * 12 + 5)):
        np.testing.assert_array_equal(arrays["keys"][:, at[name]], kept * np.array(FRAMES))


@pytest.mark.claims("eq-search-share")
def test_the_search_has_the_stated_share_of_the_operations(arrays, at):
    """Destinations are 130 of 135 tokens that stay: the formula counts all of them."""
    for name, compared in (("3x3", 1024), ("3x3, 128", 128), ("4x4, 128", 128)):
        row = at[name]
        queries = arrays["queries"][:, row].astype(float)
        kept = queries / arrays["tokens"]
        stated = (1 - kept) / (2 * kept) * compared / WIDTH
        counted = 2 * arrays["products"][:, row] / (4 * queries**2 * WIDTH)
        np.testing.assert_allclose(counted, stated, rtol=COUNTED_DESTINATIONS)
    third = (1 - 1 / 3) / (2 / 3)
    assert third == pytest.approx(1)


def test_the_kernels_alone_are_worth_a_third_on_the_released_tokens(arrays, at, last):
    released, fused = last["public"], last["released set"]
    rows = arrays["queries"][:, [at["public"], at["released set"]]]
    np.testing.assert_array_equal(rows[:, 0], rows[:, 1])
    assert released["total"] / fused["total"] == pytest.approx(1.32, abs=quoted(2))
    assert fused["error"] == pytest.approx(released["error"], rel=LEVEL)


def test_fewer_tokens_and_fewer_numbers_save_most(last):
    whole, short = last["3x3"], last["3x3, 128"]
    assert whole["match"] > 0.5 * whole["total"]
    assert 0.2 < short["match"] / short["total"] < 0.3  # a quarter
    assert whole["gain"] == pytest.approx(21.6, abs=quoted(1))
    assert short["gain"] > 2 * whole["gain"]
    assert short["error"] < 1.02 * whole["error"]
    assert short["attention"] > 0.5 * short["total"]
    pairs = (1041 / 135) ** 2
    assert last["plain"]["attention"] / short["attention"] > pairs


def test_cells_that_are_not_cut_save_what_cut_ones_keep(arrays, at, last):
    assert last["3x3, balanced"]["gain"] == pytest.approx(26.1, abs=quoted(1))
    assert last["3x3, 128, balanced"]["gain"] == pytest.approx(70.4, abs=quoted(1))
    for cut, even in (("3x3", "3x3, balanced"), ("3x3, 128", "3x3, 128, balanced")):
        assert last[cut]["error"] < last[even]["error"] < 1.03 * last[cut]["error"]
    few = arrays["error"][0]
    assert few[at["3x3, 128, balanced"]] > 1.1 * few[at["3x3, 128"]]


def test_the_search_takes_the_shares_that_the_chapter_states(last):
    for name, expected in (("3x3, 128", 26), ("4x4, 128", 38), ("3x3, 128, keys", 5)):
        parts = [last[name][stage] for stage in STAGES if stage in last[name]]
        share = last[name]["match"] / np.nansum(parts)
        assert 100 * share == pytest.approx(expected, abs=quoted(0))


def test_the_released_tokens_are_a_smaller_share_of_many_frames(arrays, at):
    kept = arrays["keys"][:, at["public"]] / arrays["tokens"]
    assert (np.diff(kept) < 0).all()
    assert [f"{100 * share:.1f}" for share in kept[2:]] == ["34.8", "34.8"]


def test_merging_and_the_way_back_are_slivers(last):
    for stages in last.values():
        for stage in ("merge", "unmerge"):
            taken = stages[stage] / stages["total"]
            assert np.isnan(taken) or taken < 0.03 or stages is last["3x3, 128, second order"]


def test_the_front_is_as_the_chapter_reads_it(arrays, at, last):
    names = list(at)
    gains = speed_ups(arrays)
    front = [names[point] for point in pareto_front(gains[-1], arrays["error"][-1])]
    assert front[-2:] == ["3x3, 128, keys", "plain"]
    assert {"public", "released set", "3x3, 128, unsized"}.isdisjoint(front)
    keys, mild, large = last["3x3, 128, keys"], last["3x3, 128, ratio 0.7"], last["4x4, 128"]
    assert round(keys["error"] / last["plain"]["error"]) == 2
    assert large["gain"] > 10 * mild["gain"]
    assert large["error"] < 1.2 * mild["error"]
    assert mild["error"] > 3 * keys["error"]
    few = arrays["error"][[0, 1]]
    assert (few[:, at["4x4, 128"]] > 1.3 * large["error"]).all()


def test_larger_cells_cost_little_where_a_point_is_seen_often(arrays, at, last):
    """Views of a point over 1000 frames on average, and over 100 frames at most."""
    columns, drift = 37, merging_problem.DRIFT
    assert round(1000 * columns / merging_problem.POINTS_PER_ROW) == 127
    assert round(127 / 16) == 8
    views = [
        sum(0 <= place - drift * frame < columns for frame in range(100)) for place in range(292)
    ]
    most = max(views)
    assert (most, round(most / 16)) == (19, 1)
    small, large = at["2x2, 128"], at["4x4, 128"]
    error = arrays["error"]
    assert error[0, large] / error[0, small] > 1.5 > 1.2 > error[-1, large] / error[-1, small]
    assert last["4x4, 128"]["gain"] > last["3x4, 128"]["gain"] > last["3x3, 128"]["gain"]


def test_sizes_take_away_error_and_no_time(arrays, at, last):
    sized, unsized = last["3x3, 128"], last["3x3, 128, unsized"]
    assert unsized["error"] > 1.6 * sized["error"]
    assert sized["total"] / unsized["total"] == pytest.approx(0.98, abs=quoted(2))
    assert sized["attention"] == pytest.approx(unsized["attention"], rel=LEVEL)
    stages = arrays["stage"].tolist()
    attention = arrays["seconds"][..., stages.index("attention")]
    halved = at["3x3, 128, ratio 0.5"]
    for fewer, more in ((0, 1), (2, 3)):  # 100 and 200 frames, 500 and 1000
        assert arrays["queries"][more, halved] == arrays["keys"][fewer, at["plain"]]
        assert attention[more, halved] < attention[fewer, at["plain"]]


def test_most_of_the_error_is_in_the_merged_queries(last):
    short, keys, plain = last["3x3, 128"], last["3x3, 128, keys"], last["plain"]
    assert keys["error"] < 0.3 * short["error"]
    assert keys["gain"] == pytest.approx(9.2, abs=quoted(1))
    assert plain["error"] < 0.5 * keys["error"]
    for each in last.values():
        assert 7 < each["apart"] / each["error"] < 7.5  # most of an output is common


def test_the_second_order_is_not_worth_its_time(last):
    second, first = last["3x3, 128, second order"], last["3x3, 128"]
    assert 0.98 * first["error"] < second["error"] < first["error"]
    assert second["total"] > 1.6 * first["total"]


def test_kernels_come_as_near_to_the_device_as_the_chapter_says(arrays, at):
    near = shares_of_ceilings(arrays, width=WIDTH)
    row = at["3x3, 128"]
    assert near["match"][-1, at["3x3"]] > 0.85 > near["match"][-1, row]
    assert near["attention"][-1, row] > near["attention"][-1, at["plain"]]
    for name in ("3x3", "3x3, 128", "3x3, balanced", "3x3, 128, balanced"):
        assert near["merge"][-1, at[name]] > 0.9
        assert near["unmerge"][-1, at[name]] > 0.88


def test_the_start_of_kernels_counts_where_the_search_is_short(arrays, at):
    """As many tokens and groups, at 100 frames and at 1000."""
    merged = arrays["seconds"][..., arrays["stage"].tolist().index("merge")]
    whole, short = (merged[:, at[name]] for name in ("3x3", "3x3, 128"))
    for count in ("queries", "keys"):
        np.testing.assert_array_equal(*(arrays[count][:, at[n]] for n in ("3x3", "3x3, 128")))
    assert short[0] > 2 * whole[0]
    assert short[-1] == pytest.approx(whole[-1], rel=LEVEL)


def test_short_stages_are_farther_from_the_rate_of_a_copy(arrays, at):
    near, row = shares_of_ceilings(arrays, width=WIDTH), at["3x3, 128"]
    for stage in ("merge", "unmerge"):
        assert (np.diff(near[stage][:, row]) > 0).all()
    assert near["merge"][0, row] < 0.6 * near["merge"][-1, row]


def test_the_search_of_whole_features_is_nearest_at_200_and_500_frames(arrays, at):
    """The aim was .85: missed by the released tokens at 1000 frames, and by all at 100."""
    match = shares_of_ceilings(arrays, width=WIDTH)["match"]
    middle = match[1:3][:, [at["3x3"], at["released set"]]]
    assert middle.min() == pytest.approx(0.89, abs=quoted(2))
    assert middle.max() == pytest.approx(0.96, abs=quoted(2))
    assert match[-1, at["released set"]] < 0.85 < match[-1, at["3x3"]]
    assert (match[0, [at["3x3"], at["released set"]]] < 0.85).all()

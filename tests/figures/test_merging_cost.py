import itertools

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.experiments import merging_variants
from attention_collapse.figures import merging_cost
from attention_collapse.figures.merging_cost import (
    draw_merging_front,
    draw_merging_stages,
    pareto_front,
    shares_of_ceilings,
    speed_ups,
)
from tolerances import FLOAT64

NO = np.nan
ARRAYS = {
    "variant": np.array(["plain", "good", "beaten"]),
    "stage": np.array([*merging_cost.STAGES, "total"]),
    "frames": np.array([100, 1000]),
    "seconds": np.array(
        [
            [
                [NO, NO, NO, NO, 2, NO, 2],
                [0.1, 0.1, 0, 0.1, 0.1, 0.1, 0.5],
                [0, 0, 0, 0, 1, 0, 1],
            ],
            [
                [NO, NO, NO, NO, 8, NO, 8],
                [0.05, 0.1, 0.0, 0.02, 0.2, 0.03, 0.4],
                [0, 0.2, 0, 0, 0.6, 0, 0.8],
            ],
        ]
    ),
    "error": np.array([[0.001, 0.1, 0.2], [0.003, 0.1, 0.2]]),
}


def test_speed_ups_are_over_the_first_variant_of_the_same_frames():
    np.testing.assert_allclose(speed_ups(ARRAYS), [[1, 4, 2], [1, 20, 10]], rtol=FLOAT64)


def test_shares_are_work_and_bytes_over_time_and_ceiling():
    """Of 10 tokens one variant keeps 4; the other merges no queries, and copies nothing back."""
    seconds = {"match": [2, 2], "attention": [4, 4], "merge": [8, 8], "unmerge": [16, NO]}
    arrays = {
        "tokens": np.array([10]),
        "queries": np.array([[4, 10]]),
        "keys": np.array([[4, 4]]),
        "products": np.array([[600, 600]]),
        "stage": np.array(list(seconds)),
        "seconds": np.array(list(seconds.values()), dtype=float).T[None],
        "matmul_ceiling": np.array(100.0),
        "copy_ceiling": np.array(50.0),
    }
    found = shares_of_ceilings(arrays, width=3, bytes_per_number=5)
    np.testing.assert_allclose(found["match"], [[2 * 600 / 2 / 100] * 2], rtol=FLOAT64)
    counted = [[4 * 16 * 3 / 4 / 100, 4 * 40 * 3 / 4 / 100]]
    np.testing.assert_allclose(found["attention"], counted, rtol=FLOAT64)
    rows = [[3 * 14 * 15 / 8 / 50, 2 * 14 * 15 / 8 / 50]]
    np.testing.assert_allclose(found["merge"], rows, rtol=FLOAT64)
    np.testing.assert_allclose(found["unmerge"], [[14 * 15 / 16 / 50, NO]], rtol=FLOAT64)


def test_the_front_is_what_no_other_beats_in_both():
    gains = np.array([1 / 3, 1.0, 1 / 2, 1 / 4, 1.0])
    errors = np.array([0.2, 0.5, 0.6, 0.1, 0.7])
    assert pareto_front(gains, errors).tolist() == [1, 0, 3]
    assert pareto_front(np.ones(3), np.ones(3)).size == 1


def test_each_variant_is_named_and_the_front_of_each_number_of_frames_a_line():
    (axes,) = draw_merging_front(ARRAYS).axes
    few, front, beaten = axes.lines
    assert few.get_xdata().tolist() == [4, 1]
    assert front.get_xdata() == pytest.approx([20, 1])
    assert front.get_ydata().tolist() == [0.1, 0.003]
    assert (beaten.get_xdata().item(), beaten.get_ydata().item()) == (10, 0.2)
    named = {text.get_text(): text.xy for text in axes.texts}
    assert named.pop("100 frames") == (4, 0.1)
    assert named == {"plain": (1, 0.003), "good": (pytest.approx(20), 0.1), "beaten": (10, 0.2)}


@pytest.fixture(scope="module")
def recorded():
    return records.find("merging_cost", "h200").arrays


def test_every_variant_of_the_record_has_a_name_of_its_own(recorded):
    assert tuple(recorded["variant"]) == tuple(merging_variants.VARIANTS)
    assert set(merging_cost.LABELS) == set(merging_variants.VARIANTS)
    assert len(set(merging_cost.LABELS.values())) == len(merging_cost.LABELS)
    assert tuple(merging_cost.STAGES) == merging_variants.STAGES


def test_level_names_of_the_record_do_not_touch(recorded):
    figure = draw_merging_front(recorded)
    figure.canvas.draw()
    level = [text for text in figure.axes[0].texts if text.get_rotation() == 0]
    assert len(level) == 3 + 4  # fronts of fewer frames, and variants that are beaten
    for one, other in itertools.combinations(level, 2):
        assert not one.get_window_extent().overlaps(other.get_window_extent())


def test_names_of_beaten_variants_near_the_line_run_up_from_it(recorded):
    """Balanced cells with whole features lie a little above it."""
    (axes,) = draw_merging_front(recorded).axes
    (name,) = [text for text in axes.texts if text.get_text() == "3 × 3, balanced, full"]
    assert name.get_rotation() != 0
    assert name.get_ha() == "right"
    assert name.xyann[1] > 0


def test_a_bar_is_divided_into_the_stages_of_its_time():
    (axes,) = draw_merging_stages(ARRAYS, ("beaten", "good"), frames=1000).axes
    shares = np.array([[bar.get_width() for bar in stage] for stage in axes.containers])
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=FLOAT64)
    np.testing.assert_allclose(shares[:, 1], np.array([5, 10, 0, 2, 20, 3]) / 40, rtol=FLOAT64)
    ends = [bar.get_x() + bar.get_width() for bar in axes.containers[-1]]
    np.testing.assert_allclose(ends, 1, rtol=FLOAT64)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["beaten", "good"]
    named = [stage.get_label() for stage in axes.containers]
    assert named == list(merging_cost.STAGES.values())
    assert [text.get_text() for text in axes.texts][-2:] == ["800 ms", "400 ms"]


def test_bars_end_at_one_though_medians_of_stages_do_not_add_up():
    noisy = ARRAYS | {"seconds": ARRAYS["seconds"] * np.array([1, 1, 1, 1, 1.1, 1, 1])}
    (axes,) = draw_merging_stages(noisy, ("good",), frames=1000).axes
    shares = np.array([stage[0].get_width() for stage in axes.containers])
    np.testing.assert_allclose(shares, np.array([5, 10, 0, 2, 22, 3]) / 42, rtol=FLOAT64)
    assert axes.texts[-1].get_text() == "400 ms"


def test_plain_attention_has_one_stage_and_seconds_from_one_on():
    (axes,) = draw_merging_stages(ARRAYS, ("plain",), frames=100).axes
    widths = [stage[0].get_width() for stage in axes.containers]
    assert widths == [0, 0, 0, 0, 1, 0]
    assert axes.texts[-1].get_text() == "2.00 s"

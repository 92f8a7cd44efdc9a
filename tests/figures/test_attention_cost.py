import numpy as np
import pytest

from attention_collapse.figures.attention_cost import PASSES, by_stage, draw_attention_cost

STAGES = np.array(["attention", *PASSES])


def arrays(frames, scale):
    values = scale * np.arange(1.0, len(STAGES) + 1)[None]
    return {
        "frames": np.array([frames]),
        "tokens": np.array([10 * frames]),
        "scores": np.array([1e6 * scale]),
        "exponentials_ceiling": np.array(1e3),
        "stage": STAGES,
        "seconds": values,
        "peak_bytes": 1e9 * values,
    }


RUNS = [arrays(2, 1.0), arrays(50, 3.0)]


def test_stages_are_found_by_name_and_runs_joined():
    seconds = by_stage(RUNS, "seconds")
    assert list(seconds) == list(PASSES)
    assert seconds["rows"].tolist() == [2.0, 6.0]


def test_lines_are_the_passes_their_floor_and_one_matrix():
    time, memory = draw_attention_cost(RUNS, {50: 7.0}).axes
    drawn = {line.get_label(): line.get_ydata() for line in time.lines}
    for place, label in enumerate(PASSES.values(), start=2):
        np.testing.assert_allclose(drawn[label], [place, 3.0 * place])
        held = next(line for line in memory.lines if line.get_label() == label)
        np.testing.assert_allclose(held.get_ydata(), [place, 3.0 * place])
    np.testing.assert_allclose(drawn["one exponential a score"], [1e3, 3e3])
    assert drawn["16 singular values"] == pytest.approx([7.0])
    np.testing.assert_allclose(memory.lines[-1].get_ydata(), [4 * 20**2 / 1e9, 4 * 500**2 / 1e9])
    assert {axes.get_yscale() for axes in (time, memory)} == {"log"}
    for line in time.lines[: len(PASSES)]:
        assert line.get_xdata().tolist() == [2, 50]


def test_a_stage_that_was_left_out_is_a_gap():
    runs = [*RUNS, arrays(1000, 9.0)]
    runs[-1]["seconds"][0, list(STAGES).index("eager")] = np.nan
    (line,) = (x for x in draw_attention_cost(runs, {}).axes[0].lines if "chunks" in x.get_label())
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True]

import itertools

import numpy as np

from attention_collapse.figures.forward_cost import by_design, draw_forward_cost


def arrays(factor):
    frames = np.array([2, 8, 32])
    return {
        "frames": frames,
        "seconds": factor * np.array([0.1, 0.3, np.nan]),
        "peak_bytes": factor * np.array([1e9, 2e9, 4e9]),
        "share_of_ceiling": np.array([0.1, 0.2, 0.3]) / factor,
    }


def test_each_run_is_a_line_in_each_panel():
    runs = {"one": arrays(1.0), "two": arrays(2.0)}
    figure = draw_forward_cost(runs)
    seconds, memory, share = figure.axes
    for row, run in enumerate(runs.values()):
        np.testing.assert_allclose(seconds.lines[row].get_ydata(), run["seconds"])
        np.testing.assert_allclose(memory.lines[row].get_ydata(), run["peak_bytes"] / 1e9)
        np.testing.assert_allclose(share.lines[row].get_ydata(), run["share_of_ceiling"])
        np.testing.assert_array_equal(seconds.lines[row].get_xdata(), run["frames"])
    assert [text.get_text() for text in figure.legends[0].texts] == ["one", "two"]
    assert (seconds.get_yscale(), share.get_yscale(), share.get_ylim()) == ("log", "linear", (0, 1))


def recorded(designs, frames, offset):
    shape = (len(designs), 2, len(frames))
    values = offset + np.arange(np.prod(shape), dtype=float).reshape(shape)
    quantities = dict.fromkeys(("seconds", "peak_bytes", "share_of_ceiling"), values)
    return {"designs": np.array(designs), "frames": np.array(frames), **quantities}


def test_runs_are_joined_by_design_in_whatever_row_it_is():
    first, second = recorded(("one", "two"), (2, 8), 0.0), recorded(("two",), (32,), 100.0)
    lines = by_design([first, second])
    assert list(lines) == ["one", "two"]
    assert lines["one"]["frames"].tolist() == [2, 8]
    assert lines["two"]["frames"].tolist() == [2, 8, 32]
    # Row 1, stage 1 of the first run; row 0, stage 1 of the second.
    assert lines["two"]["seconds"].tolist() == [6.0, 7.0, 101.0]
    assert by_design([second], stage=0)["two"]["seconds"].tolist() == [100.0]


def test_labels_of_frames_do_not_touch_over_three_decades():
    frames = np.array([2, 8, 32, 100, 200, 500, 1000])
    quantities = ("seconds", "peak_bytes", "share_of_ceiling")
    figure = draw_forward_cost(
        {"one": {"frames": frames} | dict.fromkeys(quantities, frames / 1000)}
    )
    figure.canvas.draw()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        shown = [
            label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high
        ]
        boxes = [label.get_window_extent() for label in shown]
        assert len(boxes) == 3
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))

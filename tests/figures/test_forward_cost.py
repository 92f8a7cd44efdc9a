import numpy as np

from attention_collapse.figures.forward_cost import draw_forward_cost


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

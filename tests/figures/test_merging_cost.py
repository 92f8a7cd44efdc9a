import numpy as np

from attention_collapse.figures.merging_cost import draw_merging_front, pareto_front

ARRAYS = {
    "variant": np.array(["plain", "good", "beaten"]),
    "frames": np.array([100, 1000]),
    "seconds": np.array([[[1.0, 2.0], [0.1, 0.5], [0.3, 1.0]], [[9, 8.0], [0.5, 0.4], [0.9, 0.8]]]),
    "error": np.array([[0.001, 0.1, 0.2], [0.001, 0.2, 0.1]]),
}


def test_the_front_is_what_no_other_beats_in_both():
    seconds = np.array([3.0, 1.0, 2.0, 4.0, 1.0])
    errors = np.array([0.2, 0.5, 0.6, 0.1, 0.7])
    assert pareto_front(seconds, errors).tolist() == [1, 0, 3]
    assert pareto_front(np.ones(3), np.ones(3)).size == 1


def test_each_variant_is_a_point_and_the_front_a_line():
    few, many = draw_merging_front(ARRAYS).axes
    front, plain, good, beaten = few.lines
    assert front.get_xdata().tolist() == [0.25, 1.0]
    assert [line.get_xdata().item() for line in (plain, good, beaten)] == [1.0, 0.25, 0.5]
    assert [line.get_ydata().item() for line in (plain, good, beaten)] == [0.001, 0.1, 0.2]
    assert many.lines[0].get_xdata().tolist() == [0.05, 0.1, 1.0]
    assert many.get_title(loc="left") == "1000 frames"

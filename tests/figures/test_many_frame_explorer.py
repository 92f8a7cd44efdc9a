"""The still of the many-frame explorer: a mark on the chosen curve, bars with outlines."""

import matplotlib
import numpy as np

from attention_collapse.figures import style
from attention_collapse.figures.many_frame_explorer import draw_many_frames, many_frames_png

COUNTS = np.array([2, 8, 32])
MEANS = np.array([[0.3, 0.4, 3.0], [0.3, 0.4, 0.5]])
ERRORS = 0.1 * MEANS
STATE = {
    "treatments": ("none", "bias"),
    "chosen": 0,
    "frames": 32,
    "trained_frames": 8,
    "shares": np.array([[0.004, 0.1], [0.12, 0.3]]),
    "ratios": np.array([[0.5, 0.8], [0.6, 0.7]]),
    "least_share": 0.004,
}


def axes_of(**changed):
    with matplotlib.rc_context():
        return draw_many_frames(COUNTS, MEANS, ERRORS, **STATE | changed).axes


def test_the_chosen_curve_is_strong_and_has_the_mark():
    for chosen, name in enumerate(("as trained", "reference bias")):
        curves = axes_of(chosen=chosen)[0]
        strong = [each for each in curves.containers if each[0].get_color() == style.MEASURED]
        assert [each.get_label() for each in strong] == [name]
        assert strong[0].has_yerr
        assert curves.lines[-1].get_xydata().tolist() == [[32, MEANS[chosen, 2]]]
        assert [text.get_text() for text in curves.texts] == [f"{MEANS[chosen, 2]:.2f}°"]


def test_bars_are_those_of_now_and_outlines_those_of_training():
    _, shares, ratios = axes_of()
    for axes, expected in ((shares, 100 * STATE["shares"]), (ratios, STATE["ratios"])):
        heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
        np.testing.assert_array_equal(heights, expected)
    assert shares.get_ylim() == (0.1, 100)
    assert ratios.get_ylim() == (0, 1)


def test_words_stand_where_nothing_is_recorded():
    ratios = axes_of(ratios="recorded to 8 frames")[2]
    assert [text.get_text() for text in ratios.texts] == ["recorded to 8 frames"]
    assert not ratios.containers


def test_stills_are_reproducible():
    before = dict(matplotlib.rcParams)
    pictures = [many_frames_png(COUNTS, MEANS, ERRORS, **STATE) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert dict(matplotlib.rcParams) == before

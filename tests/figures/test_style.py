"""The style of the figures: one palette with the widgets, reproducible PNGs."""

import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from attention_collapse.figures import style
from attention_collapse.widgets.base import front_end
from tolerances import FLOAT64

LEGIBLE = 2.0  # contrast of a mark against white paper, as a ratio of luminances


def light_colours():
    """CSS properties of the widgets, in the light theme."""
    css = front_end("base.css", "rank_explorer.css")
    return dict(re.findall(r"(--[\w-]+): light-dark\((#\w{6})", css))


def test_widgets_have_the_same_colours():
    colours = light_colours()
    named = {"ink": style.INK, "muted": style.REFERENCE, "rule": style.RULE}
    named |= {"theory": style.THEORY, "measured": style.MEASURED}
    assert {name: colours[f"--{name}"] for name in named} == named
    spread = tuple(colours[f"--spread-{stop}"] for stop in range(6))
    assert spread == style.SPREAD_STOPS
    stops = ("below-2", "below-1", "uniform", "above-1", "above-2")
    assert tuple(colours[f"--{stop}"] for stop in stops) == style.CONTRAST_STOPS


def luminance(colour):
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("stops", [style.SPREAD_STOPS, style.LINE_STOPS], ids=["spread", "lines"])
def test_sequential_colours_darken_throughout(stops):
    assert np.all(np.diff([luminance(stop) for stop in stops]) < 0)


def test_contrast_colours_are_lightest_in_the_middle():
    steps = np.diff([luminance(stop) for stop in style.CONTRAST_STOPS])
    assert np.all(steps[:2] > 0)
    assert np.all(steps[2:] < 0)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_sequence_has_distinct_legible_colours(count):
    colours = style.sequence(count)
    assert len({to_hex(colour) for colour in colours}) == count
    assert all(1.05 / (luminance(colour) + 0.05) >= LEGIBLE for colour in colours)


def test_sequence_of_no_colours_is_refused():
    with pytest.raises(ValueError, match="count must be at least 1; got 0"):
        style.sequence(0)


def drawn_figure():
    figure = style.figure(height=1)
    figure.subplots().plot([0, 1])
    return figure


def test_figure_shows_itself_as_a_png_and_figures_drawn_alike_have_the_same_bytes():
    with matplotlib.rc_context():
        shown = drawn_figure()._repr_png_()
        assert shown == style.png(drawn_figure())
    assert shown.startswith(b"\x89PNG")


def test_figure_has_the_width_of_the_page():
    with matplotlib.rc_context():
        assert style.figure(height=1).get_size_inches().tolist() == [style.WIDTH, 1]


def test_a_logarithmic_axis_of_many_decades_is_labelled_at_powers_of_ten():
    with matplotlib.rc_context():
        drawing = style.figure(height=2)
        axes = drawing.subplots()
        axes.semilogy([3e-13, 1.0])
        style.label_logarithm(axes.yaxis)
        drawing.draw_without_rendering()
        low, high = axes.get_ylim()
        marks = [text for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]
    values = [float(text.get_text().replace("−", "-")) for text in marks]
    assert len(values) >= 4
    np.testing.assert_allclose(np.log10(values), np.round(np.log10(values)), rtol=0, atol=FLOAT64)

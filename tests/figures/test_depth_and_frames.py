import numpy as np

from attention_collapse.figures.depth_and_frames import (
    draw_exponents,
    draw_long_context,
    draw_one_curve,
)


def test_one_curve_shows_each_run_over_both_axes():
    time = 1 + 0.5 * np.arange(20)
    spreads = {"few": (0.2, time**-0.2), "many": (0.9, time**-0.9)}
    scaled = np.linspace(0, 2, 5)
    left, right = draw_one_curve(time, spreads, (scaled, np.exp(-scaled))).axes
    assert [line.get_label() for line in left.lines] == ["few", "many"]
    for over_time, over_scaled, (exponent, spread) in zip(
        left.lines, right.lines, spreads.values(), strict=False
    ):
        layers = np.searchsorted(time, over_time.get_xdata())
        np.testing.assert_allclose(over_time.get_ydata(), spread[layers])
        np.testing.assert_allclose(over_scaled.get_xdata(), exponent * np.log(time[layers]))
    np.testing.assert_allclose(right.lines[-1].get_ydata(), np.exp(-scaled))


def test_exponents_are_drawn_over_the_law():
    ratios, exponents = np.array([0.1, 10.0]), np.array([0.09, 0.92])
    (axes,) = draw_exponents({"measured": (ratios, exponents)}).axes
    law, dots = axes.lines
    np.testing.assert_allclose(law.get_ydata(), 1 - 1 / (1 + law.get_xdata()))
    np.testing.assert_allclose(dots.get_xydata(), np.transpose([ratios, exponents]))


def test_long_context_shows_what_was_measured_and_its_limit():
    counts = np.array([10.0, 100.0, 1000.0])
    entropies = {"s² = 4": (np.array([0.5, 0.6, 0.7]), np.array([np.nan, 0.6, 0.7]))}
    cosines = {"γ = 1": (np.array([0.4, 0.6, 0.8]), 0.9)}
    left, right = draw_long_context(counts, entropies, cosines).axes
    predicted, measured = (line.get_ydata() for line in left.lines)
    np.testing.assert_allclose(measured, [0.5, 0.6, 0.7])
    assert np.isnan(predicted[0])
    cosine, limit = right.lines
    np.testing.assert_allclose(cosine.get_ydata(), [0.4, 0.6, 0.8])
    assert set(limit.get_ydata()) == {0.9}

import numpy as np
import pytest

from attention_collapse.figures.dirac_rate import draw_decade, draw_powers, draw_regimes


def test_regimes_draw_laws_as_lines_and_particles_as_dots():
    law = {"one": 0.9 ** np.arange(25.0), "two": 1 / (1 + np.arange(25.0))}
    particles = {name: 1.1 * values for name, values in law.items()}
    left, right = draw_regimes(particles, law).axes
    for line, dots, values in zip(left.lines[::2], left.lines[1::2], law.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), values)
        shown = dots.get_xdata().astype(int)
        np.testing.assert_allclose(dots.get_ydata(), 1.1 * values[shown])
    assert right.get_xscale() == "log"
    assert right.lines[0].get_xdata()[0] == 1


def test_powers_draw_the_bound_the_limit_and_the_slopes():
    layers = np.arange(1, 101)
    shares = {0.0: 1 / layers, 0.5: layers**-0.5}
    figure = draw_powers(2.0 / layers, bound=9.0 / layers, constant=2.0, shares=shares)
    left, right = figure.axes
    bound, limit, dots = left.lines
    np.testing.assert_allclose(bound.get_ydata(), 9.0 / layers)
    np.testing.assert_allclose(limit.get_ydata(), 2.0 / layers)
    np.testing.assert_allclose(dots.get_ydata() * dots.get_xdata(), 2.0)
    np.testing.assert_allclose(right.lines[3].get_ydata(), layers**-0.5)
    assert right.get_legend().texts[1].get_text() == "λ₂ = 0.5, slope -0.5"


def test_a_decade_is_drawn_with_its_fits():
    spread = np.exp(-0.3 * np.arange(1, 25))
    left, right = draw_decade({"exponential": spread}).axes
    np.testing.assert_allclose(right.lines[1].get_ydata(), spread)
    assert np.abs(left.lines[1].get_ydata() / spread - 1).max() > 0.1
    assert right.lines[0].get_ydata()[3] == pytest.approx(spread[3])

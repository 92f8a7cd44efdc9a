import numpy as np

from attention_collapse.figures.rank_profile import draw_profile_over_depth, draw_range


def test_the_range_figure_draws_every_curve_and_the_limit():
    grid = np.linspace(0, 0.7, 5)
    spheres = {2: (2 * grid, grid**2), 8: (3 * grid, grid**3)}
    (axes,) = draw_range((grid, grid / 2), spheres, limit=0.71).axes
    *curves, limit = axes.lines
    drawn = {line.get_label(): line.get_xydata().T for line in curves}
    np.testing.assert_allclose(drawn["Gaussian"], (grid, grid / 2))
    np.testing.assert_allclose(drawn["sphere, d = 2"], spheres[2])
    np.testing.assert_allclose(drawn["sphere, d = 8"], spheres[8])
    np.testing.assert_allclose(limit.get_xdata(), 0.71)


def test_the_depth_figure_puts_measurements_at_their_layers():
    law = {"singular_ratio": np.geomspace(1, 0.1, 9), "stable_excess": np.geomspace(2, 0.02, 9)}
    shown = np.array([0, 4, 8])
    measured = {name: values[shown] * 1.1 for name, values in law.items()}
    figure = draw_profile_over_depth(law, measured, shown)
    for axes, name in zip(figure.axes, law, strict=True):
        line, dots = axes.lines
        np.testing.assert_allclose(line.get_xydata().T, (np.arange(9), law[name]))
        np.testing.assert_allclose(dots.get_xydata().T, (shown, measured[name]))

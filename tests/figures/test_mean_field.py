"""The figures of *From particles to the mean field* draw the numbers they were given."""

import numpy as np

from attention_collapse.figures.mean_field import (
    draw_densities,
    draw_fluctuations,
    draw_trajectories,
    draw_variances,
)
from attention_collapse.theory.pde.finite_volume import DensityPath
from tolerances import FLOAT64


def test_each_token_has_its_curve():
    times, tokens = np.array([0.0, 1.0, 3.0]), np.random.default_rng(0).standard_normal((3, 5))
    (axes,) = draw_trajectories(times, tokens).axes
    drawn = np.array([line.get_ydata() for line in axes.lines])
    np.testing.assert_array_equal(drawn, tokens[:, np.argsort(tokens[0])].T)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), times)


def test_density_and_histogram_stand_side_by_side():
    centres = np.array([[-1.0, 0.0, 1.0], [-0.5, 0.0, 0.5]])
    density = np.array([[0.2, 0.6, 0.2], [0.4, 1.2, 0.4]])
    path = DensityPath(np.array([0.0, 2.0]), centres, density, np.array([1.0, 0.5]))
    tokens = np.random.default_rng(0).standard_normal((2, 50))
    figure = draw_densities(path, tokens)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["t = 0", "t = 2"]
    for row, axes in enumerate(figure.axes):
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), centres[row])
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), density[row])
        edges = [patch.get_x() for patch in axes.patches]
        np.testing.assert_allclose(min(edges), tokens[row].min(), rtol=FLOAT64)


def test_the_law_is_a_line_and_each_solver_has_markers():
    times = np.array([1.0, 2.0])
    measured = {"finite volumes": times / 3, "particles": times / 4}
    (axes,) = draw_variances(times, times / 2, measured).axes
    law, *solvers = axes.lines
    np.testing.assert_array_equal(law.get_ydata(), times / 2)
    for line, values in zip(solvers, measured.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
        assert line.get_linestyle() == "None"


def test_errors_lie_beside_a_line_of_slope_minus_one_half():
    counts, errors = np.array([10.0, 100.0, 1000.0]), np.array([0.3, 0.1, 0.03])
    (axes,) = draw_fluctuations(counts, errors).axes
    points, reference = axes.lines
    np.testing.assert_array_equal(points.get_ydata(), errors)
    np.testing.assert_allclose(np.diff(np.log10(reference.get_ydata())), -0.5)

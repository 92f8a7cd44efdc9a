"""The density of the mean-field equation, by finite volumes."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from attention_collapse.theory.closed_variance import (
    contracting_mean,
    contracting_variance,
    expanding_variance,
)
from attention_collapse.theory.pde.finite_volume import density_flow
from attention_collapse.theory.pde.particles import particle_flow
from tolerances import (
    DENSITY_TO_PARTICLES,
    FINITE_VOLUME,
    FITTED_SLOPE,
    FLOAT64,
    SECOND_ORDER_SLOPE,
    TWO_HILLS_SHAPE,
    TWO_HILLS_TAIL,
)

ENDS = (-1.0, 2.3)


def hill(x, *, derivative):
    """A compact bump (35/32)(1 - x²)³ on [-1, 1], or its integral from the left."""
    inside = np.clip(x, -1, 1)
    if derivative:
        return 35 / 32 * (1 - inside**2) ** 3
    return 0.5 + 35 / 32 * (inside - inside**3 + 3 * inside**5 / 5 - inside**7 / 7)


def start(x, *, derivative=False):
    """A wide hill and a narrow one off the centre: the distribution function or the density."""
    narrow = hill((x - 1.5) / 0.8, derivative=derivative) / (0.8 if derivative else 1)
    return 0.7 * hill(x, derivative=derivative) + 0.3 * narrow


def cell_means(distribution, ends, count):
    edges = np.linspace(*ends, count + 1)
    return np.diff(distribution(edges)) / np.diff(edges)


def two_hills(count, depth_times, *, value=-1.0, bilinear=1.0):
    return density_flow(
        cell_means(start, ENDS, count),
        ends=ENDS,
        value=value,
        bilinear=bilinear,
        depth_times=np.asarray(depth_times, dtype=float),
    )


def gaussian(mean, depth_times, *, value=-1.0, bilinear=0.6, count=120):
    ends, half = (mean - 8.0, mean + 8.0), 8.0 / count
    centres = np.linspace(ends[0] + half, ends[1] - half, count)
    return density_flow(
        norm.pdf(centres, mean),
        ends=ends,
        value=value,
        bilinear=bilinear,
        depth_times=np.asarray(depth_times, dtype=float),
    )


@pytest.fixture(scope="module")
def long_path():
    return two_hills(80, np.geomspace(0.1, 400, 25))


# Conservation


@pytest.mark.parametrize("value", [-1.0, 0.3])
def test_mass_is_conserved_and_the_density_stays_positive(value):
    path = two_hills(90, [0.0, 0.5, 1.0], value=value)
    np.testing.assert_allclose(path.masses().sum(axis=1), 1.0, rtol=FLOAT64)
    assert path.density.min() >= 0


def test_mass_and_sign_are_kept_where_the_density_has_jumps():
    """Two blocks with a gap, which a scheme without limiter would send below zero."""
    density = np.array([1.0] * 20 + [0.0] * 25 + [3.0] * 5)
    path = density_flow(
        density,
        ends=(-1.0, 1.0),
        value=-1.0,
        bilinear=6.0,
        depth_times=np.array([0.1, 1.0, 100.0]),
    )
    np.testing.assert_allclose(path.masses().sum(axis=1), density.sum() * 0.04, rtol=FLOAT64)
    assert path.density.min() >= 0


def test_a_longer_run_keeps_mass(long_path):
    np.testing.assert_allclose(long_path.masses().sum(axis=1), 1.0, rtol=FLOAT64)
    assert long_path.density.min() >= 0


# Closed form


@pytest.mark.parametrize("mean", [0.0, 0.7])
def test_a_gaussian_follows_the_closure(mean):
    times = np.array([0.0, 0.5, 2.0, 8.0, 32.0])
    path = gaussian(mean, times)
    law = contracting_variance(1.0, contraction=1.0, bilinear=0.6, depth_time=times)
    moved = contracting_mean(
        mean, initial_variance=1.0, contraction=1.0, bilinear=0.6, depth_time=times
    )
    np.testing.assert_allclose(path.variance(), law, rtol=FINITE_VOLUME)
    np.testing.assert_allclose(path.mean(), moved, atol=FINITE_VOLUME)


def test_an_expanding_gaussian_follows_the_closure():
    path = gaussian(0.0, [1.0, 4.0], value=1.0, bilinear=0.1)
    law = expanding_variance(1.0, expansion=1.0, bilinear=0.1, depth_time=np.array([1.0, 4.0]))
    np.testing.assert_allclose(path.variance(), law, rtol=FINITE_VOLUME)


# Against particles


def test_the_error_is_of_second_order_in_the_width_of_the_cells():
    """The distribution function along exact characteristics: Gauss–Legendre nodes as particles.

    Sixty times to report keep the steps small, so that the error is that of the grid.
    """
    nodes, masses = np.polynomial.legendre.leggauss(160)
    nodes = ENDS[0] + (ENDS[1] - ENDS[0]) * (nodes + 1) / 2
    head = {"value": -np.eye(1), "bilinear": np.eye(1)}
    times, weights = np.linspace(0, 1, 61), masses * start(nodes, derivative=True)
    ends = particle_flow(nodes[:, None], depth_times=times, weights=weights, **head)[-1, :, 0]
    errors = []
    for count in (20, 40, 80, 160):
        path = two_hills(count, times)
        edges = np.append(path.centres[-1] - path.width[-1] / 2, path.centres[-1, -1])
        edges[-1] += path.width[-1] / 2
        distribution = CubicSpline(edges, np.append(0.0, np.cumsum(path.masses()[-1])))
        inside = np.clip(ends, edges[0], edges[-1])
        errors.append(np.abs(distribution(inside) - start(nodes)).max())
    slope = np.polyfit(np.log([20, 40, 80, 160]), np.log(errors), 1)[0]
    assert slope == pytest.approx(-2, abs=SECOND_ORDER_SLOPE)


@pytest.mark.claims("eq-leibniz", "eq-cells", "eq-continuity")
def test_density_and_particles_agree_for_a_start_that_is_not_gaussian():
    """1500 particles at the quantiles of the start."""
    times = np.array([0.5, 2.0, 10.0])
    fine = np.linspace(*ENDS, 20001)
    tokens = np.interp((np.arange(1500) + 0.5) / 1500, start(fine), fine)[:, None]
    head = {"value": -np.eye(1), "bilinear": np.eye(1)}
    moved = particle_flow(tokens, depth_times=times, **head)[:, :, 0]
    path = two_hills(200, times)
    np.testing.assert_allclose(path.variance(), moved.var(axis=1), rtol=DENSITY_TO_PARTICLES)
    np.testing.assert_allclose(path.mean(), moved.mean(axis=1), atol=DENSITY_TO_PARTICLES)


# Long times: the self-similar limit


def test_the_variance_forgets_its_start(long_path):
    tail = 2 * long_path.depth_times * long_path.variance()
    assert np.all(np.diff(tail) > 0)
    assert tail[-1] == pytest.approx(1.0, abs=TWO_HILLS_TAIL)


def test_the_shape_becomes_constant_and_is_not_gaussian(long_path):
    places, values = long_path.standardised()
    late = [np.interp(places[-1], places[row], values[row]) for row in (-6, -1)]
    np.testing.assert_allclose(late[0], late[1], atol=TWO_HILLS_SHAPE)
    assert np.abs(late[1] - norm.pdf(places[-1])).max() > 0.1


def test_the_law_tends_weakly_to_a_dirac_measure_at_rates_of_its_moments(long_path):
    """Integrals of φ less φ(0) between t = 10 and 400, more than 1.5 decades."""
    late = long_path.depth_times > 10
    rates = {
        -0.5: np.abs,
        -1.0: np.cos,
        -2.0: lambda x: np.cos(x) - 1 + x**2 / 2,
    }
    log_time = np.log(long_path.depth_times[late])
    for rate, function in rates.items():
        gap = np.abs(long_path.expectation(function)[late] - function(0.0))
        slope = np.polyfit(log_time, np.log(gap), 1)[0]
        assert slope == pytest.approx(rate, abs=FITTED_SLOPE * max(1, abs(rate)))
    distance = np.log(long_path.wasserstein_to_dirac()[late])
    assert np.polyfit(log_time, distance, 1)[0] == pytest.approx(-0.5, abs=FITTED_SLOPE)


# Properties of the flow and of its result


def test_a_mirrored_start_gives_the_mirrored_path():
    density = cell_means(start, ENDS, 50)
    flow = {"value": -1.0, "bilinear": 1.0, "depth_times": np.array([1.0])}
    path = density_flow(density, ends=ENDS, **flow)
    other = density_flow(density[::-1], ends=(-ENDS[1], -ENDS[0]), **flow)
    np.testing.assert_allclose(other.density[0], path.density[0, ::-1], atol=FLOAT64)
    np.testing.assert_allclose(other.mean(), -path.mean(), atol=FLOAT64)


def test_the_total_mass_cancels():
    flow = {"ends": ENDS, "value": -1.0, "bilinear": 1.0, "depth_times": np.array([1.0])}
    once = density_flow(cell_means(start, ENDS, 50), **flow)
    twice = density_flow(2 * cell_means(start, ENDS, 50), **flow)
    np.testing.assert_allclose(twice.density, 2 * once.density, rtol=FLOAT64)
    np.testing.assert_allclose(twice.variance(), once.variance(), rtol=FLOAT64)


def test_whole_numbers_will_do():
    density, times = cell_means(start, ENDS, 50), np.array([0.2])
    whole = density_flow(density, ends=(-2, 2), value=-1, bilinear=1, depth_times=times)
    plain = density_flow(density, ends=(-2.0, 2.0), value=-1.0, bilinear=1.0, depth_times=times)
    np.testing.assert_array_equal(whole.density, plain.density)


def test_time_zero_returns_the_start():
    density = cell_means(start, ENDS, 50)
    path = two_hills(50, [0.0])
    np.testing.assert_allclose(path.density[0], density, rtol=FLOAT64)
    assert path.width[0] == pytest.approx(3.3 / 50, rel=FLOAT64)
    assert path.wasserstein_to_dirac()[0] ** 2 == pytest.approx(path.variance()[0], rel=FLOAT64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": np.array([1.0, -1.0, 1.0])}, "density must be finite and at least 0"),
        ({"density": np.array([1.0, np.nan, 1.0])}, "density must be finite and at least 0"),
        ({"density": np.zeros(4)}, "density must have mass"),
        ({"density": np.ones(2)}, "density must have at least three cells"),
        ({"ends": (1.0, -1.0)}, "ends must be finite and ascend"),
        ({"value": np.inf}, "value must be finite"),
        ({"bilinear": np.nan}, "bilinear must be finite"),
        ({"depth_times": np.array([2.0, 1.0])}, "depth_times must ascend"),
        ({"value": 1.0, "depth_times": np.array([1e4])}, "depth_times must end before"),
    ],
)
def test_what_has_no_density_flow_is_refused(change, message):
    arguments = {
        "density": np.ones(20),
        "ends": (-1.0, 1.0),
        "value": -1.0,
        "bilinear": 1.0,
        "depth_times": np.ones(1),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        density_flow(arguments.pop("density"), **arguments)

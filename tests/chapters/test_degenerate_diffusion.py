"""The numbered statements, verdicts and exercises of *Degenerate diffusion*."""

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp
from scipy.optimize import linear_sum_assignment
from scipy.stats import multivariate_normal

from attention_collapse.theory import symbols as s
from attention_collapse.theory.closed_variance import (
    blow_up_time,
    contracting_mean,
    contracting_variance,
    expanding_variance,
)
from attention_collapse.theory.closure import attention_output, gaussian_flow, tilt
from attention_collapse.theory.layers import normalise
from attention_collapse.theory.pde.particles import particle_flow
from attention_collapse.theory.pde.porous_medium import barenblatt, barenblatt_variance
from attention_collapse.theory.riccati import (
    characteristics,
    covariance_blow_up_time,
    solved_covariance,
    solved_mean,
)
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.symbolic import degenerate_diffusion as by_hand
from tolerances import (
    CENTRAL_DIFFERENCE,
    CLOSURE_PARTICLES,
    EXPANDING_PARTICLES,
    FLOAT64,
    FORGOTTEN_START,
    LAST_DIRECTION,
    ODE,
    ODE_SOLVER,
    PARTICLE_SOLVER,
    QUADRATURE,
    RICCATI,
    TAIL_SLOPE,
    UNIVERSAL_TAIL,
    quoted,
)

FORM = np.array([[0.6, 0.3, 0.0], [-0.1, 0.5, 0.2], [0.0, -0.2, 0.4]])
VARIANCES = np.array([1.0, 0.5, 0.2])
ONE = np.ones((1, 1))


def gaussian_tokens(count, variances, seed=0):
    """Gaussian tokens whose sample mean and covariance are exact."""
    tokens = np.random.default_rng(seed).standard_normal((count, len(variances)))
    tokens -= tokens.mean(axis=0)
    factor = np.linalg.cholesky(tokens.T @ tokens / count)
    return np.linalg.solve(factor, tokens.T).T * np.sqrt(variances)


def covariances(paths):
    return np.stack([np.cov(tokens.T, bias=True) for tokens in paths])


def random_head(seed, width=3):
    generator = np.random.default_rng(seed)
    factor = generator.standard_normal((width, width))
    covariance = factor @ factor.T / width + 0.2 * np.eye(width)
    mean, value, bilinear = (generator.standard_normal(shape) for shape in (3, (3, 3), (3, 3)))
    return mean, covariance, value, bilinear


# The tilt


@pytest.mark.claims("eq-square")
def test_the_square_is_completed():
    """In two directions with arbitrary entries: the inverse covariance enters as a matrix."""
    a, b, c = sympy.symbols("a b c", positive=True)
    precision = sympy.Matrix([[a, b], [b, c]])
    covariance = precision.inv()
    z, xi, m = (sympy.Matrix(sympy.symbols(f"{name}1 {name}2")) for name in ("z", "xi", "m"))
    left = -(z.T * precision * z)[0] / 2 + (xi.T * (z + m))[0]
    shifted = z - covariance * xi
    right = -(shifted.T * precision * shifted)[0] / 2
    right += (xi.T * m)[0] + (xi.T * covariance * xi)[0] / 2
    assert sympy.simplify(left - right) == 0


@pytest.mark.claims("lem-tilt")
def test_the_tilted_law_has_the_shifted_mean_and_the_same_covariance():
    """Gauss–Hermite quadrature, a singular covariance included."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    grid = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2)
    mean, bilinear = np.array([0.3, -0.7]), np.array([[0.4, -0.3], [0.2, 0.1]])
    query = np.array([0.9, -0.5])
    for factor in ([[0.8, 0.0], [0.3, 0.5]], [[0.8, 0.0], [0.4, 0.0]]):
        factor = np.array(factor)
        keys = mean + grid @ factor.T
        mass = np.outer(weights, weights).ravel() * np.exp(keys @ (bilinear.T @ query))
        mass /= mass.sum()
        centre = mass @ keys
        spread = (keys - centre).T @ ((keys - centre) * mass[:, None])
        covariance = factor @ factor.T
        tilted = tilt(mean, covariance, bilinear=bilinear, query=query)
        np.testing.assert_allclose(centre, tilted, rtol=QUADRATURE)
        np.testing.assert_allclose(spread, covariance, rtol=QUADRATURE, atol=QUADRATURE)


# The closure


@pytest.mark.claims("thm-closure", "eq-linear-velocity", "eq-closure-mean", "eq-riccati")
def test_particles_of_one_head_follow_the_closure_with_a_mean():
    """V and B have no symmetry and commute with nothing."""
    mean = np.array([0.4, -0.2, 0.3])
    value = np.array([[-0.9, 0.3, 0.0], [-0.2, -0.7, 0.1], [0.1, 0.0, -0.8]])
    tokens = mean + gaussian_tokens(1500, VARIANCES)
    times = np.array([0.3, 1.0, 3.0])
    paths = particle_flow(tokens, value=value, bilinear=FORM, depth_times=times)
    closure = gaussian_flow(
        mean,
        np.diag(VARIANCES),
        values=value[None],
        bilinears=FORM[None],
        depth_times=times,
    )
    scale = np.sqrt(np.trace(closure.covariance, axis1=1, axis2=2))[:, None]
    np.testing.assert_allclose(
        paths.mean(axis=1) / scale, closure.mean / scale, atol=CLOSURE_PARTICLES
    )
    np.testing.assert_allclose(
        covariances(paths) / scale[..., None] ** 2,
        closure.covariance / scale[..., None] ** 2,
        atol=CLOSURE_PARTICLES,
    )


@pytest.mark.claims("thm-closure")
def test_particles_of_two_heads_follow_the_closure():
    """Heun steps on 1500 tokens, two heads that do not commute."""
    values = np.array([[[-0.8, 0.4], [0.0, -0.5]], [[-0.3, 0.0], [0.2, -0.6]]])
    bilinears = np.array([[[0.5, 0.2], [-0.2, 0.4]], [[0.3, -0.1], [0.0, 0.6]]])
    tokens = gaussian_tokens(1500, np.array([0.8, 0.4]), seed=2)

    def velocity(cloud):
        heads = zip(values, bilinears, strict=True)
        return sum(attention_matrix(cloud, bilinear=b) @ cloud @ v.T for v, b in heads)

    for step in np.diff(np.linspace(0, 4, 13)):
        slope = velocity(tokens)
        tokens = tokens + step / 2 * (slope + velocity(tokens + step * slope))
    closure = gaussian_flow(
        np.zeros(2),
        np.diag([0.8, 0.4]),
        values=values,
        bilinears=bilinears,
        depth_times=np.array([4.0]),
    )
    measured = np.cov(tokens.T, bias=True) / np.trace(closure.covariance[0])
    expected = closure.covariance[0] / np.trace(closure.covariance[0])
    np.testing.assert_allclose(measured, expected, atol=CLOSURE_PARTICLES)


@pytest.mark.claims("eq-closure-moments")
def test_a_linear_flow_moves_the_moments_as_stated():
    """Means over a cloud of four points, differentiated along the velocity."""
    mean, covariance, value, bilinear = random_head(3)
    cloud = mean + np.concatenate([f := np.linalg.cholesky(3 * covariance).T, -f])
    gradient = value @ covariance @ bilinear.T
    speed = attention_output(
        mean, covariance, values=value[None], bilinears=bilinear[None], query=cloud
    )
    np.testing.assert_allclose(speed.mean(axis=0), gradient @ mean + value @ mean, atol=FLOAT64)
    centred, relative = cloud - mean, speed - speed.mean(axis=0)
    rate = (relative.T @ centred + centred.T @ relative) / len(cloud)
    expected = gradient @ covariance + covariance @ gradient.T
    np.testing.assert_allclose(rate, expected, atol=10 * FLOAT64)


# The Riccati equation


@pytest.mark.claims("thm-riccati-solved", "eq-riccati-root")
@pytest.mark.parametrize("seed", range(3))
def test_the_root_form_solves_the_riccati_equation_without_any_symmetry(seed):
    mean, covariance, _, _ = random_head(seed)
    bilinears = 0.4 * np.random.default_rng(seed).standard_normal((3, 3, 3))
    rates = np.array([-1.0, 0.4, -0.7])
    limit = covariance_blow_up_time(covariance, rates=rates, bilinears=bilinears)
    times = np.array([0.2, 0.5, 0.9]) * min(limit, 10.0)
    solved = solved_covariance(covariance, rates=rates, bilinears=bilinears, depth_times=times)
    values = rates[:, None, None] * np.eye(3)
    path = gaussian_flow(mean, covariance, values=values, bilinears=bilinears, depth_times=times)
    np.testing.assert_allclose(solved, path.covariance, rtol=RICCATI, atol=RICCATI)


def contracted(tokens, bilinear, times):
    """Symmetric tokens under V = -I by Heun steps that grow with depth.

    Their mean is zero and stays so. It is projected out, because its own rate would limit steps.
    """
    paths, now = [], 0.0
    for end in times:
        while now < end:
            step = min(0.1 + 0.15 * now, end - now)
            speed = velocity(tokens, bilinear)
            tokens = tokens + step / 2 * (speed + velocity(tokens + step * speed, bilinear))
            now += step
        paths.append(tokens)
    return covariances(paths)


def velocity(tokens, bilinear):
    output = attention_matrix(tokens, bilinear=bilinear) @ tokens
    return output.mean(axis=0) - output


def symmetric_tokens(variances):
    half = gaussian_tokens(750, variances)
    return np.concatenate([half, -half])


@pytest.mark.claims("thm-riccati-solved", "eq-tail")
def test_contracting_particles_that_do_not_commute_follow_the_closed_form_into_the_tail():
    """1500 tokens; the slope of the variance over the last 1.5 decades of depth."""
    times = np.array([1.0, 30.0, 100.0, 320.0, 1000.0])
    measured = contracted(symmetric_tokens(VARIANCES), FORM, times)
    solved = solved_covariance(
        np.diag(VARIANCES), rates=-np.ones(1), bilinears=FORM[None], depth_times=times
    )
    axes, predicted = (np.linalg.eigvalsh(matrix) for matrix in (measured, solved))
    np.testing.assert_allclose(axes, predicted, rtol=CLOSURE_PARTICLES)
    total = np.trace(measured[1:], axis1=1, axis2=2)
    slope = np.polyfit(np.log(times[1:]), np.log(total), 1)[0]
    assert -1.0 < slope < -0.95
    limit = np.linalg.inv(FORM + FORM.T)
    np.testing.assert_allclose(
        times[-1] * measured[-1], limit, atol=CLOSURE_PARTICLES * np.trace(limit)
    )


@pytest.mark.claims("eq-tail", "prop-dirac")
def test_the_variance_falls_with_exponent_one_and_the_spread_with_one_half():
    times = np.geomspace(1e4, 1e7, 7)
    path = solved_covariance(
        np.diag(VARIANCES), rates=-np.ones(1), bilinears=FORM[None], depth_times=times
    )
    variance = np.trace(path, axis1=1, axis2=2)
    slope = np.polyfit(np.log(times), np.log(variance), 1)[0]
    assert slope == pytest.approx(-1, abs=TAIL_SLOPE)
    spread = np.polyfit(np.log(times), np.log(np.sqrt(variance)), 1)[0]
    assert spread == pytest.approx(-0.5, abs=TAIL_SLOPE)
    np.testing.assert_allclose(
        times[-1] * path[-1], np.linalg.inv(FORM + FORM.T), rtol=FORGOTTEN_START
    )


@pytest.mark.claims("eq-contracting")
def test_particles_reproduce_the_numbers_at_the_depth_of_four_hundred_layers():
    """1500 tokens in four directions to t = 40, which is 400 layers of step 0.1."""
    initial = np.array([1.0, 0.7, 0.4, 0.2])
    measured = contracted(symmetric_tokens(initial), 0.6 * np.eye(4), [40.0])[0]
    expected = contracting_variance(initial, contraction=1.0, bilinear=0.6, depth_time=40.0)
    np.testing.assert_allclose(expected, [0.0204, 0.0202, 0.0198, 0.0189], atol=quoted(4))
    np.testing.assert_allclose(np.diag(measured), expected, rtol=CLOSURE_PARTICLES)


@pytest.mark.claims("prop-characteristics", "eq-characteristics", "eq-mean-solved")
def test_characteristics_are_the_paths_of_the_closed_velocity():
    """The linear equation of one token and of the mean, by an adaptive solver, for B symmetric."""
    mean, covariance, _, factor = random_head(7)
    bilinear = factor @ factor.T / 3
    given = {"rates": -np.full(1, 1.3), "bilinears": bilinear[None]}
    token = np.array([1.0, -2.0, 0.5])

    def velocity(time, state):
        now = np.linalg.inv(np.linalg.inv(covariance) + 2.6 * time * bilinear)
        centre, point = state[:3], state[3:]
        drift = -1.3 * (centre + now @ bilinear @ centre)
        return np.concatenate([drift, -1.3 * (centre + now @ bilinear @ point)])

    start = np.concatenate([mean, mean + token])
    end = solve_ivp(velocity, (0, 2.0), start, method="DOP853", **ODE_SOLVER).y[:, -1]
    times = np.array([2.0])
    centre = solved_mean(mean, covariance, **given, depth_times=times)[0]
    moved = characteristics(token[None], covariance, **given, depth_times=times)[0, 0]
    np.testing.assert_allclose(centre, end[:3], rtol=ODE, atol=ODE)
    np.testing.assert_allclose(moved, end[3:] - end[:3], rtol=ODE, atol=ODE)
    along = contracting_mean(
        0.7, initial_variance=0.4, contraction=1.3, bilinear=0.6, depth_time=2.0
    )
    one = {"rates": -np.full(1, 1.3), "bilinears": 0.6 * np.ones((1, 1, 1))}
    direct = solved_mean(np.array([0.7]), 0.4 * ONE, **one, depth_times=times)[0, 0]
    assert along == pytest.approx(direct, rel=FLOAT64)


# The equation of the density


@pytest.mark.claims("eq-full-equation")
def test_the_gaussian_solves_the_nonlocal_equation_with_its_integrals():
    """As the chapter does it: sympy carries out the integrals over keys, then substitutes."""
    tilted = by_hand.tilted_integral.doit() / by_hand.tilting_integral.doit()
    moments = {s.mean: by_hand.mean_over_depth, s.variance: by_hand.variance_over_depth}
    density = by_hand.density_over_depth
    flux = -s.contraction * density * sympy.simplify(tilted).subs(moments)
    left = density.diff(s.time) + flux.diff(s.query)
    assert sympy.simplify(left / density) == 0


@pytest.mark.claims("thm-anti-diffusion", "eq-anti-diffusion", "eq-anti-steps")
def test_the_density_solves_the_anti_diffusion_equation_in_two_directions():
    """Central differences in time and space of the density of a flow without symmetry."""
    value = np.array([[-0.9, 0.3], [-0.2, -0.7]])
    given = {"values": value[None], "bilinears": FORM[None, :2, :2]}
    h, start = 1e-3, np.array([[0.9, 0.2], [0.2, 0.5]])
    times = np.array([0.5 - h, 0.5, 0.5 + h])
    before, now, after = gaussian_flow(np.zeros(2), start, **given, depth_times=times).covariance
    places = np.random.default_rng(0).standard_normal((20, 2))
    density = multivariate_normal(cov=now).pdf
    left = (
        multivariate_normal(cov=after).pdf(places) - multivariate_normal(cov=before).pdf(places)
    ) / (2 * h)
    moved = value @ now @ FORM[:2, :2].T @ now
    coefficient = -(moved + moved.T) / 2
    axes = h * np.eye(2)
    curvature = [
        [
            density(places + a + b) - density(places + a - b)
            - density(places - a + b) + density(places - a - b)
            for b in axes
        ]
        for a in axes
    ]  # fmt: skip
    right = -np.einsum("ij,ijp->p", coefficient, np.array(curvature)) / (4 * h**2)
    np.testing.assert_allclose(left, right, atol=CENTRAL_DIFFERENCE)
    rate = (after - before) / (2 * h)
    np.testing.assert_allclose(coefficient, -rate / 2, atol=CENTRAL_DIFFERENCE)


@pytest.mark.claims("thm-anti-diffusion")
def test_the_coefficient_is_positive_definite_when_the_form_is():
    for seed in range(10):
        _, covariance, _, factor = random_head(seed)
        bilinear = factor @ factor.T / 3 + (factor - factor.T)
        coefficient = covariance @ (bilinear + bilinear.T) @ covariance / 2
        assert np.linalg.eigvalsh(coefficient)[0] > 0


# The Dirac measure


@pytest.mark.claims("eq-wasserstein", "prop-dirac")
@pytest.mark.parametrize("radius", [0.3, 0.03, 0.003])
def test_the_distance_to_a_point_is_mean_square(radius):
    """Optimal transport to a cluster around the point, which is within its radius of the point."""
    generator = np.random.default_rng(0)
    point, mean = np.array([1.1, -0.4, 0.0]), np.array([0.3, 0.2, -0.1])
    tokens = mean + gaussian_tokens(200, VARIANCES)
    cluster = point + radius * normalise(generator.standard_normal((200, 3)))
    costs = np.square(tokens[:, None] - cluster).sum(axis=-1)
    distance = np.sqrt(costs[linear_sum_assignment(costs)].mean())
    stated = np.sqrt(np.square(mean - point).sum() + VARIANCES.sum())
    assert abs(distance - stated) <= radius


@pytest.mark.claims("eq-absolute", "prop-dirac")
def test_lipschitz_averages_have_exponent_one_half_and_smooth_ones_exponent_one():
    z, variance = by_hand.deviation, s.variance
    integral = sympy.Integral(
        sympy.Abs(z) * by_hand.gaussian(z, 0, variance), (z, -sympy.oo, sympy.oo)
    )
    assert sympy.simplify(integral.doit() - sympy.sqrt(2 * variance / sympy.pi)) == 0
    times = np.geomspace(1e3, 1e6, 7)
    variances = contracting_variance(1.0, contraction=1.0, bilinear=0.6, depth_time=times)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    smooth = 1 - np.cos(np.sqrt(variances)[:, None] * nodes) @ weights / weights.sum()
    assert (smooth <= variances / 2).all()
    slope = np.polyfit(np.log(times), np.log(smooth), 1)[0]
    assert slope == pytest.approx(-1, abs=TAIL_SLOPE)


# The universal tail


@pytest.mark.claims("thm-universal-tail", "eq-universal")
@pytest.mark.parametrize("start", ["uniform", "cluster", "exponential", "off centre", "two"])
def test_every_start_has_the_universal_tail_and_keeps_its_shape(start):
    levels = (np.arange(60) + 0.5) / 60
    tokens = {
        "uniform": 2 * levels - 1,
        "cluster": np.concatenate([2 * levels[:45] - 1, 2 + 0.2 * levels[:15]]),
        "exponential": -np.log(1 - levels),
        "off centre": 1.0 + levels,
        "two": np.array([-0.5, 1.0]),
    }[start]
    times = np.array([3.0, 30.0, 300.0])
    paths = particle_flow(tokens[:, None], value=-1.5 * ONE, bilinear=0.8 * ONE, depth_times=times)[
        ..., 0
    ]
    variances = paths.var(axis=1)
    products = 2 * 1.5 * 0.8 * times * variances
    assert products[-1] == pytest.approx(1, abs=UNIVERSAL_TAIL)
    assert (np.diff(np.abs(products - 1)) < 0).all()
    scaled = (paths - paths.mean(axis=1, keepdims=True)) / np.sqrt(variances)[:, None]
    early, late = (np.abs(np.diff(scaled[k : k + 2], axis=0)).max() for k in (0, 1))
    assert late < 0.5 * early + 1e-4
    assert (np.diff(scaled[-1]) > 0.1 * np.diff(tokens / tokens.std())).all(), "none merge"


@pytest.mark.claims("eq-tilted-variance-bounds", "eq-tail-bounds", "eq-gap-ratio")
def test_the_bounds_of_the_proof_hold_along_a_flow():
    """Velocities measured in softmax attention, against each bound of the proof."""
    tokens = np.random.default_rng(1).exponential(0.4, 40) - 0.6
    for time in (0.0, 0.5, 5.0):
        cloud = tokens
        if time:
            cloud = particle_flow(
                tokens[:, None], value=-ONE, bilinear=ONE, depth_times=np.array([time])
            )[0, :, 0]
        cloud = np.sort(cloud)
        weights = attention_matrix(cloud[:, None], bilinear=ONE)
        speed = -weights @ cloud
        variance, length = cloud.var(), np.ptp(cloud)
        bound = np.abs(cloud).max() * length
        tilted = weights @ cloud**2 - (weights @ cloud) ** 2
        assert (tilted <= np.exp(bound) * variance).all()
        assert (tilted >= np.exp(-bound) * variance).all()
        slope = 2 * np.mean((cloud - cloud.mean()) * speed)
        growth = -slope / variance**2
        assert 2 * np.exp(-bound) <= growth <= 2 * np.exp(bound)
        assert np.diff(speed[[0, -1]])[0] / length <= -np.exp(-bound) * variance
        rates = np.diff(speed) / np.diff(cloud)
        assert np.ptp(rates) <= 2 * variance * np.sinh(bound)


# Expansion


@pytest.mark.claims("eq-expanding", "thm-riccati-solved")
def test_the_blow_up_time_of_matrices_is_that_of_the_widest_direction():
    head = {"rates": np.full(1, 2.0), "bilinears": 0.3 * np.eye(3)[None]}
    limit = covariance_blow_up_time(np.diag(VARIANCES), **head)
    along = blow_up_time(VARIANCES, expansion=2.0, bilinear=0.3)
    assert limit == pytest.approx(along.min(), rel=FLOAT64)
    times = np.array([0.99 * limit])
    path = solved_covariance(np.diag(VARIANCES), **head, depth_times=times)
    exact = expanding_variance(VARIANCES, expansion=2.0, bilinear=0.3, depth_time=times[0])
    np.testing.assert_allclose(np.diag(path[0]), exact, rtol=FLOAT64)


@pytest.mark.claims("prop-one-dimension", "eq-one-dimension")
def test_one_dimension_wins_before_the_blow_up():
    head = {"rates": np.ones(1), "bilinears": FORM[None]}
    start = np.array([[1.0, 0.2, 0.0], [0.2, 0.6, 0.1], [0.0, 0.1, 0.3]])
    limit = covariance_blow_up_time(start, **head)
    path = solved_covariance(start, **head, depth_times=limit * np.array([0.9, 1 - 1e-7]))
    axes = np.linalg.eigvalsh(path)
    ratio = axes.sum(axis=1) ** 2 / (axes**2).sum(axis=1)
    assert ratio[0] > 1.01
    assert ratio[1] == pytest.approx(1, abs=LAST_DIRECTION)
    variances, frame = np.linalg.eigh(start)
    root = frame * np.sqrt(variances) @ frame.T
    winner = root @ np.linalg.eigh(root @ (FORM + FORM.T) @ root)[1][:, -1]
    expected = np.outer(winner, winner) / (winner @ winner)
    np.testing.assert_allclose(path[1] / np.trace(path[1]), expected, atol=LAST_DIRECTION)


@pytest.mark.claims("eq-expanding")
def test_particles_follow_the_expansion_for_half_of_its_time_and_never_blow_up():
    tokens = gaussian_tokens(1500, VARIANCES)
    head = {"rates": np.ones(1), "bilinears": FORM[None]}
    limit = covariance_blow_up_time(np.diag(VARIANCES), **head)
    times = limit * np.array([0.25, 0.5, 2.0])
    paths = particle_flow(tokens, value=np.eye(3), bilinear=FORM, depth_times=times)
    solved = solved_covariance(np.diag(VARIANCES), **head, depth_times=times[:2])
    axes, predicted = (np.linalg.eigvalsh(m) for m in (covariances(paths[:2]), solved))
    np.testing.assert_allclose(axes, predicted, rtol=EXPANDING_PARTICLES)
    longest = np.linalg.norm(paths[2], axis=1).max()
    assert longest <= np.exp(times[2]) * np.linalg.norm(tokens, axis=1).max()


# The porous medium


@pytest.mark.claims("eq-barenblatt")
def test_the_library_draws_the_barenblatt_solution_of_the_chapter():
    """Unit mass: the integral is ℓ³ / 9, so ℓ³ = 9. Its variance grows like t^(2/3)."""
    radius = 9 ** (1 / 3)
    places = np.linspace(-1.2, 1.2, 25)
    for time in (0.3, 1.0):
        values = {by_hand.initial_radius: radius, s.time: time}
        drawn = [float(by_hand.barenblatt.subs({**values, s.query: x})) for x in places]
        np.testing.assert_allclose(
            barenblatt(places, time, exponent=2), np.maximum(drawn, 0), atol=FLOAT64
        )
    growth = barenblatt_variance(8.0, exponent=2) / barenblatt_variance(1.0, exponent=2)
    assert growth == pytest.approx(4, rel=FLOAT64)


# Exercises


@pytest.mark.claims("exercise-antisymmetric")
def test_exercise_antisymmetric():
    skew = np.array([[0.0, 1.5], [-1.5, 0.0]])
    times = np.array([0.5, 1.0])
    for rate in (-1.0, 1.0):
        path = gaussian_flow(
            np.zeros(2),
            np.diag([0.7, 0.2]),
            values=rate * np.eye(2)[None],
            bilinears=skew[None],
            depth_times=times,
        )
        expected = np.broadcast_to(np.diag([0.7, 0.2]), (2, 2, 2))
        np.testing.assert_allclose(path.covariance, expected, atol=RICCATI)
    tokens = gaussian_tokens(200, VARIANCES) + 1.0
    paths = particle_flow(tokens, value=-np.eye(3), bilinear=np.zeros((3, 3)), depth_times=times)
    # All tokens move by the same vector, in the solver too.
    np.testing.assert_allclose(covariances(paths)[-1], np.diag(VARIANCES), rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(paths[-1].mean(axis=0), np.exp(-1.0), rtol=PARTICLE_SOLVER)


@pytest.mark.claims("exercise-heat-time", "eq-heat-time")
def test_exercise_heat_time():
    times = np.geomspace(1e-12, 1e12, 200_001)
    variances = contracting_variance(0.7, contraction=1.4, bilinear=0.6, depth_time=times)
    total = np.trapezoid(1.4 * 0.6 * variances**2 * times, np.log(times))
    assert total == pytest.approx(0.35, rel=QUADRATURE)


@pytest.mark.claims("exercise-pair-of-tokens", "eq-pair-of-tokens")
def test_exercise_pair_of_tokens():
    solved = solve_ivp(
        lambda _, a: -2 * 1.2 * a * np.tanh(a), (0, 50), [0.9], method="DOP853", **ODE_SOLVER
    )
    tokens = np.array([[1.0], [-1.0]]) * np.sqrt(0.9 / 0.6)
    path = particle_flow(tokens, value=-1.2 * ONE, bilinear=0.6 * ONE, depth_times=np.array([50.0]))
    assert 0.6 * path[0, 0, 0] ** 2 == pytest.approx(solved.y[0, -1], rel=PARTICLE_SOLVER)
    assert 2 * 1.2 * 50 * solved.y[0, -1] == pytest.approx(1, abs=UNIVERSAL_TAIL)


@pytest.mark.claims("exercise-tenfold")
def test_exercise_tenfold():
    law = {"contraction": 1.0, "bilinear": 1.0}
    tenth = contracting_variance(0.5, **law, depth_time=0.25 * 36)
    hundredth = contracting_variance(0.5, **law, depth_time=0.25 * 396)
    assert tenth == pytest.approx(0.05, rel=FLOAT64)
    assert hundredth == pytest.approx(0.005, rel=FLOAT64)
    variances = [0.5]
    while variances[-1] > 0.005:
        variances.append(variances[-1] * (1 - 0.25 * variances[-1]) ** 2)
    assert len(variances) - 1 == 393
    assert sum(variance > 0.05 for variance in variances) == 35


@pytest.mark.claims("exercise-step", "eq-step")
def test_exercise_step():
    epsilon, variance = sympy.symbols("epsilon lambda", positive=True)
    growth = (1 / (1 - epsilon) ** 2 - 1) / variance
    stated = epsilon / variance * (2 - epsilon) / (1 - epsilon) ** 2
    assert sympy.simplify(growth - stated) == 0
    now = 0.9
    for _ in range(20_000):
        now *= (1 - 0.9 * now) ** 2
    assert 2 * 0.9 * 20_000 * now == pytest.approx(1, abs=UNIVERSAL_TAIL)

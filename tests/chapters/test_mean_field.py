"""The numbered statements and exercises of *From particles to the mean field*."""

import itertools

import numpy as np
import pytest
import sympy
from scipy.integrate import quad
from scipy.stats import norm

from attention_collapse.theory import spectrum
from attention_collapse.theory.closed_variance import contracting_variance
from attention_collapse.theory.pde import finite_volume
from attention_collapse.theory.pde.attention_operator import operator_singular_values
from attention_collapse.theory.pde.finite_volume import density_flow
from attention_collapse.theory.pde.particles import particle_flow, velocity
from attention_collapse.theory.symbolic.mean_field import path_mean, path_velocity
from tolerances import (
    DENSITY_TO_SPECTRUM,
    FINITE_DIFFERENCE,
    FITTED_SLOPE,
    FLOAT64,
    FLUCTUATION_SLOPE,
    PARTICLE_SOLVER,
    QUADRATURE,
    SMALL_EXCESS,
)

LINE = {"value": -np.eye(1), "bilinear": np.eye(1)}


def head(seed, width=2, scale=0.4):
    value, bilinear = scale * np.random.default_rng(seed).standard_normal((2, width, width))
    return {"value": value, "bilinear": bilinear}


def ball(generator, count, radius, width=2):
    """Points of a ball, not evenly spread."""
    points = generator.standard_normal((count, width))
    size = radius * generator.uniform(size=(count, 1))
    return size * points / np.linalg.norm(points, axis=1, keepdims=True)


def constants(head):
    return np.linalg.norm(head["value"], 2), np.linalg.norm(head["bilinear"], 2)


def two_groups(generator, count):
    """Independent tokens of the chapter's start, uniform on two intervals."""
    drawn = generator.uniform(-1, 1, count)
    return np.where(generator.uniform(size=count) < 0.3, 1.5 + 0.3 * drawn, drawn)[:, None]


def quadrature_groups():
    nodes, masses = np.polynomial.legendre.leggauss(60)
    weights = np.append(0.7 * masses, 0.3 * masses) / 2
    return np.append(nodes, 1.5 + 0.3 * nodes)[:, None], weights


# The tilted law


@pytest.mark.claims("eq-tilted-variance")
def test_the_tilted_mean_has_the_tilted_covariance_as_derivative():
    """Central differences in three directions, for weighted tokens."""
    generator = np.random.default_rng(0)
    tokens, weights = generator.standard_normal((9, 3)), generator.uniform(size=9)
    attend = {"value": np.eye(3), "bilinear": np.eye(3), "weights": weights}
    query, step = generator.standard_normal((1, 3)), 1e-5
    jacobian = [
        (
            velocity(tokens, queries=query + step * e, **attend)
            - velocity(tokens, queries=query - step * e, **attend)
        )[0]
        / (2 * step)
        for e in np.eye(3)
    ]
    tilted = weights * np.exp(tokens @ query[0])
    covariance = np.cov(tokens.T, aweights=tilted, ddof=0)
    np.testing.assert_allclose(np.array(jacobian).T, covariance, atol=FINITE_DIFFERENCE)


@pytest.mark.claims("eq-path")
def test_the_path_identity_holds_for_more_tokens_and_directions():
    generator = np.random.default_rng(1)
    begin, change = generator.standard_normal((2, 8, 3))
    dual, share, step = generator.standard_normal(3), 0.4, 1e-5

    def mean(s):
        places = begin + s * change
        weights = np.exp(places @ dual)
        return weights @ places / weights.sum(), weights, places

    centre, weights, places = mean(share)
    terms = change + (places - centre) * (change @ dual)[:, None]
    expected = weights @ terms / weights.sum()
    derivative = (mean(share + step)[0] - mean(share - step)[0]) / (2 * step)
    np.testing.assert_allclose(derivative, expected, atol=FINITE_DIFFERENCE)
    assert path_mean.free_symbols == path_velocity.free_symbols


# Layers, particles, velocity


@pytest.mark.claims("eq-layer", "eq-particles")
def test_layers_tend_to_the_flow_at_first_order_in_the_step():
    tokens = two_groups(np.random.default_rng(2), 12)
    limit = particle_flow(tokens, depth_times=np.ones(1), **LINE)[0]
    counts = np.array([8, 32, 128, 512])
    errors = []
    for count in counts:
        moved = tokens
        for _ in range(count):
            weights = np.exp(moved @ moved.T)
            moved = moved - weights / weights.sum(1, keepdims=True) @ moved / count
        errors.append(np.abs(moved - limit).max())
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=FITTED_SLOPE)


@pytest.mark.claims("eq-velocity")
def test_the_velocity_of_a_density_is_its_integral():
    """Uniform tokens on [-1, 1] by quadrature, against the closed integral coth x - 1/x."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    queries = np.array([[-3.0], [0.5], [2.0]])
    found = velocity(nodes[:, None], queries=queries, weights=weights, **LINE)
    np.testing.assert_allclose(found, -(1 / np.tanh(queries) - 1 / queries), rtol=QUADRATURE)


@pytest.mark.claims("prop-copies")
def test_copies_move_as_their_token():
    tokens = ball(np.random.default_rng(3), 6, 1.5)
    times = np.array([0.5, 2.0])
    once = particle_flow(tokens, depth_times=times, **head(3))
    copies = particle_flow(np.repeat(tokens, 4, axis=0), depth_times=times, **head(3))
    np.testing.assert_allclose(copies, np.repeat(once, 4, axis=1), atol=PARTICLE_SOLVER)


# Weak form and continuity equation


@pytest.mark.claims("eq-test", "eq-weak", "thm-mean-field")
def test_tokens_solve_the_weak_form_exactly():
    """Finite differences in time of three test functions, for tokens in two directions."""
    tokens, step = ball(np.random.default_rng(4), 15, 1.5), 1e-3
    times = np.array([1 - step, 1.0, 1 + step])
    before, now, after = particle_flow(tokens, depth_times=times, **head(4))
    field = velocity(now, **head(4))
    cases = {
        "square": (lambda x: (x**2).sum(-1), lambda x: 2 * x),
        "wave": (lambda x: np.sin(x @ [1, 2]), lambda x: np.cos(x @ [1, 2])[:, None] * [1, 2]),
        "product": (lambda x: x[:, 0] * x[:, 1], lambda x: x[:, ::-1]),
    }
    for function, gradient in cases.values():
        change = (function(after).mean() - function(before).mean()) / (2 * step)
        expected = (gradient(now) * field).sum(-1).mean()
        assert change == pytest.approx(expected, abs=10 * PARTICLE_SOLVER)


@pytest.mark.claims("eq-continuity", "eq-weak")
def test_a_gaussian_density_solves_the_continuity_equation():
    """Sympy puts the shrinking Gaussian, its velocity from the integral, into the equation."""
    x, y = sympy.symbols("x y", real=True)
    t, b, c, start = sympy.symbols("t b c lambda_0", positive=True)
    variance = start / (1 + 2 * c * b * start * t)
    density = sympy.exp(-(x**2) / (2 * variance)) / sympy.sqrt(2 * sympy.pi * variance)
    spread = sympy.Symbol("lambda", positive=True)
    weight = sympy.exp(b * x * y - y**2 / (2 * spread))
    over = (y, -sympy.oo, sympy.oo)
    quotient = sympy.integrate(y * weight, over) / sympy.integrate(weight, over)
    speed = -c * sympy.simplify(quotient).subs(spread, variance)
    residual = sympy.diff(density, t) + sympy.diff(density * speed, x)
    assert sympy.simplify(residual) == 0


# Lemma and theorem


@pytest.mark.claims("lem-velocity", "eq-lipschitz")
def test_no_pair_of_laws_moves_the_velocity_beyond_the_bound():
    generator = np.random.default_rng(5)
    for seed in range(200):
        radius, count = generator.uniform(0.1, 1.5), 5
        attend = head(seed, scale=generator.uniform(0.1, 1.0))
        size, score = constants(attend)
        first = ball(generator, count, radius)
        second = first + generator.choice([1e-3, 1.0]) * (ball(generator, count, radius) - first)
        x, y = ball(generator, 2, radius)[:, None]
        moved = velocity(first, queries=x, **attend) - velocity(second, queries=y, **attend)
        reach = score * radius**2
        distance = np.linalg.norm(first - second, axis=1).mean()
        bound = reach * np.linalg.norm(x - y) + np.exp(2 * reach) * (1 + 2 * reach) * distance
        assert np.linalg.norm(moved) <= size * bound * (1 + SMALL_EXCESS)
        assert np.linalg.norm(velocity(first, queries=x, **attend)) <= size * radius


@pytest.mark.claims("eq-constant", "eq-stability", "eq-gronwall", "thm-mean-field")
def test_two_flows_part_no_faster_than_the_bound():
    generator, time, radius = np.random.default_rng(6), 0.5, 0.8
    for seed in range(10):
        attend = head(seed)
        size, score = constants(attend)
        reach = score * (radius * np.exp(size * time)) ** 2
        rate = size * (reach + np.exp(2 * reach) * (1 + 2 * reach))
        first, second = ball(generator, 8, radius), ball(generator, 8, radius)
        ends = [
            particle_flow(start, depth_times=np.array([time]), **attend)[0]
            for start in (first, second)
        ]
        begin = np.linalg.norm(first - second, axis=1).mean()
        end = np.linalg.norm(ends[0] - ends[1], axis=1).mean()
        assert end <= np.exp(rate * time) * begin * (1 + PARTICLE_SOLVER)
        assert np.linalg.norm(ends[0], axis=1).max() <= radius * np.exp(size * time)


@pytest.mark.claims("eq-gronwall")
def test_the_bound_of_gronwall_solves_the_equation_of_equality():
    t, rate, constant, start = sympy.symbols("t K g D_0", positive=True)
    bound = start * sympy.exp(rate * t) + constant / rate * (sympy.exp(rate * t) - 1)
    assert sympy.simplify(sympy.diff(bound, t) - rate * bound - constant) == 0
    assert bound.subs(t, 0) == start


@pytest.mark.claims("thm-mean-field", "eq-stability")
def test_cells_of_the_start_give_a_cauchy_sequence():
    """The existence proof in numbers: flows from starts rounded to 1/n, closer as n grows."""
    tokens = two_groups(np.random.default_rng(7), 64)
    flows = [
        particle_flow(np.round(tokens * n) / n, depth_times=np.ones(1), **LINE)[0]
        for n in (4, 16, 64, 256)
    ]
    gaps = [np.abs(a - b).mean() for a, b in itertools.pairwise(flows)]
    assert gaps[1] < gaps[0] / 2
    assert gaps[2] < gaps[1] / 2


@pytest.mark.claims("thm-mean-field", "eq-fluctuation")
def test_the_error_of_tokens_falls_like_one_over_root_n():
    """The mean of |x| at t = 2 for 8 to 256 tokens, 1.5 decades, 40 draws each."""
    times, generator = np.array([2.0]), np.random.default_rng(8)
    nodes, weights = quadrature_groups()
    limit = particle_flow(nodes, weights=weights, depth_times=times, **LINE)[0, :, 0]
    exact = weights @ np.abs(limit)
    counts = 8 * 2 ** np.arange(6)
    errors = []
    for count in counts:
        found = [
            np.abs(particle_flow(two_groups(generator, count), depth_times=times, **LINE)).mean()
            for _ in range(40)
        ]
        errors.append(np.abs(np.array(found) - exact).mean())
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=FLUCTUATION_SLOPE)


@pytest.mark.claims("eq-fluctuation", "eq-split")
def test_the_error_is_below_the_proven_bound():
    """Short time and small scores, where the bound is not astronomical; φ(x) = x, ℓ = 1."""
    attend, time, radius = {"value": -np.eye(1), "bilinear": 0.1 * np.eye(1)}, 0.2, 1.0
    reach = 0.1 * (radius * np.exp(time)) ** 2
    rate = reach + np.exp(2 * reach) * (1 + 2 * reach)
    generator, times = np.random.default_rng(9), np.array([time])
    nodes, weights = np.polynomial.legendre.leggauss(40)
    weights = weights * (1 + nodes) / 2
    limit = particle_flow(nodes[:, None], weights=weights, depth_times=times, **attend)[0, :, 0]
    for count in (16, 256):
        starts = 2 * np.sqrt(generator.uniform(size=(50, count, 1))) - 1
        ends = [particle_flow(tokens, depth_times=times, **attend).mean() for tokens in starts]
        error = np.abs(np.array(ends) - weights @ limit).mean()
        bound = 4 * radius * np.exp(time) * np.exp(rate * time) / np.sqrt(count)
        assert 0 < error <= bound


# The density


@pytest.mark.claims("eq-cells", "prop-scheme")
def test_one_euler_step_keeps_mass_and_sign_up_to_the_stated_step():
    """Random rough densities, and the largest step of the proposition."""
    generator = np.random.default_rng(10)
    for _ in range(50):
        masses = generator.uniform(size=12) * (generator.uniform(size=12) < 0.6)
        masses[3] = 1.0
        cells = finite_volume._Cells(masses, np.array([-1.0, 1.0]))
        rate, relative = finite_volume._rate(cells, -1.0, 4.0)
        step = (2.0 / 12) / (2 * relative)
        moved = masses + step * rate.masses
        assert moved.sum() == pytest.approx(masses.sum(), rel=FLOAT64)
        assert moved.min() >= -FLOAT64


@pytest.mark.claims("prop-scheme")
def test_values_at_edges_lie_between_the_means_of_the_cell_and_its_neighbours():
    density = np.random.default_rng(12).uniform(size=400) ** 4
    around = np.stack([density[:-2], density[1:-1], density[2:]])
    for values in finite_volume._reconstruct(density):
        assert np.all(values[1:-1] >= around.min(axis=0) - FLOAT64)
        assert np.all(values[1:-1] <= around.max(axis=0) + FLOAT64)


@pytest.mark.claims("exercise-positivity")
def test_the_limiter_keeps_an_edge_from_going_negative():
    means = np.array([6.0, 1.0, 0.0])
    assert finite_volume._reconstruct(means)[0][1] == 0.0
    assert central_slopes(means)[0][1] == -0.5


@pytest.mark.claims("exercise-positivity")
def test_without_the_limiter_a_flow_arrives_at_negative_masses(monkeypatch):
    start = np.repeat([0.0, 6.0, 1.0, 0.0], 5)
    flow = {"ends": (-1.0, 1.0), "value": -1.0, "bilinear": 1.0, "depth_times": np.array([0.5])}
    assert density_flow(start, **flow).masses().min() >= 0
    monkeypatch.setattr(finite_volume, "_reconstruct", central_slopes)
    with pytest.raises(ValueError, match="weights must be finite, at least zero"):
        density_flow(start, **flow)


def central_slopes(density):
    """Values at the right and the left edges, with slopes of neighbours that nothing limits."""
    half = np.pad(density[2:] - density[:-2], 1) / 4
    return density + half, density - half


@pytest.mark.claims("eq-attention-operator")
def test_density_to_operator_to_profile():
    edges = np.linspace(-8, 8, 121)
    centres, times = (edges[1:] + edges[:-1]) / 2, np.array([0.25, 4.0, 64.0])
    path = density_flow(
        norm.pdf(centres), ends=(-8.0, 8.0), value=-1.0, bilinear=0.55, depth_times=times
    )
    law = contracting_variance(1.0, contraction=1.0, bilinear=0.55, depth_time=times)
    for row in range(3):
        found = operator_singular_values(
            path.centres[row][:, None], path.masses()[row], bilinear=0.55 * np.eye(1)
        )
        known = spectrum.singular_values(0.55 * law[row : row + 1], 5)
        np.testing.assert_allclose(found[:5], known, atol=DENSITY_TO_SPECTRUM)


# Exercises


@pytest.mark.claims("exercise-heads")
def test_heads_add_up_and_so_do_their_bounds():
    generator, radius = np.random.default_rng(11), 1.0
    heads = [head(seed) for seed in (1, 2, 3)]
    first, second = ball(generator, 6, radius), ball(generator, 6, radius)
    x, y = ball(generator, 2, radius)[:, None]
    moved, bound = 0.0, 0.0
    for attend in heads:
        size, score = constants(attend)
        reach = score * radius**2
        moved = moved + velocity(first, queries=x, **attend) - velocity(second, queries=y, **attend)
        distance = np.linalg.norm(first - second, axis=1).mean()
        bound += size * reach * np.linalg.norm(x - y)
        bound += size * np.exp(2 * reach) * (1 + 2 * reach) * distance
    assert np.linalg.norm(moved) <= bound


@pytest.mark.claims("exercise-two-particles", "eq-two-tokens")
def test_two_tokens_take_the_time_of_the_integral():
    times = np.array([0.5, 4.0, 20.0, 640.0])
    moved = particle_flow(np.array([[1.2], [-1.2]]), depth_times=times, **LINE)
    square = moved[:, 0, 0] ** 2
    for time, u in zip(times[:2], square[:2], strict=True):
        passed = quad(lambda s: 0.5 / (s * np.tanh(s)), u, 1.44, epsrel=QUADRATURE)[0]
        assert passed == pytest.approx(time, rel=PARTICLE_SOLVER)
    slope = np.log(square[3] / square[2]) / np.log(times[3] / times[2])
    assert slope / 2 == pytest.approx(-0.5, abs=FITTED_SLOPE)


@pytest.mark.claims("exercise-translation")
def test_a_translation_changes_the_velocity_as_stated():
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    law, shift, b = 0.2 + 0.9 * nodes[:, None], 0.5, 0.6
    attend = {"value": -np.eye(1), "bilinear": b * np.eye(1), "weights": weights}
    queries = np.array([[-0.4], [1.1]])
    before = velocity(law, queries=queries, **attend)
    after = velocity(law + shift, queries=queries + shift, **attend)
    np.testing.assert_allclose(after - before, -(1 + 0.81 * b) * shift, rtol=QUADRATURE)
    np.testing.assert_allclose(np.diff(after, axis=0), np.diff(before, axis=0), rtol=QUADRATURE)

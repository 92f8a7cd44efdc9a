"""Tokens as particles: velocity, flow and what they leave unchanged."""

import numpy as np
import pytest
from scipy.integrate import quad

from attention_collapse.theory.closed_variance import contracting_variance, expanding_variance
from attention_collapse.theory.pde.particles import particle_flow, velocity
from attention_collapse.theory.softmax import attention_matrix
from tolerances import FITTED_SLOPE, FLOAT64, PARTICLE_SOLVER, QUADRATURE, sampling


def random_head(seed, width=3, count=12):
    generator = np.random.default_rng(seed)
    value, bilinear = 0.6 * generator.standard_normal((2, width, width))
    return generator.standard_normal((count, width)), {"value": value, "bilinear": bilinear}


def test_velocity_is_value_times_the_softmax_average():
    tokens, head = random_head(0)
    query = tokens[:1] + 0.5
    weights = np.exp(query @ head["bilinear"] @ tokens.T)[0]
    expected = head["value"] @ (weights @ tokens) / weights.sum()
    moved = velocity(tokens, queries=query, **head)[0]
    np.testing.assert_allclose(moved, expected, rtol=FLOAT64)


def test_velocity_of_a_gaussian_is_the_tilted_mean_by_quadrature():
    """Gauss–Hermite nodes as tokens with masses: V (m + Σ b x)."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(80)
    tokens, queries = 0.3 + 0.8 * nodes[:, None], np.array([[-1.0], [0.4], [2.0]])
    head = {"value": np.array([[-1.5]]), "bilinear": np.array([[0.7]])}
    moved = velocity(tokens, queries=queries, weights=masses, **head)
    np.testing.assert_allclose(moved, -1.5 * (0.3 + 0.64 * 0.7 * queries), rtol=QUADRATURE)


def test_the_flow_is_the_limit_of_layers_at_first_order():
    """Euler steps, one a layer: the error at one depth time falls like the step."""
    tokens, head = random_head(1)
    limit = particle_flow(tokens, depth_times=np.array([1.0]), **head)[0]
    counts = np.array([16, 64, 256, 1024])
    errors = []
    for count in counts:
        moved = tokens
        for _ in range(count):
            attention = attention_matrix(moved, bilinear=head["bilinear"])
            moved = moved + attention @ moved @ head["value"].T / count
        errors.append(np.abs(moved - limit).max())
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=FITTED_SLOPE)


def test_the_flow_commutes_with_rotations_and_relabelling():
    tokens, head = random_head(2)
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    turned = {name: rotation @ matrix @ rotation.T for name, matrix in head.items()}
    order, times = np.random.default_rng(4).permutation(12), np.array([0.5, 1.0])
    moved = particle_flow(tokens, depth_times=times, **head)
    other = particle_flow((tokens @ rotation.T)[order], depth_times=times, **turned)
    np.testing.assert_allclose(other, (moved @ rotation.T)[:, order], atol=PARTICLE_SOLVER)


def test_two_tokens_meet_when_separation_of_variables_says():
    """Tokens at ±z with V = -1, b = 1 obey du/dt = -2 u tanh u for u = z²."""
    times = np.array([0.3, 2.0, 6.0])
    head = {"value": -np.eye(1), "bilinear": np.eye(1)}
    moved = particle_flow(np.array([[1.0], [-1.0]]), depth_times=times, **head)
    for time, square in zip(times, moved[:, 0, 0] ** 2, strict=True):
        passed = quad(lambda u: 0.5 / (u * np.tanh(u)), square, 1, epsrel=QUADRATURE)[0]
        assert passed == pytest.approx(time, rel=PARTICLE_SOLVER)


def test_a_gaussian_cloud_follows_the_closure():
    tokens = np.random.default_rng(0).standard_normal((1500, 1))
    tokens = (tokens - tokens.mean()) / tokens.std()
    times = np.array([0.5, 2.0, 8.0])
    head = {"value": -np.eye(1), "bilinear": 0.5 * np.eye(1)}
    moved = particle_flow(tokens, depth_times=times, **head)
    law = contracting_variance(1.0, contraction=1.0, bilinear=0.5, depth_time=times)
    np.testing.assert_allclose(moved.var(axis=1)[:, 0], law, rtol=2 * sampling(1500))


def test_an_expanding_cloud_follows_the_closure_before_it_blows_up():
    tokens = np.random.default_rng(0).standard_normal((1500, 1))
    tokens = (tokens - tokens.mean()) / tokens.std()
    head = {"value": np.eye(1), "bilinear": 0.1 * np.eye(1)}
    moved = particle_flow(tokens, depth_times=np.array([1.0]), **head)
    law = expanding_variance(1.0, expansion=1.0, bilinear=0.1, depth_time=1.0)
    assert moved[0].var() == pytest.approx(law, rel=2 * sampling(1500))


def test_time_zero_returns_the_tokens():
    tokens, head = random_head(5)
    moved = particle_flow(tokens, depth_times=np.array([0.0]), **head)
    np.testing.assert_array_equal(moved[0], tokens)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.eye(2)}, "value must end in shape"),
        ({"depth_times": np.array([])}, "depth_times must have entries"),
        ({"depth_times": np.array([-1.0])}, "depth_times must be finite and at least 0"),
        ({"depth_times": np.array([1.0, 1.0])}, "depth_times must ascend"),
        ({"depth_times": np.array([800.0])}, "depth_times must end before a token grows beyond 1e"),
    ],
)
def test_what_has_no_flow_is_refused(change, message):
    tokens, _ = random_head(0)
    arguments = {"value": np.eye(3), "bilinear": np.eye(3), "depth_times": np.ones(1), **change}
    with pytest.raises(ValueError, match=message):
        particle_flow(tokens, **arguments)

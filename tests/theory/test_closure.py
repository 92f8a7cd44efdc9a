import math

import numpy as np
import pytest

from attention_collapse.theory.closed_variance import (
    blow_up_time,
    contracting_mean,
    contracting_variance,
    expanding_variance,
)
from attention_collapse.theory.closure import attention_output, gaussian_flow, tilt
from tolerances import (
    FLOAT64,
    QUADRATURE,
    RICCATI,
    RICCATI_VELOCITY,
    quoted,
    sampling,
)

INITIAL = np.array([1.0, 0.7, 0.4, 0.2])
MEAN = np.array([0.5, -1.0, 0.0, 2.0])
BILINEAR = 0.6


def attention_average(tokens, bilinear):
    scores = tokens @ bilinear @ tokens.T
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights @ tokens / weights.sum(1, keepdims=True)


def random_law(seed, width):
    """A mean, a covariance, and matrices without any symmetry."""
    generator = np.random.default_rng(seed)
    factor = generator.standard_normal((width, width))
    covariance = factor @ factor.T / width + 0.1 * np.eye(width)
    return generator.standard_normal(width), covariance, generator


def commuting_flow(signs, depth_times):
    """Gaussian flow with V = sign * identity and B = BILINEAR * identity, one head per sign."""
    heads = len(signs)
    return gaussian_flow(
        MEAN,
        np.diag(INITIAL),
        values=np.array(signs, dtype=float)[:, None, None] * np.eye(4),
        bilinears=np.broadcast_to(BILINEAR * np.eye(4), (heads, 4, 4)),
        depth_times=np.array(depth_times, dtype=float),
    )


def test_tilt_is_the_softmax_mean_by_quadrature():
    """Gauss–Hermite nodes of N(m, Σ), weighted by exp(x B y), for a B that is not symmetric."""
    mean, covariance, generator = random_law(0, 2)
    bilinear, queries = generator.standard_normal((2, 2)), generator.standard_normal((5, 2))
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    grid = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2)
    keys = mean + grid @ np.linalg.cholesky(covariance).T
    mass = np.outer(weights, weights).ravel() * np.exp(queries @ bilinear @ keys.T)
    expected = mass @ keys / mass.sum(1, keepdims=True)
    tilted = tilt(mean, covariance, bilinear=bilinear, query=queries)
    np.testing.assert_allclose(tilted, expected, rtol=QUADRATURE)
    one = tilt(mean, covariance, bilinear=bilinear, query=queries[0])
    np.testing.assert_allclose(one, tilted[0], rtol=FLOAT64)


def test_attention_output_is_that_of_sampled_heads():
    mean, covariance, generator = random_law(1, 3)
    values = generator.standard_normal((2, 3, 3))
    bilinears = 0.3 * generator.standard_normal((2, 3, 3))
    query = 0.3 * generator.standard_normal(3)
    keys = generator.multivariate_normal(mean, covariance, size=200_000)
    measured = np.zeros(3)
    for value, bilinear in zip(values, bilinears, strict=True):
        weights = np.exp(keys @ (bilinear.T @ query))
        measured += value @ (weights @ keys / weights.sum())
    output = attention_output(mean, covariance, values=values, bilinears=bilinears, query=query)
    np.testing.assert_allclose(output, measured, atol=10 * sampling(200_000))


def test_riccati_velocity_is_that_of_the_linear_flow():
    """The flow dx = V (m + Σ B^T x) dt moves Σ by (G Σ + Σ G^T) dt with G = V Σ B^T."""
    mean, covariance, generator = random_law(2, 3)
    values, bilinears = generator.standard_normal((2, 2, 3, 3))
    step = 1e-6
    outputs = attention_output(
        mean, covariance, values=values, bilinears=bilinears, query=np.eye(3)
    ) - attention_output(mean, covariance, values=values, bilinears=bilinears, query=np.zeros(3))
    gradient = outputs.T
    after = gaussian_flow(
        mean, covariance, values=values, bilinears=bilinears, depth_times=np.array([step])
    )
    expected = gradient @ covariance + covariance @ gradient.T
    velocity = (after.covariance[0] - covariance) / step
    np.testing.assert_allclose(velocity, expected, rtol=RICCATI_VELOCITY, atol=RICCATI_VELOCITY)
    output = attention_output(mean, covariance, values=values, bilinears=bilinears, query=mean)
    drift = (after.mean[0] - mean) / step
    np.testing.assert_allclose(drift, output, rtol=RICCATI_VELOCITY, atol=RICCATI_VELOCITY)


def test_riccati_flow_of_one_head_that_commutes_is_the_closed_form():
    times = np.array([0.0, 0.5, 5.0, 40.0])
    flow = commuting_flow([-1.0], times)
    expected = contracting_variance(
        INITIAL, contraction=1.0, bilinear=BILINEAR, depth_time=times[:, None]
    )
    variances = np.diagonal(flow.covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(variances, expected, rtol=RICCATI)
    drawn = contracting_mean(
        MEAN,
        initial_variance=INITIAL,
        contraction=1.0,
        bilinear=BILINEAR,
        depth_time=times[:, None],
    )
    np.testing.assert_allclose(flow.mean, drawn, rtol=RICCATI, atol=RICCATI)


def test_heads_add_up():
    together = commuting_flow([-1.0, -2.0], [3.0]).covariance[0]
    expected = contracting_variance(INITIAL, contraction=3, bilinear=BILINEAR, depth_time=3)
    np.testing.assert_allclose(np.diag(together), expected, rtol=RICCATI)


def test_expanding_flow_is_the_closed_form_until_it_blows_up():
    limit = float(blow_up_time(INITIAL, expansion=1, bilinear=BILINEAR).min())
    assert limit == pytest.approx(1 / (2 * BILINEAR), rel=FLOAT64)
    before = 0.9 * limit
    expected = expanding_variance(INITIAL, expansion=1, bilinear=BILINEAR, depth_time=before)
    assert expected[0] == pytest.approx(10.0, rel=FLOAT64)
    flow = commuting_flow([1.0], [before])
    np.testing.assert_allclose(np.diag(flow.covariance[0]), expected, rtol=RICCATI)
    with pytest.raises(ValueError, match=r"blows up, at t ≈ 0.8333\d*; got 0.9: ask for earlier"):
        commuting_flow([1.0], [0.1, 0.9])
    with pytest.raises(ValueError, match=r"blows up, at t ≈ 0.8333\d*; got 0.9: ask for earlier"):
        commuting_flow([1.0], [0.9])


def test_particles_follow_the_closed_form():
    """Heun steps of dx = -A x dt, N = 800, to t = 40, the time of 400 layers with step 0.1."""
    count, times = 800, np.concatenate([[0.0], np.geomspace(0.2, 40.0, 40)])
    tokens = np.random.default_rng(0).standard_normal((count, 4))
    tokens -= tokens.mean(0)
    tokens = np.linalg.solve(np.linalg.cholesky(tokens.T @ tokens / count), tokens.T).T
    tokens *= np.sqrt(INITIAL)
    bilinear = BILINEAR * np.eye(4)
    for step in np.diff(times):
        velocity = -attention_average(tokens, bilinear)
        ahead = tokens + step * velocity
        tokens = tokens + step * (velocity - attention_average(ahead, bilinear)) / 2
    expected = contracting_variance(INITIAL, contraction=1, bilinear=BILINEAR, depth_time=40)
    np.testing.assert_allclose(expected, [0.0204, 0.0202, 0.0198, 0.0189], atol=quoted(4))
    np.testing.assert_allclose(tokens.var(axis=0), expected, rtol=sampling(count))


def test_a_dirac_stays_a_dirac():
    mean, query = np.array([1.0, -2.0]), np.array([3.0, 4.0])
    tilted = tilt(mean, np.zeros((2, 2)), bilinear=np.ones((2, 2)), query=query)
    np.testing.assert_array_equal(tilted, mean)
    path = gaussian_flow(
        mean,
        np.zeros((2, 2)),
        values=-np.eye(2)[None],
        bilinears=np.ones((1, 2, 2)),
        depth_times=np.array([0.0, 1.0]),
    )
    np.testing.assert_array_equal(path.covariance, np.zeros((2, 2, 2)))
    np.testing.assert_allclose(path.mean[1], mean / math.e, rtol=RICCATI)


def test_flow_reports_its_start_at_time_zero():
    path = commuting_flow([-1.0], [0.0])
    np.testing.assert_array_equal(path.covariance[0], np.diag(INITIAL))
    np.testing.assert_array_equal(path.mean[0], MEAN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariance": np.diag([1.0, -1.0])}, "covariance must be symmetric with variances"),
        ({"covariance": np.array([[1.0, 0.5], [0.0, 1.0]])}, "covariance must be symmetric"),
        ({"covariance": np.diag([1.0, math.inf])}, "covariance must be finite; got a NaN or inf"),
        ({"values": np.full((1, 2, 2), math.nan)}, "values must be finite; got a NaN"),
        ({"values": -np.ones((3, 2, 2))}, r"got shapes \(3, 2, 2\) and \(1, 2, 2\): pass both"),
        (
            {"values": np.ones((0, 2, 2)), "bilinears": np.ones((0, 2, 2))},
            "one matrix for each head, and a head at least; got",
        ),
        ({"values": -np.ones((1, 2, 3))}, r"values must end in shape \(2, 2\), .* got \(1, 2, 3"),
        ({"covariance": np.eye(3)}, r"covariance must end in shape \(2, 2\), the token width"),
        ({"mean": np.array([0.0, math.inf])}, "mean must be finite; got a NaN or infinity"),
        ({"depth_times": np.zeros(0)}, "depth_times must have entries; got none: pass"),
        ({"depth_times": np.array([-1.0, 1.0])}, "depth_times must be .*at least 0; got"),
        ({"depth_times": np.array([1.0, 0.5])}, "depth_times must ascend; got .*: sort"),
    ],
)
def test_gaussian_flow_refuses(change, message):
    valid = {
        "mean": np.zeros(2),
        "covariance": np.eye(2),
        "values": -np.eye(2)[None],
        "bilinears": np.eye(2)[None],
        "depth_times": np.array([0.0, 1.0]),
    }
    arguments = valid | change
    with pytest.raises(ValueError, match=message):
        gaussian_flow(arguments.pop("mean"), arguments.pop("covariance"), **arguments)


def test_tilt_refuses_what_is_not_a_covariance():
    with pytest.raises(
        ValueError, match=r"covariance must be symmetric.*smallest eigenvalue of -1: compute"
    ):
        tilt(np.zeros(2), np.diag([1.0, -1.0]), bilinear=np.eye(2), query=np.zeros(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"query": np.zeros((5, 3))},
            r"query must end in an axis of 2, .* shape \(5, 3\): pass",
        ),
        (
            {"query": np.array([0.0, math.nan])},
            "query must be finite; got a NaN or infinity",
        ),
        ({"mean": np.array([0.0, math.inf])}, "mean must be finite; got a NaN or infinity"),
    ],
)
def test_tilt_refuses_vectors_that_are_no_tokens(change, message):
    arguments = {"mean": np.zeros(2), "bilinear": np.eye(2), "query": np.zeros(2)} | change
    with pytest.raises(ValueError, match=message):
        tilt(arguments.pop("mean"), np.eye(2), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bilinears": np.ones((2, 2, 2))}, r"got shapes \(1, 2, 2\) and \(2, 2, 2\): pass both"),
        ({"query": np.zeros(3)}, r"query must end in an axis of 2, .* got shape \(3,\): pass"),
    ],
)
def test_attention_output_refuses(change, message):
    valid = {"values": np.ones((1, 2, 2)), "bilinears": np.ones((1, 2, 2)), "query": np.zeros(2)}
    with pytest.raises(ValueError, match=message):
        attention_output(np.zeros(2), np.eye(2), **(valid | change))

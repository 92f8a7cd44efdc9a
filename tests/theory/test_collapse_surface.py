import math

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.theory.frames import collapse_exponent
from attention_collapse.theory.spectrum import decay_ratio, singular_values
from tolerances import FLOAT64, ODE, ODE_SOLVER, TAIL_SLOPE, quoted, sampling

SURFACE = CollapseSurface(initial_sharpness=(0.6, 0.5, 0.4, 0.3), dilution_frames=64.0, step=0.25)
PLANE = CollapseSurface(initial_sharpness=(0.5, 0.3), dilution_frames=64.0, step=0.25)


def attention(tokens, sharpness):
    scores = (tokens * sharpness) @ tokens.T
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def standard_cloud(count, directions):
    """Normal tokens with sample mean zero and sample covariance identity."""
    tokens = np.random.default_rng(0).standard_normal((count, directions))
    tokens -= tokens.mean(0)
    factor = np.linalg.cholesky(tokens.T @ tokens / count)
    return np.linalg.solve(factor, tokens.T).T


def landmark_flow(tokens, sharpness, exponent, log_times):
    """Heun steps of dx / d ln t = p (A x - x); the tokens at every log time."""
    path = [tokens]
    for step in np.diff(log_times):
        velocity = exponent * (attention(tokens, sharpness) @ tokens - tokens)
        ahead = tokens + step * velocity
        velocity_ahead = exponent * (attention(ahead, sharpness) @ ahead - ahead)
        tokens = tokens + step * (velocity + velocity_ahead) / 2
        path.append(tokens)
    return path


@pytest.fixture(scope="module")
def particles():
    """Depths and the tokens there, of 800 landmarks seen in 512 frames."""
    depths = np.array([0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 21, 24])
    log_times = np.log([PLANE.depth_time(int(depth)) for depth in depths])
    exponent = collapse_exponent(512, PLANE.dilution_frames)
    cloud = standard_cloud(800, 2)
    sharpness = np.array(PLANE.initial_sharpness)
    return dict(zip(depths, landmark_flow(cloud, sharpness, exponent, log_times), strict=True))


@pytest.mark.parametrize("depth", [2, 8, 24])
def test_variance_is_that_of_the_particles(particles, depth):
    variance = particles[depth].var(axis=0)
    expected = PLANE.relative_variance(depth, 512)
    np.testing.assert_allclose(variance, expected, rtol=sampling(800))
    assert math.sqrt(variance.mean()) == pytest.approx(PLANE.spread(depth, 512), rel=sampling(800))


@pytest.mark.parametrize("depth", [4, 10, 24])
def test_rank_profile_is_that_of_attention_among_the_particles(particles, depth):
    matrix = attention(particles[depth], np.array(PLANE.initial_sharpness))
    measured = np.linalg.svd(matrix, compute_uv=False)
    profile = PLANE.rank_profile(depth, 512)
    tolerance = sampling(800)
    relative = measured / measured[0]
    np.testing.assert_allclose(profile.singular_values[:4], relative[:4], atol=tolerance)
    assert profile.singular_ratio == pytest.approx(relative[1], rel=tolerance)
    assert profile.stable_rank == pytest.approx((relative**2).sum(), rel=tolerance)
    shares = measured / measured.sum()
    effective_rank = np.exp(-(shares * np.log(shares)).sum())
    assert profile.effective_rank == pytest.approx(effective_rank, rel=2 * tolerance)
    deficit = math.log(800) + (matrix * np.log(matrix)).sum(1).mean()
    assert profile.entropy_deficit == pytest.approx(deficit, rel=2 * tolerance)


@pytest.mark.parametrize("frames", [64, 512])
def test_pre_norm_layers_follow_the_surface(frames):
    """Layers x <- x + τ A LN(x) on a narrow cap, matches and content in one attention matrix."""
    surface = CollapseSurface(initial_sharpness=(0.5, 0.3), dilution_frames=64.0, step=0.01)
    share, cap, sharpness = surface.exponent(frames), 1e-3, np.array(surface.initial_sharpness)
    tokens = np.concatenate([np.ones((400, 1)), cap * standard_cloud(400, 2)], axis=1)
    for _ in range(300):
        normalised = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
        content = attention(normalised[:, 1:] / cap, sharpness)
        mixed = (1.0 - share) * normalised + share * content @ normalised
        tokens = tokens + surface.step * mixed
    final = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    variance = final[:, 1:].var(axis=0) / cap**2
    expected = surface.relative_variance(300, frames)
    np.testing.assert_allclose(variance, expected, rtol=sampling(400))


@pytest.mark.parametrize("frames", [1, 8, 512])
def test_relative_variance_solves_its_equation_numerically(frames):
    exponent, initial = SURFACE.exponent(frames), np.array(SURFACE.initial_sharpness)
    solution = solve_ivp(
        lambda _, u: -2 * exponent * u * (1 - initial * u),
        (0.0, math.log(SURFACE.depth_time(1000))),
        np.ones(4),
        method="DOP853",
        **ODE_SOLVER,
    )
    np.testing.assert_allclose(SURFACE.relative_variance(1000, frames), solution.y[:, -1], rtol=ODE)


def test_relative_variance_solves_its_equation_symbolically():
    time, sharpness, exponent = sympy.symbols("t a p", positive=True)
    remaining = time ** (-2 * exponent)
    variance = remaining / (1 - sharpness + sharpness * remaining)
    residual = time * variance.diff(time) + 2 * exponent * variance * (1 - sharpness * variance)
    assert sympy.simplify(residual) == 0
    assert variance.subs(time, 1) == 1
    numbers = {time: SURFACE.depth_time(24), sharpness: 0.4, exponent: SURFACE.exponent(100)}
    exact = float(variance.subs(numbers))
    assert SURFACE.relative_variance(24, 100)[2] == pytest.approx(exact, rel=FLOAT64)


def tail_slope(frames, first, last):
    """Exponent of the spread between two depth times."""
    times = np.geomspace(first, last, 9)
    spreads = [SURFACE.spread((time - 1) / SURFACE.step, frames) for time in times]
    return np.polyfit(np.log(times), np.log(spreads), 1)[0]


@pytest.mark.parametrize("frames", [8, 64, 512])
def test_tail_slope_is_the_exponent(frames):
    """Two decades, from where eight frames have left the content term behind."""
    slope = tail_slope(frames, 1e24, 1e26)
    assert slope == pytest.approx(-frames / (frames + 64), abs=TAIL_SLOPE)


def test_many_frames_give_the_inverse_depth_law():
    assert tail_slope(1e6, 1e2, 1e4) == pytest.approx(-1.0, abs=TAIL_SLOPE)


@pytest.mark.parametrize("name", ["singular_ratio", "effective_rank", "stable_rank"])
def test_rank_falls_with_depth_and_with_frames(name):
    table = [
        [getattr(SURFACE.rank_profile(depth, frames), name) for frames in (1, 8, 64, 512, 4096)]
        for depth in (1, 4, 24, 96)
    ]
    assert np.all(np.diff(table, axis=0) < 0)
    assert np.all(np.diff(table, axis=1) < 0)


def test_spread_falls_with_depth_and_with_frames():
    table = [
        [SURFACE.spread(depth, frames) for frames in (1, 8, 64, 512, 4096)]
        for depth in (1, 4, 24, 96)
    ]
    assert np.all(np.diff(table, axis=0) < 0)
    assert np.all(np.diff(table, axis=1) < 0)


def test_nothing_has_moved_before_the_first_layer():
    np.testing.assert_array_equal(SURFACE.relative_variance(0, 512), np.ones(4))
    np.testing.assert_array_equal(SURFACE.sharpness(0, 512), SURFACE.initial_sharpness)
    assert SURFACE.spread(0, 512) == 1.0


def test_numbers_of_the_reference_surface():
    few, many = SURFACE.rank_profile(24, 8), SURFACE.rank_profile(24, 512)
    assert few.singular_ratio == pytest.approx(0.5096, abs=quoted(4))
    assert many.singular_ratio == pytest.approx(0.0450, abs=quoted(4))


def test_profile_is_the_spectrum_at_the_sharpness_of_that_depth():
    profile = SURFACE.rank_profile(12, 100, count=7)
    sharpness = SURFACE.sharpness(12, 100)
    values = singular_values(sharpness, 7)
    np.testing.assert_allclose(profile.singular_values, values / values[0], rtol=FLOAT64)
    assert profile.singular_ratio == pytest.approx(profile.singular_values[1], rel=FLOAT64)
    assert profile.singular_ratio == decay_ratio(sharpness)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial_sharpness": (0.6, 0.8)}, r"\|a\| < 1/√2.*got 0.8, outside the Hilbert"),
        ({"initial_sharpness": (0.6, -0.1)}, "initial_sharpness must be .*at least 0; got .*-0.1"),
        ({"initial_sharpness": ()}, "one entry per direction; got shape"),
        ({"dilution_frames": 0.0}, "dilution_frames must be finite and positive; got 0.0: see"),
        ({"step": -0.1}, "step must be finite and positive; got -0.1: a layer must move"),
    ],
)
def test_refuses_a_surface_out_of_range(change, message):
    valid = {"initial_sharpness": (0.6,), "dilution_frames": 64.0, "step": 0.25}
    with pytest.raises(ValueError, match=message):
        CollapseSurface(**(valid | change))


@pytest.mark.parametrize(
    "method", [SURFACE.relative_variance, SURFACE.sharpness, SURFACE.spread, SURFACE.rank_profile]
)
def test_refuses_a_point_off_the_surface(method):
    with pytest.raises(ValueError, match="depth must be finite and at least 0; got -1: count"):
        method(-1, 8)
    with pytest.raises(ValueError, match="frames must be finite and at least 1; got 0.5: a seq"):
        method(24, 0.5)

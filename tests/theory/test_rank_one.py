import numpy as np
import pytest
from scipy.optimize import minimize

from attention_collapse.theory.layers import normalise
from attention_collapse.theory.rank_one import (
    direction_bound,
    half_space_margin,
    spread_constant,
)
from tolerances import DEEP_RUN, FLOAT64, FLOAT64_LAYERS, HULL


def tokens_in_a_half_space(seed=0):
    generator = np.random.default_rng(seed)
    return np.c_[generator.uniform(0.2, 2.0, 12), generator.standard_normal((12, 3))]


def equal_rows(tokens, layers, *, step, seed=1):
    """Layers in which all queries share one row, drawn anew for each layer."""
    generator = np.random.default_rng(seed)
    for _ in range(layers):
        row = generator.dirichlet(np.ones(len(tokens)))
        tokens = tokens + step * (row @ normalise(tokens))
    return tokens


def test_the_margin_of_two_tokens_is_the_cosine_of_half_their_angle():
    tokens = np.array([[2.0, 0.0], [3 * np.cos(1.0), 3 * np.sin(1.0)]])
    assert half_space_margin(tokens) == pytest.approx(np.cos(0.5), rel=FLOAT64)


def test_the_margin_is_the_best_of_all_directions():
    tokens = tokens_in_a_half_space()
    directions = normalise(tokens)
    constraints = [
        {"type": "ineq", "fun": lambda v: directions @ v[:-1] - v[-1]},
        {"type": "ineq", "fun": lambda v: 1 - v[:-1] @ v[:-1]},
    ]
    start = np.append(normalise(directions.mean(axis=0)[None])[0], 0.0)
    found = minimize(lambda v: -v[-1], start, constraints=constraints, tol=1e-12)
    assert half_space_margin(tokens) == pytest.approx(-found.fun, rel=HULL)


def test_tokens_around_the_origin_have_no_margin():
    assert half_space_margin(np.vstack([np.eye(3), -np.eye(3)])) < 1e-12


@pytest.mark.claims("thm-rank-one", "eq-direction-bound", "eq-norms", "eq-same-vector")
@pytest.mark.parametrize("layers", [1, 7, 200])
def test_directions_meet_within_the_bound(layers):
    start = tokens_in_a_half_space()
    tokens = equal_rows(start, layers, step=0.4)
    directions = normalise(tokens)
    apart = max(np.linalg.norm(directions - one, axis=1).max() for one in directions)
    assert apart <= direction_bound(start, step=0.4, layers=layers)
    np.testing.assert_allclose(tokens - tokens[0], start - start[0], rtol=0, atol=FLOAT64_LAYERS)
    norms = np.linalg.norm(tokens, axis=1)
    assert (norms >= 0.4 * half_space_margin(start) * layers).all()
    assert (norms <= np.linalg.norm(start, axis=1) + 0.4 * layers).all()


@pytest.mark.claims("thm-rank-one", "eq-rank-one-limit")
def test_depth_times_spread_tends_to_the_constant():
    start = tokens_in_a_half_space()
    tokens = equal_rows(start, 20_000, step=0.4)
    directions = normalise(tokens)
    spread = np.sqrt(np.mean(np.sum((directions - directions.mean(axis=0)) ** 2, axis=1)))
    constant = spread_constant(start, limit=tokens.mean(axis=0), step=0.4)
    assert 20_000 * spread == pytest.approx(constant, rel=DEEP_RUN)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: half_space_margin(np.zeros((0, 3))), r"tokens must have the shape.*got \(0, 3\)"),
        (
            lambda: spread_constant(np.full((2, 2), np.nan), limit=np.ones(2), step=1),
            "tokens must be finite",
        ),
        (lambda: spread_constant(np.zeros((0, 2)), limit=np.ones(2), step=1), "tokens must have"),
        (lambda: spread_constant(np.eye(2), limit=np.ones(3), step=1), "limit must end in an axis"),
        (lambda: half_space_margin(np.zeros((2, 2))), "norms of the tokens"),
        (
            lambda: direction_bound(np.array([[1.0, 0.0], [-1.0, 0.0]]), step=1, layers=1),
            "open half-space",
        ),
        (lambda: direction_bound(np.eye(2), step=0, layers=1), "step must be"),
        (lambda: direction_bound(np.eye(2), step=1, layers=0), "layers must be"),
        (lambda: spread_constant(np.eye(2), limit=np.zeros(2), step=1), "norms of the tokens"),
        (lambda: spread_constant(np.eye(2), limit=np.ones(2), step=-1), "step must be"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

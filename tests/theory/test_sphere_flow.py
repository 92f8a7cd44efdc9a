import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from attention_collapse.theory.layers import layer, normalise
from attention_collapse.theory.sphere_flow import post_norm_gap, pre_norm_gap
from attention_collapse.theory.symbolic import dirac_rate
from tolerances import (
    EQUIANGULAR,
    EQUIANGULAR_TAIL,
    FITTED_SLOPE,
    FLOAT64,
    ODE,
    ODE_SOLVER,
    POST_NORM_SLOPE,
)

TIMES = np.array([0.0, 0.3, 2.0, 11.0, 60.0])


def equiangular(count, cosine):
    """Unit tokens with one common cosine: a shared direction and one of its own each."""
    own = np.sqrt(1 - cosine) * np.eye(count)
    return np.c_[own, np.full(count, np.sqrt(cosine))]


def gap(tokens):
    """One minus the mean cosine over distinct pairs."""
    directions, count = normalise(tokens), len(tokens)
    return 1 - (np.sum(directions.sum(axis=0) ** 2) - count) / (count * (count - 1))


@pytest.mark.claims("eq-pre-norm-flow", "thm-pre-norm")
@pytest.mark.parametrize("cosine", [1e-3, 0.3, 0.99])
def test_the_pre_norm_gap_solves_the_two_equations(cosine):
    def velocity(_time, state):
        radius, omega = state
        return [omega, 2 * omega * (1 - omega) / radius]

    solved = solve_ivp(velocity, (0, 60), [1.5, cosine], t_eval=TIMES, **ODE_SOLVER).y
    np.testing.assert_allclose(
        pre_norm_gap(TIMES, cosine=cosine, norm=1.5), 1 - solved[1], atol=ODE
    )


@pytest.mark.claims("eq-pre-norm", "eq-pre-norm-tanh")
@pytest.mark.parametrize("cosine", [1e-6, 0.3, 1 - 1e-6])
@pytest.mark.parametrize("time", [1e-3, 1.0, 1e6])
def test_the_norm_inverts_the_elapsed_time(cosine, time):
    with mpmath.workdps(60):
        k = mpmath.sqrt(1 - mpmath.mpf(cosine))

        def elapsed(r):
            return r + k / 2 * mpmath.log((r - k) / (r + k))

        target = elapsed(mpmath.mpf(1)) + mpmath.mpf(time)
        guess = float(k) / np.sqrt(pre_norm_gap(time, cosine=cosine))
        exact = mpmath.findroot(lambda r: elapsed(r) - target, (guess, guess * (1 + 1e-9)))
        exact_gap = float((k / exact) ** 2)
    assert pre_norm_gap(time, cosine=cosine) == pytest.approx(exact_gap, rel=FLOAT64, abs=0)
    symbolic = dirac_rate.elapsed.subs({dirac_rate.invariant: 0.5, dirac_rate.norm: 2.0})
    assert float(symbolic) == pytest.approx(2 + 0.25 * np.log(1.5 / 2.5), rel=FLOAT64)


@pytest.mark.claims("eq-pre-norm-tanh")
@pytest.mark.parametrize("time", [1.0, 20.0, 40.0])
def test_nearly_orthogonal_tokens(time):
    """The stated equation with 60 digits, where float64 loses the artanh of a number near one."""
    with mpmath.workdps(60):
        k = mpmath.sqrt(1 - mpmath.mpf(1e-12))
        target = mpmath.mpf(time) / k + 1 / k - mpmath.atanh(k)
        start = np.arctanh(np.sqrt(pre_norm_gap(time, cosine=1e-12)))
        y = mpmath.findroot(lambda y: mpmath.coth(y) - y - target, float(start))
        exact = float(mpmath.tanh(y) ** 2)
    assert pre_norm_gap(time, cosine=1e-12) == pytest.approx(exact, rel=FLOAT64)


@pytest.mark.claims("eq-post-norm", "thm-post-norm")
def test_the_post_norm_gap_is_logistic():
    symbolic = dirac_rate.post_norm_cosine
    for time in (0.0, 1.0, 15.0):
        values = {dirac_rate.initial_cosine: 0.3, dirac_rate.time: time}
        exact = (1 - symbolic).evalf(40, subs=values)
        assert post_norm_gap(time, cosine=0.3) == pytest.approx(float(exact), rel=FLOAT64, abs=0)
    assert post_norm_gap(1000.0, cosine=0.3) == 0
    assert post_norm_gap(20.0, cosine=0.3) < 1e-15


@pytest.mark.claims("thm-pre-norm")
def test_orthogonal_starts_follow_the_pre_norm_form():
    """512 tokens, temperature 2, step .02: what is left is one over the number of tokens."""
    tokens, measured, depths = equiangular(512, 0.3), [], (50, 100, 200, 400)
    for depth in range(1, 401):
        tokens = layer(tokens, scheme="pre-norm", step=0.02, temperature=2.0)
        if depth in depths:
            measured.append(gap(tokens))
    predicted = pre_norm_gap(0.02 * np.array(depths), cosine=0.3)
    np.testing.assert_allclose(measured, predicted, rtol=EQUIANGULAR)


@pytest.mark.claims("thm-post-norm")
def test_orthogonal_starts_follow_the_post_norm_form():
    tokens = equiangular(512, 0.3)
    for _ in range(100):
        tokens = layer(tokens, scheme="post-norm", step=0.02, temperature=2.0)
    assert gap(tokens) == pytest.approx(post_norm_gap(2.0, cosine=0.3), rel=3 * EQUIANGULAR)


@pytest.mark.claims("thm-pre-norm", "eq-pre-norm-tail")
def test_the_gap_falls_like_the_inverse_square_of_depth():
    times = np.geomspace(1e2, 1e4, 12)
    values = pre_norm_gap(times, cosine=0.3)
    slope = np.polyfit(np.log(times), np.log(values), 1)[0]
    assert slope == pytest.approx(-2, abs=FITTED_SLOPE)
    assert pre_norm_gap(1e9, cosine=0.3) * 1e18 == pytest.approx(0.7, rel=EQUIANGULAR_TAIL)


@pytest.mark.claims("thm-post-norm")
def test_the_post_norm_gap_falls_like_an_exponential():
    times = np.linspace(5, 15, 9)  # 8.7 decades of the gap
    slope = np.polyfit(times, np.log(post_norm_gap(times, cosine=0.3)), 1)[0]
    assert slope == pytest.approx(-2, abs=POST_NORM_SLOPE)


@pytest.mark.parametrize("function", [pre_norm_gap, post_norm_gap])
@pytest.mark.parametrize(
    ("time", "cosine", "message"),
    [
        (-1.0, 0.3, "depth_time must be finite and at least 0"),
        (1.0, 0.0, r"cosine must be in \(0, 1\)"),
        (1.0, 1.0, r"cosine must be in \(0, 1\); got 1.0: orth"),
        (1.0, np.nan, r"cosine must be in \(0, 1\)"),
    ],
)
def test_bad_input_is_refused(function, time, cosine, message):
    with pytest.raises(ValueError, match=message):
        function(time, cosine=cosine)


def test_a_norm_is_positive():
    with pytest.raises(ValueError, match="norm must be finite and positive"):
        pre_norm_gap(1.0, cosine=0.3, norm=0.0)

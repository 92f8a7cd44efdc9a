import math

import mpmath
import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from attention_collapse.theory import spectrum
from attention_collapse.theory.decay import (
    cosine_relative_variance,
    pure_sharpness,
    rank_over_depth,
    relative_covariance,
    relative_variance,
)
from attention_collapse.theory.layers import response_law
from attention_collapse.theory.symbolic import dirac_rate
from attention_collapse.theory.symbols import (
    bilinear,
    exponent,
    initial_variance,
    layers,
    sharpness,
)
from tolerances import FITTED_SLOPE, FLOAT64, ODE, ODE_SOLVER, POST_NORM_STEP


@pytest.mark.claims("eq-pure")
def test_pure_attention_cubes_the_sharpness():
    depths = np.arange(5)
    law = response_law("pure", step=1.0, sharpness=0.6, match_share=0.0, layers=4)
    np.testing.assert_allclose(pure_sharpness(0.6, layers=depths), 0.6 * law**2, rtol=FLOAT64)
    start = {initial_variance: 1, bilinear: sympy.Rational(3, 5)}
    for depth in depths:
        value = float(dirac_rate.pure_sharpness.subs(start).subs(layers, int(depth)))
        assert pure_sharpness(0.6, layers=int(depth)) == pytest.approx(value, rel=FLOAT64, abs=0)


def test_pure_attention_deep_down():
    with mpmath.workdps(30):
        exact = mpmath.mpf("0.9") ** (3**7)
    assert pure_sharpness(0.9, layers=7) == pytest.approx(float(exact), rel=FLOAT64, abs=0)
    assert pure_sharpness(0.0, layers=0) == 0
    for layers_deep in (300, 700, np.array([700, 700])):
        assert np.all(pure_sharpness(0.5, layers=layers_deep) == 0)


@pytest.mark.claims("eq-logistic-solution")
@pytest.mark.parametrize("point", [(0.0, 0.3, 0.0), (2.0, 0.9, 0.5), (300.0, 0.999, 0.1)])
def test_the_logistic_variance_is_the_expression(point):
    time, initial, share = point
    values = {dirac_rate.clock: time, sharpness: initial, exponent: 1 - share}
    exact = dirac_rate.logistic_variance.evalf(30, subs=values)
    computed = relative_variance(time, sharpness=initial, match_share=share)
    assert computed == pytest.approx(float(exact), rel=10 * FLOAT64, abs=0)


@pytest.mark.claims("eq-cosine-law", "prop-cosine")
@pytest.mark.parametrize("initial", [1e-6, 0.4, 3.0, 900.0])
def test_cosine_scores_give_lamberts_function(initial):
    clock = np.array([0.0, 0.5, 40.0])
    u = cosine_relative_variance(clock, sharpness=initial, match_share=0.25)
    np.testing.assert_allclose(
        np.log(u) + initial * (u - 1), -1.5 * clock, rtol=FLOAT64, atol=FLOAT64
    )
    steps = np.full(4000, 1e-3)
    law = response_law(
        "post-norm", step=steps, sharpness=initial, match_share=0.25, layers=4000,
        cosine_scores=True,
    )  # fmt: skip
    flow = cosine_relative_variance(4.0, sharpness=initial, match_share=0.25)
    assert law[-1] ** 2 == pytest.approx(flow, rel=POST_NORM_STEP)


@pytest.mark.claims("prop-cosine")
def test_cosine_scores_keep_the_exponent():
    clock = np.linspace(5, 12, 8)  # three decades of the depth time of pre-norm
    u = cosine_relative_variance(clock, sharpness=3.0, match_share=0.4)
    slope = np.polyfit(clock, np.log(u) / 2, 1)[0]
    assert slope == pytest.approx(-0.6, abs=FITTED_SLOPE)


@pytest.mark.claims("eq-matrix-logistic", "thm-three-clocks")
def test_a_covariance_solves_its_equation_for_any_form():
    generator = np.random.default_rng(0)
    factor, form = generator.standard_normal((2, 3, 3))
    start = 0.1 * factor @ factor.T + 0.05 * np.eye(3)

    def velocity(_clock, flat):
        covariance = flat.reshape(3, 3)
        content = covariance @ (form + form.T) @ covariance
        return (-2 * 0.7 * covariance + 0.7 * content).ravel()

    solved = solve_ivp(velocity, (0, 2), start.ravel(), **ODE_SOLVER).y[:, -1].reshape(3, 3)
    closed = relative_covariance(start, bilinear=form, clock=2.0, match_share=0.3)
    np.testing.assert_allclose(closed, solved, atol=ODE)


def test_a_covariance_that_commutes_moves_by_direction():
    variance, form = np.array([0.5, 0.2]), np.array([1.2, -3.0])
    closed = relative_covariance(np.diag(variance), bilinear=np.diag(form), clock=1.0)
    remaining = np.exp(-2.0)
    expected = variance * remaining / (1 - variance * form * (1 - remaining))
    np.testing.assert_allclose(closed, np.diag(expected), atol=FLOAT64)


def test_a_flat_cloud_stays_flat():
    closed = relative_covariance(np.diag([0.5, 0.0]), bilinear=np.eye(2), clock=1.0)
    assert closed[1, 1] == 0
    assert 0 < closed[0, 0] < 0.5


@pytest.mark.claims("thm-three-clocks")
@pytest.mark.parametrize(
    ("scheme", "clock"),
    [("averaging", lambda t: t), ("post-norm", lambda t: t), ("pre-norm", np.log1p)],
)
def test_layers_tend_to_the_flow_in_first_order_of_the_step(scheme, clock):
    errors = []
    for step in (0.1, 0.05, 0.025):
        count = round(3 / step)
        law = response_law(scheme, step=step, sharpness=0.5, match_share=0.2, layers=count)
        flow = relative_variance(clock(3.0), sharpness=0.5, match_share=0.2)
        errors.append(abs(law[-1] ** 2 / flow - 1))
    slope = np.polyfit(np.log([0.1, 0.05, 0.025]), np.log(errors), 1)[0]
    assert slope == pytest.approx(1, abs=2 * FITTED_SLOPE)


def test_the_rank_follows_the_variance():
    initial = np.array([0.5, 0.3])
    spread = response_law("pre-norm", step=0.5, sharpness=initial, match_share=0.0, layers=9)
    profiles = rank_over_depth(spread, sharpness=initial, count=4)
    last = initial * spread[-1] ** 2
    assert len(profiles) == 10
    assert profiles[-1].stable_rank == pytest.approx(spectrum.stable_rank(last), rel=FLOAT64)
    assert profiles[-1].singular_ratio == pytest.approx(spectrum.decay_ratio(last)[0], rel=FLOAT64)
    assert profiles[0].singular_ratio == pytest.approx(
        spectrum.decay_ratio(initial)[0], rel=FLOAT64
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pure_sharpness(1.0, layers=1), "sharpness must be below 1"),
        (lambda: pure_sharpness(-0.1, layers=1), "initial must be finite and at least 0"),
        (
            lambda: rank_over_depth(np.ones((4, 3)), sharpness=np.array([0.1, 0.2])),
            r"spread must have one column for each sharpness; got shapes \(4, 3\) and \(2,\)",
        ),
        (lambda: pure_sharpness(0.1, layers=-1), "layers must be finite and at least 0"),
        (lambda: relative_variance(-1.0, sharpness=0.1), "clock must be finite and at least 0"),
        (lambda: relative_variance(1.0, sharpness=math.nan), "sharpness must be finite"),
        (lambda: cosine_relative_variance(1.0, sharpness=0.0), "sharpness must be finite and pos"),
        (lambda: relative_variance(1.0, sharpness=0.1, match_share=-1), "match_share must be in"),
        (
            lambda: relative_covariance(np.eye(2), bilinear=np.eye(2), clock=1.0),
            "sharpness must be below 1",
        ),
        (
            lambda: relative_covariance(-np.eye(2), bilinear=np.eye(2), clock=1.0),
            "covariance must be symmetric",
        ),
        (
            lambda: relative_covariance(np.eye(2), bilinear=np.eye(3), clock=1.0),
            "bilinear must end in shape",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

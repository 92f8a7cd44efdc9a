import math

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from attention_collapse.theory import symbols
from attention_collapse.theory.closed_variance import (
    blow_up_time,
    contracting_mean,
    contracting_variance,
    expanding_variance,
)
from attention_collapse.theory.symbolic import degenerate_diffusion
from tolerances import FLOAT64, NEAR_LIMIT, ODE, ODE_SOLVER, TAIL_SLOPE

INITIAL = np.array([1.0, 0.7, 0.4, 0.2])
BILINEAR = 0.6
POINTS = [(1.3, 0.7, 0.6, 2.5, -0.8), (1e-8, 3.0, 1e-3, 1e6, 2.0), (40.0, 0.1, 5.0, 1e-9, 1e-6)]


@pytest.mark.parametrize("point", POINTS)
def test_the_functions_are_the_expressions_of_the_chapter(point):
    variance, contraction, bilinear, time, mean = point
    values = {
        symbols.initial_variance: sympy.Float(variance, 60),
        symbols.contraction: sympy.Float(contraction, 60),
        symbols.bilinear: sympy.Float(bilinear, 60),
        symbols.time: sympy.Float(time, 60),
        degenerate_diffusion.initial_mean: sympy.Float(mean, 60),
    }
    given = {"contraction": contraction, "bilinear": bilinear, "depth_time": time}
    exact = float(degenerate_diffusion.variance_over_depth.subs(values))
    assert contracting_variance(variance, **given) == pytest.approx(exact, rel=FLOAT64, abs=0)
    exact = float(degenerate_diffusion.mean_over_depth.subs(values))
    computed = contracting_mean(mean, initial_variance=variance, **given)
    assert computed == pytest.approx(exact, rel=FLOAT64, abs=0)


def test_mean_and_variance_solve_their_equations():
    """The differential equations of the closure in one direction, by an adaptive solver."""

    def velocity(_time, state):
        mean, variance = state
        return [-1.5 * (1 + BILINEAR * variance) * mean, -3.0 * BILINEAR * variance**2]

    solved = solve_ivp(velocity, (0, 4), [0.9, 0.7], method="DOP853", **ODE_SOLVER).y[:, -1]
    given = {"contraction": 1.5, "bilinear": BILINEAR, "depth_time": 4.0}
    assert contracting_mean(0.9, initial_variance=0.7, **given) == pytest.approx(solved[0], rel=ODE)
    assert contracting_variance(0.7, **given) == pytest.approx(solved[1], rel=ODE)


def test_variance_falls_like_one_over_depth_whatever_its_start():
    times = np.geomspace(1e4, 1e7, 9)
    variance = contracting_variance(
        INITIAL[:, None], contraction=1.5, bilinear=BILINEAR, depth_time=times
    )
    slopes = np.polyfit(np.log(times), np.log(variance).T, 1)[0]
    np.testing.assert_allclose(slopes, -1.0, atol=TAIL_SLOPE)
    np.testing.assert_allclose(2 * 1.5 * BILINEAR * times * variance, 1.0, atol=TAIL_SLOPE)


def test_a_dirac_moves_and_stays_a_dirac():
    assert contracting_variance(0.0, contraction=1, bilinear=1, depth_time=5.0) == 0.0
    moved = contracting_mean(2.0, initial_variance=0.0, contraction=1, bilinear=1, depth_time=5.0)
    assert moved == pytest.approx(2 * math.exp(-5), rel=FLOAT64)


def test_contracting_mean_refuses_a_mean_that_is_no_number():
    with pytest.raises(ValueError, match="initial must be finite; got nan: pass the mean"):
        contracting_mean(
            math.nan, initial_variance=1.0, contraction=1.0, bilinear=1.0, depth_time=1.0
        )


def test_blow_up_is_the_pole_of_the_expanding_variance():
    limit = blow_up_time(0.5, expansion=2.0, bilinear=0.25)
    assert limit == pytest.approx(2.0, rel=FLOAT64)
    near = expanding_variance(0.5, expansion=2.0, bilinear=0.25, depth_time=limit * (1 - 1e-6))
    assert near == pytest.approx(0.5e6, rel=NEAR_LIMIT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contraction": 0.0}, "contraction must be .*positive; got 0.0: expanding_variance"),
        ({"bilinear": -1.0}, "bilinear must be .*positive; got -1.0: expanding_variance"),
        ({"initial": -1.0}, "initial variance must be .*at least 0; got -1.0: a variance"),
        ({"depth_time": -1.0}, "depth_time must be .*at least 0; got -1.0: count"),
        ({"depth_time": math.nan}, "depth_time must be finite"),
    ],
)
def test_contracting_variance_refuses(change, message):
    valid = {"initial": 1.0, "contraction": 1.0, "bilinear": 1.0, "depth_time": 1.0}
    with pytest.raises(ValueError, match=message):
        contracting_variance(**(valid | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expansion": -1.0}, "expansion must be .*positive; got -1.0: contracting_variance"),
        ({"bilinear": 0.0}, "bilinear must be .*positive; got 0.0: contracting_variance"),
        ({"initial": 0.0}, "initial must be .*positive; got 0.0: a direction"),
        ({"depth_time": -0.1}, "depth_time must be .*at least 0; got -0.1: count"),
        ({"depth_time": 0.5}, "before the blow-up time 0.5; got 0.5: .*earlier"),
    ],
)
def test_expanding_variance_refuses(change, message):
    valid = {"initial": 1.0, "expansion": 1.0, "bilinear": 1.0, "depth_time": 0.1}
    with pytest.raises(ValueError, match=message):
        expanding_variance(**(valid | change))

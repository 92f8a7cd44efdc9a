import math

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

from attention_collapse.theory.closure import gaussian_flow
from attention_collapse.theory.riccati import (
    characteristics,
    covariance_blow_up_time,
    solved_covariance,
    solved_mean,
)
from tolerances import FLOAT64, RICCATI

TIMES = np.array([0.0, 0.4, 3.0, 50.0])


def heads(seed, *, count=2, width=3, symmetric=False):
    """A covariance and contracting heads that commute with nothing."""
    generator = np.random.default_rng(seed)
    factor = generator.standard_normal((width, width))
    covariance = factor @ factor.T / width + 0.1 * np.eye(width)
    factors = generator.standard_normal((count, width, width))
    bilinears = factors @ factors.swapaxes(1, 2) / width
    if not symmetric:
        skew = generator.standard_normal((count, width, width))
        bilinears = bilinears + skew - skew.swapaxes(1, 2)
    rates = -generator.uniform(0.5, 1.5, count)
    return generator.standard_normal(width), covariance, {"rates": rates, "bilinears": bilinears}


def integrated(mean, covariance, rates, bilinears, times):
    values = rates[:, None, None] * np.eye(len(mean))
    return gaussian_flow(mean, covariance, values=values, bilinears=bilinears, depth_times=times)


@pytest.mark.parametrize("seed", range(3))
def test_the_solution_is_the_integrated_flow_of_heads_that_do_not_commute(seed):
    mean, covariance, given = heads(seed)
    solved = solved_covariance(covariance, **given, depth_times=TIMES)
    path = integrated(mean, covariance, **given, times=TIMES)
    np.testing.assert_allclose(solved, path.covariance, rtol=RICCATI, atol=RICCATI)


def test_the_solution_has_an_inverse_that_is_linear_in_time():
    _, covariance, given = heads(4)
    solved = solved_covariance(covariance, **given, depth_times=TIMES)
    growth = np.einsum("h,hij->ij", given["rates"], given["bilinears"])
    inverse = np.linalg.inv(covariance) - TIMES[:, None, None] * (growth + growth.T)
    np.testing.assert_allclose(
        solved @ inverse, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=10 * FLOAT64
    )


def test_mean_and_characteristics_are_those_of_the_integrated_flow():
    mean, covariance, given = heads(5, symmetric=True)
    times = TIMES[:3]
    path = integrated(mean, covariance, **given, times=times)
    computed = solved_mean(mean, covariance, **given, depth_times=times)
    np.testing.assert_allclose(computed, path.mean, rtol=RICCATI, atol=RICCATI)
    deviations = np.random.default_rng(0).standard_normal((5, 3))
    moved = characteristics(deviations, covariance, **given, depth_times=times)
    growth = 2 * np.einsum("h,hij->ij", given["rates"], given["bilinears"])
    for time, cloud in zip(times, moved, strict=True):
        root = fractional_matrix_power(np.eye(3) - time * covariance @ growth, -0.5)
        np.testing.assert_allclose(cloud, deviations @ root.T, rtol=RICCATI, atol=RICCATI)


def test_characteristics_carry_the_covariance():
    """A cloud of four points with the given covariance keeps the covariance of the theorem."""
    _, covariance, given = heads(6, symmetric=True)
    frame = np.linalg.cholesky(covariance) * math.sqrt(3)
    cloud = np.concatenate([frame.T, -frame.T])
    moved = characteristics(cloud, covariance, **given, depth_times=TIMES)
    spread = np.einsum("tni,tnj->tij", moved, moved) / len(cloud)
    solved = solved_covariance(covariance, **given, depth_times=TIMES)
    np.testing.assert_allclose(spread, solved, rtol=RICCATI, atol=FLOAT64)


def test_a_direction_without_variance_stays_without():
    _, _, given = heads(7, symmetric=True)
    covariance = np.diag([1.0, 0.5, 0.0])
    solved = solved_covariance(covariance, **given, depth_times=TIMES)
    assert np.abs(solved[:, 2]).max() == 0.0
    mean = np.array([1.0, -1.0, 0.5])
    path = integrated(mean, covariance, **given, times=TIMES[:3])
    np.testing.assert_allclose(solved[:3], path.covariance, rtol=RICCATI, atol=RICCATI)
    computed = solved_mean(mean, covariance, **given, depth_times=TIMES[:3])
    np.testing.assert_allclose(computed, path.mean, rtol=RICCATI, atol=RICCATI)


def test_the_blow_up_time_is_that_of_the_integrated_flow():
    mean, covariance, given = heads(8)
    given["rates"] = -given["rates"]
    limit = covariance_blow_up_time(covariance, **given)
    message = f"at t = {limit:.6g}; got .*: ask for earlier"
    with pytest.raises(ValueError, match=message):
        solved_covariance(covariance, **given, depth_times=np.array([1.01 * limit]))
    with pytest.raises(ValueError, match=f"blows up, at t ≈ {limit:.5g}"):
        integrated(mean, covariance, **given, times=np.array([1.01 * limit]))
    times = np.array([0.5, 0.99]) * limit
    solved = solved_covariance(covariance, **given, depth_times=times)
    path = integrated(mean, covariance, **given, times=times)
    np.testing.assert_allclose(solved, path.covariance, rtol=RICCATI, atol=RICCATI)


def test_contracting_and_antisymmetric_heads_never_blow_up():
    _, covariance, given = heads(9)
    assert covariance_blow_up_time(covariance, **given) == math.inf
    skew = np.array([[[0.0, 2.0], [-2.0, 0.0]]])
    rates = np.array([5.0])
    assert covariance_blow_up_time(np.eye(2), rates=rates, bilinears=skew) == math.inf
    frozen = solved_covariance(np.eye(2), rates=rates, bilinears=skew, depth_times=TIMES)
    np.testing.assert_allclose(frozen, np.broadcast_to(np.eye(2), (4, 2, 2)), atol=FLOAT64)


def test_the_solution_turns_with_the_coordinates_and_does_not_know_the_order_of_heads():
    mean, covariance, given = heads(10, symmetric=True)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    turned = {
        "rates": given["rates"][::-1].copy(),
        "bilinears": (turn @ given["bilinears"] @ turn.T)[::-1].copy(),
    }
    there = turn @ covariance @ turn.T
    there = (there + there.T) / 2
    turned["bilinears"] = (turned["bilinears"] + turned["bilinears"].swapaxes(1, 2)) / 2
    before = solved_covariance(covariance, **given, depth_times=TIMES)
    after = solved_covariance(there, **turned, depth_times=TIMES)
    np.testing.assert_allclose(after, turn @ before @ turn.T, atol=FLOAT64)
    moved = solved_mean(turn @ mean, there, **turned, depth_times=TIMES)
    still = solved_mean(mean, covariance, **given, depth_times=TIMES)
    np.testing.assert_allclose(moved, still @ turn.T, atol=FLOAT64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariance": np.diag([1.0, -1.0])}, "covariance must be symmetric with variances"),
        ({"covariance": np.eye(3)}, r"bilinears must end in shape \(3, 3\), the token width"),
        ({"covariance": np.diag([1.0, math.inf])}, "covariance must be finite; got a NaN"),
        ({"rates": np.array([math.nan])}, "rates must be finite; got a NaN"),
        ({"rates": np.ones(2)}, r"got shapes \(2,\) and \(1, 2, 2\): pass both"),
        ({"rates": np.ones(0), "bilinears": np.ones((0, 2, 2))}, "and a head at least; got"),
        ({"depth_times": np.array([2.0, 1.0])}, "depth_times must ascend"),
        ({"depth_times": np.array([0.0, 1.0])}, "blows up, at t = 0.5; got 1: ask for earlier"),
    ],
)
def test_solved_covariance_refuses(change, message):
    valid = {
        "covariance": np.eye(2),
        "rates": np.ones(1),
        "bilinears": np.eye(2)[None],
        "depth_times": np.array([0.0, 0.1]),
    }
    arguments = valid | change
    with pytest.raises(ValueError, match=message):
        solved_covariance(arguments.pop("covariance"), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"bilinears": np.array([[[1.0, 1.0], [0.0, 1.0]]])},
            "bilinears must be symmetric; got an",
        ),
        ({"deviations": np.zeros((4, 3))}, "deviations must end in an axis of 2"),
    ],
)
def test_characteristics_refuse(change, message):
    valid = {
        "deviations": np.zeros((4, 2)),
        "rates": -np.ones(1),
        "bilinears": np.eye(2)[None],
        "depth_times": np.array([0.0, 0.1]),
    }
    arguments = valid | change
    with pytest.raises(ValueError, match=message):
        characteristics(arguments.pop("deviations"), np.eye(2), **arguments)

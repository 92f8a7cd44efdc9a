"""Symmetries and refusals of the integrated and of the solved flow, over drawn heads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.theory.closure import gaussian_flow
from attention_collapse.theory.riccati import solved_covariance
from strategies import covariances, matrices, not_finite, rotations, with_negative_variance
from tolerances import RICCATI, ROTATED_SPECTRUM

WIDTH, HEADS = 3, 2
TIMES = np.array([0.1, 0.3])  # the drawn heads blow up at .35 at the earliest
MEANS = matrices(WIDTH)
COVARIANCES = covariances(WIDTH)
BILINEARS = matrices(HEADS, WIDTH, WIDTH, size=0.2)
ROTATIONS = rotations(WIDTH)
AXES = st.permutations(range(WIDTH)).map(lambda order: np.eye(WIDTH)[list(order)])
FORMS = {
    "covariance": np.eye(WIDTH),
    "bilinears": np.broadcast_to(np.eye(WIDTH), (HEADS, WIDTH, WIDTH)).copy(),
}
FLOW = {**FORMS, "mean": np.zeros(WIDTH), "values": -FORMS["bilinears"]}
SOLVED = {**FORMS, "rates": -np.ones(HEADS)}


def flow_with(**change):
    given_ = {**FLOW, "depth_times": TIMES, **change}
    return gaussian_flow(given_.pop("mean"), given_.pop("covariance"), **given_)


def solved_with(**change):
    given_ = {**SOLVED, "depth_times": TIMES, **change}
    return solved_covariance(given_.pop("covariance"), **given_)


# Equivariance


@given(
    mean=MEANS,
    covariance=COVARIANCES,
    values=matrices(HEADS, WIDTH, WIDTH, size=0.5),
    bilinears=BILINEARS,
    turn=ROTATIONS | AXES,
)
def test_the_flow_turns_with_the_coordinates(mean, covariance, values, bilinears, turn):
    before = flow_with(mean=mean, covariance=covariance, values=values, bilinears=bilinears)
    after = flow_with(
        mean=turn @ mean,
        covariance=turn @ covariance @ turn.T,
        values=turn @ values @ turn.T,
        bilinears=turn @ bilinears @ turn.T,
    )
    np.testing.assert_allclose(after.mean, before.mean @ turn.T, atol=RICCATI)
    np.testing.assert_allclose(after.covariance, turn @ before.covariance @ turn.T, atol=RICCATI)


@given(
    covariance=COVARIANCES,
    rates=matrices(HEADS),
    bilinears=BILINEARS,
    turn=ROTATIONS | AXES,
)
def test_the_solution_turns_with_the_coordinates(covariance, rates, bilinears, turn):
    before = solved_with(covariance=covariance, rates=rates, bilinears=bilinears)
    after = solved_with(
        covariance=turn @ covariance @ turn.T, rates=rates, bilinears=turn @ bilinears @ turn.T
    )
    np.testing.assert_allclose(after, turn @ before @ turn.T, atol=ROTATED_SPECTRUM)


@given(mean=MEANS, covariance=COVARIANCES, rates=matrices(HEADS), bilinears=BILINEARS)
def test_the_order_of_the_heads_does_not_matter(mean, covariance, rates, bilinears):
    law = {"mean": mean, "covariance": covariance}
    values = rates[:, None, None] * np.eye(WIDTH)
    before = flow_with(**law, values=values, bilinears=bilinears)
    after = flow_with(**law, values=values[::-1].copy(), bilinears=bilinears[::-1].copy())
    np.testing.assert_allclose(after.mean, before.mean, atol=RICCATI)
    np.testing.assert_allclose(after.covariance, before.covariance, atol=RICCATI)
    solved = solved_with(covariance=covariance, rates=rates, bilinears=bilinears)
    exchanged = solved_with(
        covariance=covariance, rates=rates[::-1].copy(), bilinears=bilinears[::-1].copy()
    )
    np.testing.assert_allclose(exchanged, solved, atol=ROTATED_SPECTRUM)
    np.testing.assert_allclose(solved, before.covariance, atol=RICCATI)


@given(covariance=COVARIANCES, rates=matrices(HEADS), bilinears=BILINEARS)
def test_the_solution_continues_itself(covariance, rates, bilinears):
    """To time .1 and from there for .2 is to time .3."""
    head = {"rates": rates, "bilinears": bilinears}
    early, late = solved_with(covariance=covariance, **head)
    again = solved_with(covariance=early, **head, depth_times=np.diff(TIMES))
    np.testing.assert_allclose(again[0], late, atol=ROTATED_SPECTRUM)


# Refusals


@pytest.mark.parametrize("call", [flow_with, solved_with])
@given(covariance=with_negative_variance(WIDTH))
def test_a_negative_variance_is_refused(call, covariance):
    with pytest.raises(ValueError, match="covariance must be symmetric with variances of at least"):
        call(covariance=covariance)


@pytest.mark.parametrize(
    ("call", "name"),
    [*((flow_with, name) for name in FLOW), *((solved_with, name) for name in SOLVED)],
)
@given(data=st.data())
def test_what_is_not_finite_is_refused(call, name, data):
    shape = (FLOW | SOLVED)[name].shape
    with pytest.raises(ValueError, match=f"{name} must be finite; got a NaN or infinity: clean"):
        call(**{name: data.draw(not_finite(*shape))})


@pytest.mark.parametrize("call", [flow_with, solved_with])
@given(shape=st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda s: s != (WIDTH, WIDTH)))
def test_heads_that_do_not_act_on_the_tokens_are_refused(call, shape):
    with pytest.raises(ValueError, match=r"bilinears must end in shape \(3, 3\), the token width"):
        call(bilinears=np.ones((HEADS, *shape)))


@given(shape=st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda s: s != (WIDTH, WIDTH)))
def test_a_covariance_that_does_not_fit_the_mean_is_refused(shape):
    with pytest.raises(ValueError, match=r"covariance must end in shape \(3, 3\), the token width"):
        flow_with(covariance=np.ones(shape))


@pytest.mark.parametrize(("call", "partner"), [(flow_with, "values"), (solved_with, "rates")])
@given(heads=st.integers(0, 5).filter(lambda count: count != HEADS))
def test_heads_are_given_one_by_one(call, partner, heads):
    with pytest.raises(ValueError, match=f"{partner} and bilinears must have one .* head at least"):
        call(bilinears=np.zeros((heads, WIDTH, WIDTH)))


@pytest.mark.parametrize("call", [flow_with, solved_with])
def test_no_heads_and_no_times_are_refused(call):
    nothing = np.zeros((0, WIDTH, WIDTH))
    partner = {"values": nothing} if call is flow_with else {"rates": np.zeros(0)}
    with pytest.raises(ValueError, match="and a head at least"):
        call(bilinears=nothing, **partner)
    with pytest.raises(ValueError, match="depth_times must have entries; got none"):
        call(depth_times=np.zeros(0))

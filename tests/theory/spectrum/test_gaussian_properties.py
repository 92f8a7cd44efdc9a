"""Symmetries and refusals of the Gaussian spectrum, over drawn laws of the tokens."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.theory.spectrum import (
    SHARPNESS_LIMIT,
    RankProfile,
    decay_ratio,
    effective_rank,
    entropy_deficit,
    frobenius_squared,
    gaussian_sharpness,
    rank_profile,
    singular_values,
    stable_rank,
)
from strategies import (
    NOT_FINITE,
    covariances,
    matrices,
    not_finite,
    rotations,
    with_negative_variance,
)
from tolerances import FLOAT64, ROTATED_SPECTRUM

WIDTH = 3
PERMUTATIONS = st.permutations(range(WIDTH)).map(np.array)
INSIDE = matrices(WIDTH, size=0.65)
MEANS = matrices(WIDTH, size=2.0)
CLOSED_FORMS = [
    decay_ratio,
    lambda sharpness: singular_values(sharpness, 3),
    effective_rank,
    stable_rank,
    frobenius_squared,
    entropy_deficit,
    rank_profile,
]


@st.composite
def laws(draw):
    """Covariances of keys and queries and a form, with the sharpness inside the class."""
    keys, queries, bilinear = (
        draw(strategy) for strategy in (*[covariances(WIDTH)] * 2, matrices(WIDTH, WIDTH))
    )
    largest = gaussian_sharpness(keys, bilinear=bilinear, query_covariance=queries)[0]
    return keys, queries, bilinear * min(1.0, 0.65 / max(largest, 0.65))


def assert_equal_profiles(one: RankProfile, other: RankProfile, tolerance):
    for field in fields(RankProfile):
        measures = (getattr(profile, field.name) for profile in (one, other))
        np.testing.assert_allclose(*measures, rtol=tolerance, atol=tolerance, err_msg=field.name)


@given(law=laws(), rotation=rotations(WIDTH))
def test_a_rotation_of_the_tokens_changes_neither_sharpness_nor_rank(law, rotation):
    keys, queries, bilinear = law
    turned_keys, turned_queries, turned = (rotation @ part @ rotation.T for part in law)
    before = gaussian_sharpness(keys, bilinear=bilinear, query_covariance=queries)
    after = gaussian_sharpness(turned_keys, bilinear=turned, query_covariance=turned_queries)
    np.testing.assert_allclose(after, before, atol=ROTATED_SPECTRUM)
    assert_equal_profiles(rank_profile(before), rank_profile(after), ROTATED_SPECTRUM)
    assert frobenius_squared(after) == pytest.approx(frobenius_squared(before), ROTATED_SPECTRUM)


@given(law=laws(), order=PERMUTATIONS)
def test_the_names_of_the_axes_do_not_matter(law, order):
    keys, queries, bilinear = (part[np.ix_(order, order)] for part in law)
    renamed = gaussian_sharpness(keys, bilinear=bilinear, query_covariance=queries)
    before = gaussian_sharpness(law[0], bilinear=law[2], query_covariance=law[1])
    np.testing.assert_allclose(renamed, before, atol=ROTATED_SPECTRUM)


@given(law=laws())
def test_the_transposed_form_with_queries_and_keys_exchanged_has_the_same_sharpness(law):
    keys, queries, bilinear = law
    before = gaussian_sharpness(keys, bilinear=bilinear, query_covariance=queries)
    after = gaussian_sharpness(queries, bilinear=bilinear.T, query_covariance=keys)
    np.testing.assert_allclose(after, before, atol=ROTATED_SPECTRUM)


@given(sharpness=INSIDE, mean=MEANS, order=PERMUTATIONS)
def test_the_order_of_the_directions_does_not_matter(sharpness, mean, order):
    before = rank_profile(sharpness, mean=mean)
    after = rank_profile(sharpness[order], mean=mean[order])
    assert_equal_profiles(before, after, FLOAT64)
    np.testing.assert_array_equal(decay_ratio(sharpness[order]), decay_ratio(sharpness)[order])
    for function in (frobenius_squared, entropy_deficit):
        renamed = function(sharpness[order], mean[order])
        assert renamed == pytest.approx(function(sharpness, mean), rel=FLOAT64)
    np.testing.assert_allclose(
        singular_values(sharpness[order], 20), singular_values(sharpness, 20), atol=FLOAT64
    )


@given(sharpness=INSIDE, mean=MEANS, signs=matrices(WIDTH))
def test_signs_do_not_matter(sharpness, mean, signs):
    flipped = np.copysign(sharpness, signs)
    assert_equal_profiles(rank_profile(sharpness, mean=mean), rank_profile(flipped, mean=-mean), 0)


@pytest.mark.parametrize("function", CLOSED_FORMS)
@given(
    inside=INSIDE,
    outside=st.floats(min_value=SHARPNESS_LIMIT, allow_infinity=True) | NOT_FINITE,
    sign=st.sampled_from([-1.0, 1.0]),
    place=st.integers(0, WIDTH),
)
def test_the_closed_form_ends_at_the_class(function, inside, outside, sign, place):
    with pytest.raises(ValueError, match=r"sharpness must satisfy \|a\| < 1/√2.*measure the"):
        function(np.insert(inside, place, sign * outside))


@pytest.mark.parametrize("function", CLOSED_FORMS)
def test_the_closed_form_needs_a_direction(function):
    with pytest.raises(ValueError, match="one entry per direction.*pass at least one"):
        function(np.zeros(0))


@pytest.mark.parametrize("function", [frobenius_squared, entropy_deficit])
@given(mean=not_finite(WIDTH))
def test_a_mean_that_is_no_number_is_refused(function, mean):
    with pytest.raises(ValueError, match="mean must be finite with one entry per direction"):
        function(np.full(WIDTH, 0.1), mean)


@pytest.mark.parametrize("name", ["covariance", "query_covariance"])
@given(matrix=with_negative_variance(WIDTH))
def test_a_negative_variance_is_refused(name, matrix):
    with pytest.raises(ValueError, match=f"{name} must be symmetric with variances of at least"):
        sharpness_with(name, matrix)


@pytest.mark.parametrize("name", ["covariance", "query_covariance", "bilinear"])
@given(matrix=not_finite(WIDTH, WIDTH))
def test_what_is_not_finite_is_refused(name, matrix):
    with pytest.raises(ValueError, match=f"{name} must be finite; got a NaN or infinity: clean"):
        sharpness_with(name, matrix)


@pytest.mark.parametrize("name", ["covariance", "query_covariance", "bilinear"])
@given(shape=st.tuples(st.integers(1, 5), st.integers(1, 5)).filter(lambda s: s != (WIDTH, WIDTH)))
def test_a_matrix_that_does_not_act_on_the_tokens_is_refused(name, shape):
    """Called as a reader calls it, without the check of annotations of this test run."""
    named = "bilinear" if name == "covariance" and shape[1] != WIDTH else name
    with pytest.raises(ValueError, match=rf"{named} must end in shape .*, the token width"):
        sharpness_with(name, np.ones(shape), function=inspect.unwrap(gaussian_sharpness))


def sharpness_with(name, matrix, *, function=gaussian_sharpness):
    valid = {"covariance": np.eye(WIDTH), "bilinear": np.eye(WIDTH)} | {name: matrix}
    return function(valid.pop("covariance"), **valid)

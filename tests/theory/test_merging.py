import math

import numpy as np
import pytest

from attention_collapse.theory.merging import (
    CovarianceSplit,
    covariance_split,
    effective_coefficient,
    group_means,
    merged_attention,
    merged_variance,
    reference_eigenvalue,
)
from attention_collapse.theory.softmax import attention_matrix
from tolerances import DEFECTIVE_EIGENVALUE, FLOAT64, INITIAL_RATE, MERGED_PARTICLES

GENERATOR = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(5), [1, 2, 3, 4, 5])
TOKENS = GENERATOR.standard_normal((15, 3))


def test_group_means_are_means_and_sizes():
    means, sizes = group_means(TOKENS, GROUPS)
    np.testing.assert_array_equal(sizes, [1, 2, 3, 4, 5])
    np.testing.assert_allclose(means[1], TOKENS[1:3].mean(axis=0), rtol=FLOAT64)


def test_the_parts_of_the_covariance_add_up():
    split = covariance_split(TOKENS, GROUPS)
    np.testing.assert_allclose(
        split.between + split.within, np.cov(TOKENS.T, bias=True), atol=FLOAT64
    )
    inside = sum(
        n * np.cov(TOKENS[g == GROUPS].T, bias=True) for g, n in enumerate([1, 2, 3, 4, 5])
    )
    np.testing.assert_allclose(split.within, inside / 15, atol=FLOAT64)


def test_the_split_does_not_depend_on_names_or_axes():
    order = GENERATOR.permutation(15)
    rotation = np.linalg.qr(GENERATOR.standard_normal((3, 3))).Q
    split = covariance_split(TOKENS, GROUPS)
    relabelled = covariance_split(TOKENS[order], 4 - GROUPS[order])
    rotated = covariance_split(TOKENS @ rotation.T, GROUPS)
    np.testing.assert_allclose(relabelled.between, split.between, atol=FLOAT64)
    np.testing.assert_allclose(rotated.within, rotation @ split.within @ rotation.T, atol=FLOAT64)
    assert effective_coefficient(rotated) == pytest.approx(
        effective_coefficient(split), rel=10 * FLOAT64
    )


@pytest.mark.parametrize("proportional", [True, False])
def test_merging_identical_tokens_is_neutral_only_with_the_sizes(proportional):
    bilinear = GENERATOR.standard_normal((3, 3))
    means, _ = group_means(TOKENS, GROUPS)
    tokens = means[GROUPS]
    plain = attention_matrix(tokens, bilinear=bilinear) @ tokens
    merged = merged_attention(tokens, GROUPS, bilinear=bilinear, proportional=proportional)
    error = np.abs(merged - plain).max()
    assert (error < FLOAT64) == proportional
    assert proportional or error > 0.01


def test_merging_nothing_is_attention():
    bilinear = np.eye(3)
    merged = merged_attention(TOKENS, np.arange(15), bilinear=bilinear, proportional=False)
    plain = attention_matrix(TOKENS, bilinear=bilinear) @ TOKENS
    np.testing.assert_allclose(merged, plain, atol=FLOAT64)


def merged_particles(layers=200, step=0.1, coefficient=0.6):
    """Gaussian group means with five tokens around each, run with V = -1."""
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(400), 5)
    scatter = math.sqrt(0.2) * generator.standard_normal((2000, 3))
    tokens = generator.standard_normal((400, 3))[groups] + scatter
    splits = [covariance_split(tokens, groups)]
    for _ in range(layers):
        tokens = tokens - step * merged_attention(
            tokens, groups, bilinear=coefficient * np.eye(3), proportional=True
        )
        splits.append(covariance_split(tokens, groups))
    return splits


def test_particles_freeze_within_and_contract_between():
    splits = merged_particles()
    start, end = splits[0], splits[-1]
    np.testing.assert_allclose(end.within, start.within, atol=FLOAT64)
    before, directions = np.linalg.eigh(start.between)
    after = np.diag(directions.T @ end.between @ directions)
    predicted = merged_variance(before, np.zeros(3), rate=0.6, depth_time=20.0)
    np.testing.assert_allclose(after, predicted, rtol=MERGED_PARTICLES)


def test_effective_coefficient_is_the_ratio_of_initial_rates():
    split = CovarianceSplit(np.diag([0.5, 0.2]), np.diag([0.1, 0.3]))
    small, within = 1e-7, np.diag(split.within)
    merged = merged_variance(np.diag(split.between), within, rate=1, depth_time=small)
    total = np.diag(split.between) + within
    plain = merged_variance(total, np.zeros(2), rate=1, depth_time=small)
    measured = (merged - total).sum() / (plain - total).sum()
    assert effective_coefficient(split) == pytest.approx(measured, rel=INITIAL_RATE)
    assert effective_coefficient(split) == pytest.approx(0.29 / 0.61, rel=FLOAT64)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (GROUPS[:-1], "groups must name one group for every token; got 14 for 15 tokens"),
        (GROUPS + 1, "groups must be numbered 0, 1, … without a gap; got numbers from 1 to 5"),
        (GROUPS - 1, "groups must be numbered 0, 1, … without a gap; got numbers from -1 to 3"),
    ],
)
def test_refuses_groups_that_do_not_cover_the_tokens(groups, message):
    for function in (covariance_split, group_means):
        with pytest.raises(ValueError, match=message):
            function(TOKENS, groups)


def test_refuses_tokens_that_are_not_finite():
    with pytest.raises(ValueError, match="tokens must be finite; got a NaN"):
        covariance_split(np.full((15, 3), math.nan), GROUPS)


def test_refuses_no_tokens():
    with pytest.raises(ValueError, match=r"tokens must have the shape.*got \(0, 3\)"):
        group_means(np.empty((0, 3)), np.empty(0, dtype=int))


@pytest.mark.parametrize("name", ["between", "within", "depth_time"])
def test_merged_variance_refuses_what_is_negative(name):
    arguments = {"between": 1.0, "within": 1.0, "rate": 1.0, "depth_time": 1.0} | {name: -1.0}
    between, within = arguments.pop("between"), arguments.pop("within")
    with pytest.raises(ValueError, match=f"{name} must be finite and at least 0; got -1.0"):
        merged_variance(between, within, **arguments)


def test_merged_variance_refuses_a_rate_of_zero():
    with pytest.raises(ValueError, match="rate must be finite and positive; got 0.0: values that"):
        merged_variance(1.0, 1.0, rate=0.0, depth_time=1.0)


def test_equal_tokens_have_no_effective_coefficient():
    zero = np.zeros((2, 2))
    with pytest.raises(ValueError, match="variance of the tokens must be .* equal tokens do not"):
        effective_coefficient(CovarianceSplit(zero, zero))


def reference_scores(frames, points, gap):
    """Scores of tokens on their point in the first frame, query by key."""
    index = np.arange(frames * points)
    same = index[:, None] % points == index % points
    return gap * (same & (index < points))


@pytest.mark.claims("thm-reference", "eq-reference-eigenvalue", "eq-unprotected-eigenvalue")
@pytest.mark.parametrize("frames", [9, 10, 17])
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize("proportional", [True, False])
def test_second_eigenvalue_with_a_reference_frame(frames, size, protected, proportional):
    """The matrix between all tokens, written down."""
    points, gap = 3, 2.0
    frame, point = np.divmod(np.arange(frames * points), points)
    block = np.where(frame == 0, 0, 1 + (frame - 1) // size) if protected else frame // size
    _, groups = np.unique(block * points + point, return_inverse=True)
    members = (groups == np.arange(groups.max() + 1)[:, None]).astype(float)
    sizes = members.sum(axis=1)
    merged = reference_scores(frames, points, gap) @ (members / sizes[:, None]).T
    weights = np.exp(merged) * (sizes if proportional else 1)
    attention = weights / weights.sum(axis=1, keepdims=True) @ (members / sizes[:, None])
    values = np.sort(np.linalg.eigvals(attention).real)[::-1]
    found = reference_eigenvalue(
        frames,
        points=points,
        score_gap=gap,
        group_frames=size,
        protected=protected,
        proportional=proportional,
    )
    np.testing.assert_allclose(values[:points], [1, found, found], atol=FLOAT64)
    np.testing.assert_allclose(values[points:], 0, atol=DEFECTIVE_EIGENVALUE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 1, "group_frames": 2}, "a group cannot have more frames"),
        ({"frames": 4, "score_gap": 0.0}, "a match must outscore the others"),
        ({"frames": 4, "points": 0}, "a frame has a token"),
        ({"frames": 4, "group_frames": 0}, "1 merges nothing"),
        ({"frames": 4, "score_gap": 800.0}, "at most 700"),
    ],
)
def test_reference_eigenvalue_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        reference_eigenvalue(**{"points": 3, "score_gap": 2.0} | arguments)

import dataclasses

import numpy as np
import pytest

from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.spectrum import (
    Mixture,
    effective_rank,
    entropy_deficit,
    frobenius_squared,
    singular_values,
    stable_rank,
)
from tolerances import FLOAT64, GROUPS, QUADRATURE, ROTATED_SPECTRUM

SHARPNESS = np.array([0.4, 0.25])


def points(weights, means, bilinear):
    """A mixture of groups of identical tokens."""
    width = means.shape[1]
    return Mixture(weights, means, np.zeros((len(weights), width, width)), bilinear)


def gaussian_nodes(nodes):
    """Gauss–Hermite nodes of the plane and their weights, without the negligible ones."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    grid = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2)
    kept = weights > 1e-16
    return weights[kept] / weights[kept].sum(), grid[kept]


def test_groups_of_points_give_the_gaussian_closed_form():
    weights, grid = gaussian_nodes(22)
    mixture = points(weights, grid, np.diag(SHARPNESS))
    np.testing.assert_allclose(
        mixture.singular_values()[:8], singular_values(SHARPNESS, 8), atol=GROUPS
    )
    assert mixture.frobenius_squared() == pytest.approx(frobenius_squared(SHARPNESS), rel=GROUPS)
    assert mixture.stable_rank() == pytest.approx(stable_rank(SHARPNESS), rel=GROUPS)
    assert mixture.effective_rank() == pytest.approx(effective_rank(SHARPNESS), rel=GROUPS)
    assert mixture.entropy_deficit() == pytest.approx(entropy_deficit(SHARPNESS), rel=GROUPS)


def test_the_spread_inside_groups_closes_the_gap_of_few_groups():
    """Cut a Gaussian cloud in slices of sixteen sizes; the within-group terms are most of it."""
    tokens = np.random.default_rng(0).standard_normal((4000, 1))
    bilinear = np.array([[0.3]])
    slices = np.searchsorted(np.linspace(-1.5, 1.5, 5), tokens[:, 0])
    full = Mixture.from_tokens(tokens, slices, bilinear=bilinear)
    bare = dataclasses.replace(full, covariances=np.zeros_like(full.covariances))
    every = points(np.full(4000, 1 / 4000), tokens, bilinear)
    exact = every.entropy_deficit(), every.frobenius_squared()
    gaps = [
        abs(np.array([m.entropy_deficit(), m.frobenius_squared()]) - exact) for m in (full, bare)
    ]
    assert (gaps[0] < 0.6 * gaps[1]).all()


def test_one_group_at_its_mean_is_one_tilt():
    """A single Gaussian group seen by one query: all of the deficit is inside the group."""
    mean, covariance = np.array([1.0, -0.5]), np.diag([0.3, 0.2])
    bilinear = np.array([[0.4, 0.1], [-0.2, 0.5]])
    mixture = Mixture(np.ones(1), mean[None], covariance[None], bilinear)
    variance = mean @ bilinear @ covariance @ bilinear.T @ mean
    assert mixture.entropy_deficit() == pytest.approx(0.5 * variance, rel=FLOAT64)
    assert mixture.frobenius_squared() == pytest.approx(np.exp(variance), rel=FLOAT64)
    np.testing.assert_allclose(mixture.singular_values(), [1.0], rtol=FLOAT64)


@pytest.mark.claims("prop-mixture", "eq-mixture")
def test_shares_and_deficit_of_one_query_are_exact_for_a_mixture_of_gaussians():
    """Quadrature over the density of the keys, in one dimension."""
    weights, means = np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.4, 2.0])
    variances, bilinear = np.array([0.5, 0.1, 0.8]), 0.7
    mixture = Mixture(weights, means[:, None], variances[:, None, None], np.array([[bilinear]]))
    keys = np.linspace(-14, 16, 60_001)
    spacing = keys[1] - keys[0]
    parts = (
        weights
        * np.exp(-((keys[:, None] - means) ** 2) / (2 * variances))
        / np.sqrt(2 * np.pi * variances)
    )
    law = parts.sum(axis=1)
    shares, deficit, energy = [], [], []
    for mean in means:
        tilt = np.exp(bilinear * mean * keys)
        kernel = tilt / (spacing * (tilt @ law))
        shares.append(spacing * (kernel @ parts))
        deficit.append(spacing * (law @ (kernel * np.log(kernel))))
        energy.append(spacing * (law @ kernel**2))
    np.testing.assert_allclose(mixture.attention(), shares, rtol=QUADRATURE)
    assert mixture.entropy_deficit() == pytest.approx(weights @ deficit, rel=QUADRATURE)
    assert mixture.frobenius_squared() == pytest.approx(weights @ energy, rel=QUADRATURE)


def test_identical_tokens_are_exact_and_merging_them_changes_nothing():
    rng = np.random.default_rng(1)
    distinct, bilinear = rng.standard_normal((12, 3)), rng.standard_normal((3, 3))
    groups = rng.permutation(np.repeat(np.arange(12), rng.integers(1, 9, 12)))
    tokens = distinct[groups]
    attention = attention_matrix(tokens, bilinear=bilinear)
    measured = np.linalg.svd(attention, compute_uv=False)
    mixture = Mixture.from_tokens(tokens, groups, bilinear=bilinear)
    np.testing.assert_allclose(mixture.singular_values(), measured[:12], atol=10 * FLOAT64)
    assert measured[12] < 10 * FLOAT64
    assert mixture.frobenius_squared() == pytest.approx((measured**2).sum(), rel=10 * FLOAT64)
    entropy = -(attention * np.log(attention)).sum(axis=1).mean()
    assert mixture.entropy_deficit() == pytest.approx(np.log(len(tokens)) - entropy, rel=FLOAT64)
    split = Mixture.from_tokens(tokens, np.arange(len(tokens)), bilinear=bilinear)
    assert split.stable_rank() == pytest.approx(mixture.stable_rank(), rel=10 * FLOAT64)


def test_the_names_of_the_groups_and_a_rotation_do_not_matter():
    rng = np.random.default_rng(2)
    tokens, bilinear = rng.standard_normal((60, 2)), rng.standard_normal((2, 2))
    groups, rotation = rng.integers(0, 5, 60), np.array([[0.6, -0.8], [0.8, 0.6]])
    mixture = Mixture.from_tokens(tokens, groups, bilinear=bilinear)
    other = Mixture.from_tokens(
        tokens @ rotation.T, 7 - groups, bilinear=rotation @ bilinear @ rotation.T
    )
    np.testing.assert_allclose(
        other.singular_values(), mixture.singular_values(), rtol=ROTATED_SPECTRUM
    )
    assert other.entropy_deficit() == pytest.approx(mixture.entropy_deficit(), rel=ROTATED_SPECTRUM)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.array([0.5, 0.6])}, "weights must be positive with sum one; got.*drop"),
        ({"weights": np.array([1.5, -0.5])}, "weights must be positive with sum one"),
        ({"weights": np.zeros(0)}, r"one entry for each weight, 0 here.*pass \[group width\]"),
        ({"means": np.zeros((3, 2))}, r"2 here.*got shapes \(3, 2\)"),
        ({"means": np.full((2, 2), np.nan)}, "means must be finite"),
        ({"covariances": np.stack([np.eye(2), -np.eye(2)])}, "covariances must be symmetric"),
        ({"bilinear": np.zeros((3, 2))}, r"bilinear must end in shape \(2, 2\)"),
        ({"bilinear": np.diag([1.0, np.inf])}, "bilinear must be finite"),
    ],
)
def test_refuses_what_is_no_mixture(change, message):
    mixture = points(np.array([0.5, 0.5]), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(mixture, **change)


def test_what_is_no_cut_of_tokens_is_refused():
    tokens, bilinear = np.zeros((3, 2)), np.eye(2)
    for groups, given, message in (
        (np.zeros(2, dtype=int), tokens, "groups must name one group .* got 2 for 3 tokens"),
        (np.zeros(0, dtype=int), np.zeros((0, 2)), r"tokens must have the shape.*got \(0, 2\)"),
        (np.zeros(3, dtype=int), np.zeros((3, 3)), r"bilinear must end in shape \(3, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Mixture.from_tokens(given, groups, bilinear=bilinear)


def test_a_share_that_underflows_beside_a_variance_that_overflows():
    """The query at 60 pays e^-2700 to the group at zero, whose scores vary by 1800."""
    weights, means = np.array([0.5, 0.5]), np.array([[0.0], [60.0]])
    covariances = np.array([[[0.5]], [[0.0]]])
    mixture = Mixture(weights, means, covariances, np.array([[1.0]]))
    assert mixture.attention()[1, 0] == 0, "the share underflows"
    # The query at zero sees no scores, 1/2; that at 60 sees its own group alone, 1/2 / (1/2).
    assert mixture.frobenius_squared() == pytest.approx(1.5, rel=FLOAT64)
    largest = mixture.singular_values()[0]
    assert mixture.stable_rank() == pytest.approx(1.5 / largest**2, rel=FLOAT64)


def test_norms_beyond_float64_are_infinite():
    mixture = Mixture(np.ones(1), np.array([[40.0]]), np.array([[[1.0]]]), np.array([[1.0]]))
    assert mixture.frobenius_squared() == mixture.stable_rank() == np.inf

import itertools
import math

import numpy as np
import pytest
import sympy

from attention_collapse.theory.spectrum import (
    SHARPNESS_LIMIT,
    decay_ratio,
    effective_rank,
    entropy_deficit,
    frobenius_squared,
    gaussian_sharpness,
    singular_values,
    stable_rank,
)
from tolerances import FLOAT64, QUADRATURE, ROTATED_SPECTRUM, quoted, sampling

EVERY_SPECTRAL_FUNCTION = [
    decay_ratio,
    lambda sharpness: singular_values(sharpness, 3),
    effective_rank,
    stable_rank,
    frobenius_squared,
    entropy_deficit,
]


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def quadrature_attention(bilinear, mean, *, nodes):
    """Attention among Gauss–Hermite nodes of N(mean, identity), and the weights of the nodes."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    width = len(mean)
    tokens = np.array(list(itertools.product(points, repeat=width))) + mean
    weights = np.prod(list(itertools.product(weights / weights.sum(), repeat=width)), axis=1)
    return softmax(tokens @ bilinear @ tokens.T + np.log(weights)), weights


def operator_matrix(attention, weights):
    """The matrix whose singular values are those of attention on the weighted L2 space."""
    root = np.sqrt(weights)
    return root[:, None] * attention / root


@pytest.mark.parametrize("sharpness", [0.05, 0.3, 0.5, 0.65, -0.4])
def test_spectrum_is_that_of_the_discretised_operator(sharpness):
    attention, weights = quadrature_attention(np.array([[sharpness]]), np.zeros(1), nodes=160)
    measured = np.linalg.svd(operator_matrix(attention, weights), compute_uv=False)
    direction = np.array([sharpness])
    np.testing.assert_allclose(singular_values(direction, 12), measured[:12], atol=QUADRATURE)
    assert frobenius_squared(direction) == pytest.approx((measured**2).sum(), rel=QUADRATURE)
    assert stable_rank(direction) == pytest.approx(
        (measured**2).sum() / measured[0] ** 2, rel=QUADRATURE
    )


@pytest.mark.parametrize(("sharpness", "mean"), [(0.3, 1.0), (0.5, 0.7), (-0.3, -1.5)])
def test_mean_scales_the_norm_and_the_deficit_but_not_the_ratios(sharpness, mean):
    attention, weights = quadrature_attention(np.array([[sharpness]]), np.array([mean]), nodes=160)
    measured = np.linalg.svd(operator_matrix(attention, weights), compute_uv=False)
    direction, offset = np.array([sharpness]), np.array([mean])
    np.testing.assert_allclose(measured[1] / measured[0], decay_ratio(direction)[0], QUADRATURE)
    assert frobenius_squared(direction, offset) == pytest.approx((measured**2).sum(), QUADRATURE)
    possible = attention > 0
    information = np.log(np.where(possible, attention, 1.0) / np.where(possible, weights, 1.0))
    deficit = weights @ (attention * information).sum(1)
    assert entropy_deficit(direction, offset) == pytest.approx(deficit, rel=QUADRATURE)


def test_sharpness_of_scores_that_do_not_commute_with_the_covariance():
    """The operator on whitened nodes of a correlated cloud, against its sharpness."""
    bilinear = np.array([[0.3, 0.25], [-0.1, 0.2]])
    covariance = np.array([[1.1, 0.4], [0.4, 0.5]])
    root = np.linalg.cholesky(covariance)  # another root than the symmetric one
    attention, weights = quadrature_attention(root.T @ bilinear @ root, np.zeros(2), nodes=24)
    measured = np.linalg.svd(operator_matrix(attention, weights), compute_uv=False)
    sharpness = gaussian_sharpness(covariance, bilinear=bilinear)
    np.testing.assert_allclose(singular_values(sharpness, 12), measured[:12], atol=QUADRATURE)


def test_sharpness_of_commuting_scores_is_variance_times_score():
    covariance, bilinear = np.diag([2.0, 0.5, 0.0]), np.diag([0.1, -0.6, 3.0])
    sharpness = gaussian_sharpness(covariance, bilinear=bilinear)
    np.testing.assert_allclose(sharpness, [0.3, 0.2, 0.0], atol=FLOAT64)


def test_sharpness_of_queries_apart_from_keys():
    sharpness = gaussian_sharpness(
        np.diag([0.25, 4.0]), bilinear=np.eye(2), query_covariance=np.diag([1.0, 0.01])
    )
    np.testing.assert_allclose(sharpness, [0.5, 0.2], rtol=FLOAT64)


def test_sharpness_does_not_change_with_a_rotation_of_the_tokens():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((3, 3))).Q
    factor, bilinear = rng.standard_normal((2, 3, 3))
    covariance = factor @ factor.T
    turned = gaussian_sharpness(
        rotation @ covariance @ rotation.T, bilinear=rotation @ bilinear @ rotation.T
    )
    np.testing.assert_allclose(
        turned, gaussian_sharpness(covariance, bilinear=bilinear), rtol=ROTATED_SPECTRUM
    )


def test_the_order_of_the_directions_does_not_matter():
    sharpness, mean = np.array([0.5, 0.1, -0.3]), np.array([0.2, 1.0, -2.0])
    order = [2, 0, 1]
    np.testing.assert_allclose(
        singular_values(sharpness[order], 20), singular_values(sharpness, 20), rtol=FLOAT64
    )
    for function in (frobenius_squared, entropy_deficit):
        assert function(sharpness[order], mean[order]) == pytest.approx(
            function(sharpness, mean), rel=FLOAT64
        )


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.diag([1.0, -0.1]), "covariance must be symmetric.*at least zero; got.*compute"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "covariance must be symmetric.*got.*compute"),
        (np.diag([1.0, np.nan]), "covariance must be finite"),
    ],
)
def test_refuses_to_take_the_sharpness_of_what_is_no_covariance(covariance, message):
    with pytest.raises(ValueError, match=message):
        gaussian_sharpness(covariance, bilinear=np.eye(2))


def test_finite_attention_has_the_spectrum_up_to_sampling():
    count, sharpness = 1200, np.array([0.3, 0.2])
    tokens = np.random.default_rng(0).standard_normal((count, 2))
    attention = softmax((tokens * sharpness) @ tokens.T)
    measured = np.linalg.svd(attention, compute_uv=False)
    tolerance = sampling(count)
    np.testing.assert_allclose(measured[:6], singular_values(sharpness, 6), atol=tolerance)
    shares = measured / measured.sum()
    measured_rank = np.exp(-(shares * np.log(shares)).sum())
    assert measured_rank == pytest.approx(effective_rank(sharpness), rel=3 * tolerance)
    entropy = -(attention * np.log(attention)).sum(1).mean()
    assert math.log(count) - entropy == pytest.approx(entropy_deficit(sharpness), abs=tolerance)


def test_numbers_of_two_directions():
    sharpness = np.array([0.3, 0.2])
    expected = [1.0025, 0.3020, 0.2007, 0.0910, 0.0604, 0.0402]
    np.testing.assert_allclose(singular_values(sharpness, 6), expected, atol=quoted(4))
    assert effective_rank(sharpness) == pytest.approx(4.489, abs=quoted(3))
    assert stable_rank(sharpness) == pytest.approx(1.1457, abs=quoted(4))
    assert entropy_deficit(sharpness) == pytest.approx(0.065, rel=FLOAT64)
    assert effective_rank(np.array([0.5, 0.3])) == pytest.approx(10.09, abs=quoted(2))
    assert frobenius_squared(np.array([0.65])) == pytest.approx(2.54, abs=quoted(2))


@pytest.mark.parametrize(
    "sharpness", [[0.5, 0.3, 0.1], [0.4, 0.4, 0.4], [0.6, 0.0, -0.2], [0.25, 0.5, 0.25]]
)
def test_largest_products_are_those_of_a_full_enumeration(sharpness):
    ratios = decay_ratio(np.array(sharpness))
    powers = np.array(list(itertools.product(range(26), repeat=3)))
    enumerated = np.sort(np.prod(ratios**powers, axis=1))[::-1]
    values = singular_values(np.array(sharpness), 100)
    np.testing.assert_allclose(values / values[0], enumerated[:100], atol=FLOAT64)


def test_a_thousand_values_of_64_distinct_directions_are_those_of_a_full_enumeration():
    """Products up to order four; a product of more factors is below all that are listed."""
    sharpness = np.geomspace(0.3, 0.1, 64)
    values = singular_values(sharpness, 1000)
    ratios = decay_ratio(sharpness)
    products = [
        math.prod(factors)
        for order in range(5)
        for factors in itertools.combinations_with_replacement(ratios, order)
    ]
    assert values[-1] / values[0] > ratios[0] ** 5
    expected = np.sort(products)[::-1][:1000]
    np.testing.assert_allclose(values / values[0], expected, rtol=FLOAT64)


def test_equal_directions_give_binomial_multiplicities():
    values = singular_values(np.full(64, 0.2), 1 + 64 + 64 * 65 // 2 + 1)
    orders = np.round(np.log(values / values[0]) / math.log(decay_ratio(np.array([0.2]))[0]))
    np.testing.assert_array_equal(np.bincount(orders.astype(int)), [1, 64, 2080, 1])


def test_ranks_are_the_sums_over_all_singular_values():
    sharpness = np.array([0.5, 0.35])
    values = singular_values(sharpness, 4000)
    assert (values**2).sum() == pytest.approx(frobenius_squared(sharpness), rel=FLOAT64)
    assert (values**2).sum() / values[0] ** 2 == pytest.approx(stable_rank(sharpness), rel=FLOAT64)
    shares = values / values.sum()
    rank = np.exp(-(shares * np.log(shares)).sum())
    assert rank == pytest.approx(effective_rank(sharpness), rel=FLOAT64)


@pytest.mark.parametrize("sharpness", ["1e-9", "0.2", "0.65", "0.7071"])
def test_decay_ratio_is_its_symbolic_definition(sharpness):
    magnitude = sympy.Rational(sharpness)
    root = magnitude / sympy.sqrt(1 + 2 * magnitude**2)
    exact = ((1 - sympy.sqrt(1 - 4 * root**2)) / (2 * root)).evalf(40)
    computed = decay_ratio(np.array([float(sharpness)]))[0]
    assert computed == pytest.approx(float(exact), rel=FLOAT64, abs=0)


def test_uniform_attention_has_rank_one():
    np.testing.assert_array_equal(singular_values(np.zeros(3), 4), [1.0, 0.0, 0.0, 0.0])
    assert effective_rank(np.zeros(3)) == stable_rank(np.zeros(3)) == 1.0
    assert entropy_deficit(np.zeros(3)) == 0.0


def test_spectrum_is_finite_up_to_the_limit():
    below = np.array([np.nextafter(SHARPNESS_LIMIT, 0.0)])
    assert decay_ratio(below)[0] < 1.0
    assert math.isfinite(stable_rank(below))
    assert math.isfinite(effective_rank(below))


@pytest.mark.parametrize("function", EVERY_SPECTRAL_FUNCTION)
@pytest.mark.parametrize("outside", [SHARPNESS_LIMIT, -0.9, math.nan, math.inf])
def test_refuses_sharpness_outside_the_class(function, outside):
    with pytest.raises(ValueError, match=r"\|a\| < 1/√2.*got.*Hilbert–Schmidt class.*measure"):
        function(np.array([0.1, outside]))


@pytest.mark.parametrize("function", EVERY_SPECTRAL_FUNCTION)
def test_refuses_no_directions(function):
    with pytest.raises(ValueError, match=r"one entry per direction; got shape \(0,\).*at least"):
        function(np.zeros(0))


@pytest.mark.parametrize("function", [frobenius_squared, entropy_deficit])
def test_refuses_a_mean_that_is_not_finite(function):
    with pytest.raises(ValueError, match=r"mean must be finite.*2 here; got.*nan.*pass"):
        function(np.array([0.1, 0.2]), np.array([0.0, math.nan]))


def test_refuses_to_list_no_values():
    with pytest.raises(ValueError, match="count must be at least 1; got 0: ask"):
        singular_values(np.array([0.1]), 0)


def test_many_directions_at_the_limit():
    """The norm and the ranks overflow, the largest singular values do not: each q is about one."""
    sharpness = np.full(64, 0.70710678)
    ratio = decay_ratio(sharpness[:1])[0]
    leading = (1 + ratio**4) ** 16
    np.testing.assert_allclose(
        singular_values(sharpness, 3), leading * np.array([1, ratio, ratio]), rtol=FLOAT64
    )
    for function in (frobenius_squared, stable_rank, effective_rank):
        assert function(np.full(256, 0.70710678)) == math.inf
    assert frobenius_squared(np.array([0.7]), np.array([1e3])) == math.inf
    one = frobenius_squared(np.array([0.70710678]))
    assert frobenius_squared(np.full(30, 0.70710678)) == pytest.approx(one**30, rel=30 * FLOAT64)


def test_refuses_a_cloud_without_directions():
    with pytest.raises(ValueError, match="must act on one direction at least"):
        gaussian_sharpness(np.zeros((0, 0)), bilinear=np.zeros((0, 0)))

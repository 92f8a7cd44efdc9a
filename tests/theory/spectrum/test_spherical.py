import math
import tracemalloc

import mpmath
import numpy as np
import pytest
from scipy.special import eval_gegenbauer, ive

from attention_collapse.theory.spectrum import (
    harmonic_dimension,
    harmonic_values,
    singular_values,
    spherical_effective_rank,
    spherical_entropy_deficit,
    spherical_singular_values,
    spherical_stable_rank,
)
from tolerances import (
    FITTED_SLOPE,
    FLOAT64,
    QUADRATURE,
    SHARP_DEFICIT,
    SPHERICAL,
    SPHERICAL_SAMPLE,
    quoted,
)

EVERY_FUNCTION = [
    lambda concentration, dimension: harmonic_values(concentration, dimension, 3),
    lambda concentration, dimension: spherical_singular_values(concentration, dimension, 3),
    spherical_stable_rank,
    spherical_effective_rank,
    spherical_entropy_deficit,
]
POINTS = [(2, 1.5), (3, 2.0), (4, 4.0), (8, 6.0), (3, 1e4), (64, 30.0), (5, 1e-6), (128, 2e3)]


@pytest.mark.parametrize(("dimension", "concentration"), POINTS)
def test_values_are_ratios_of_bessel_functions(dimension, concentration):
    with mpmath.workdps(40):
        order = mpmath.mpf(dimension) / 2 - 1
        first = mpmath.besseli(order, concentration)
        exact = [float(mpmath.besseli(order + n, concentration) / first) for n in range(24)]
    values = harmonic_values(concentration, dimension, 24)
    np.testing.assert_allclose(values, exact, rtol=SPHERICAL)


@pytest.mark.parametrize(("dimension", "concentration"), [(3, 2.0), (4, 40.0), (9, 700.0)])
def test_values_are_those_of_scipy(dimension, concentration):
    order = 0.5 * dimension - 1 + np.arange(12)
    bessel = ive(order, concentration)
    np.testing.assert_allclose(
        harmonic_values(concentration, dimension, 12), bessel / bessel[0], rtol=SPHERICAL
    )


@pytest.mark.parametrize(("dimension", "concentration"), POINTS)
def test_the_norm_is_a_ratio_of_hypergeometric_functions(dimension, concentration):
    """The sum over the spectrum against the double integral of the squared kernel."""
    with mpmath.workdps(60):
        kappa, first = mpmath.mpf(concentration), mpmath.mpf(dimension) / 2
        exact = mpmath.hyp0f1(first, kappa**2) / mpmath.hyp0f1(first, kappa**2 / 4) ** 2
    norm = spherical_stable_rank(concentration, dimension)
    assert norm == pytest.approx(float(exact), rel=SPHERICAL)
    assert norm == spherical_stable_rank(concentration, dimension)


@pytest.mark.parametrize(("dimension", "concentration"), POINTS)
def test_the_deficit_is_that_of_the_normaliser_in_high_precision(dimension, concentration):
    with mpmath.workdps(60):
        kappa, first = mpmath.mpf(concentration), mpmath.mpf(dimension) / 2
        ratio = mpmath.besseli(first, kappa) / mpmath.besseli(first - 1, kappa)
        exact = kappa * ratio - mpmath.log(mpmath.hyp0f1(first, kappa**2 / 4))
    deficit = spherical_entropy_deficit(concentration, dimension)
    assert deficit == pytest.approx(float(exact), rel=SPHERICAL, abs=0)


@pytest.mark.parametrize(("dimension", "concentration"), [(3, 2.0), (4, 5.0), (6, 20.0)])
def test_values_are_the_zonal_integrals_of_the_kernel(dimension, concentration):
    """Gauss–Legendre over the angle, with Gegenbauer polynomials as zonal harmonics."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angles = 0.5 * np.pi * (nodes + 1)
    cosine = np.cos(angles)
    density = weights * np.sin(angles) ** (dimension - 2) * np.exp(concentration * (cosine - 1))
    order = 0.5 * dimension - 1
    for n, value in enumerate(harmonic_values(concentration, dimension, 8)):
        zonal = eval_gegenbauer(n, order, cosine) / eval_gegenbauer(n, order, 1.0)
        assert value == pytest.approx((density @ zonal) / density.sum(), abs=QUADRATURE)


def test_the_circle_is_a_fourier_series():
    """Singular values of attention between 400 equidistant angles, one and then pairs."""
    angles = 2 * np.pi * np.arange(400) / 400
    attention = np.exp(1.5 * np.cos(angles[:, None] - angles))
    attention /= attention.sum(axis=1, keepdims=True)
    measured = np.linalg.svd(attention, compute_uv=False)
    np.testing.assert_allclose(
        spherical_singular_values(1.5, 2, 9), measured[:9], atol=10 * FLOAT64
    )
    shares = measured / measured.sum()
    rank = np.exp(-(shares * np.log(np.maximum(shares, 1e-300))).sum())
    assert spherical_effective_rank(1.5, 2) == pytest.approx(rank, rel=QUADRATURE)


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [(2, [1, 2, 2, 2]), (3, [1, 3, 5, 7]), (4, [1, 4, 9, 16]), (8, [1, 8, 35, 112])],
)
def test_multiplicities(dimension, expected):
    assert [harmonic_dimension(n, dimension) for n in range(4)] == expected
    values = spherical_singular_values(1.0, dimension, sum(expected))
    np.testing.assert_array_equal(np.unique(values, return_counts=True)[1][::-1], expected)


def test_harmonics_count_the_polynomials_they_make():
    """Polynomials of degree n on the sphere are sums of harmonics of degree n, n-2, ..."""
    for dimension in (2, 3, 5, 12):
        for degree in range(8):
            count = sum(harmonic_dimension(n, dimension) for n in range(degree, -1, -2))
            assert count == math.comb(degree + dimension - 1, degree)


@pytest.mark.parametrize(
    ("dimension", "concentration", "rank", "deficit"),
    [(3, 2.0, 2.075, 0.4794), (4, 4.0, 4.198, 1.047)],
)
def test_a_finite_sample_has_the_ranks_up_to_sampling(dimension, concentration, rank, deficit):
    assert spherical_stable_rank(concentration, dimension) == pytest.approx(rank, abs=quoted(3))
    assert spherical_entropy_deficit(concentration, dimension) == pytest.approx(
        deficit, abs=quoted(3)
    )
    tokens = np.random.default_rng(0).standard_normal((1500, dimension))
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    attention = np.exp(concentration * tokens @ tokens.T)
    attention /= attention.sum(axis=1, keepdims=True)
    measured = np.linalg.svd(attention, compute_uv=False)
    entropy = -(attention * np.log(attention)).sum(axis=1).mean()
    assert math.log(1500) - entropy == pytest.approx(deficit, rel=SPHERICAL_SAMPLE)
    assert (measured**2).sum() / measured[0] ** 2 == pytest.approx(rank, rel=SPHERICAL_SAMPLE)


@pytest.mark.parametrize(("dimension", "concentration"), [(3, 2.0), (8, 6.0), (16, 9.0)])
def test_effective_rank_is_that_of_a_long_list(dimension, concentration):
    values = harmonic_values(concentration, dimension, 120)
    counts = np.array([harmonic_dimension(n, dimension) for n in range(120)], dtype=float)
    shares = values / (counts @ values)
    rank = np.exp(-(counts @ (shares * np.log(shares))))
    assert spherical_effective_rank(concentration, dimension) == pytest.approx(rank, rel=SPHERICAL)


def test_the_sum_of_values_is_the_kernel_on_its_diagonal():
    """Trace of the operator: exp(kappa) over the normaliser, here sinh(kappa)/kappa."""
    values = harmonic_values(5.0, 3, 80)
    trace = (2 * np.arange(80) + 1) @ values
    assert trace == pytest.approx(5.0 * math.exp(5.0) / math.sinh(5.0), rel=FLOAT64)


def test_small_scores_meet_the_gaussian_form():
    """The difference to sharpness kappa/d is of third order in the scores."""
    sharpness = np.array([0.1, 0.05, 0.025])
    gaps = [
        abs(harmonic_values(3 * a, 3, 2)[1] - singular_values(np.full(3, a), 2)[1])
        for a in sharpness
    ]
    slope = np.polyfit(np.log(sharpness), np.log(gaps), 1)[0]
    assert slope == pytest.approx(3, abs=FITTED_SLOPE)


def test_the_sign_of_the_scores_does_not_matter():
    for function in EVERY_FUNCTION:
        np.testing.assert_array_equal(function(-3.0, 4), function(3.0, 4))


def test_no_scores_give_rank_one():
    np.testing.assert_array_equal(spherical_singular_values(0.0, 3, 5), [1, 0, 0, 0, 0])
    assert spherical_effective_rank(0.0, 3) == spherical_stable_rank(0.0, 3) == 1.0
    assert spherical_entropy_deficit(0.0, 3) == 0.0


def test_it_never_breaks():
    for concentration in (1.0, 1e2, 1e4, 1e6):
        values = harmonic_values(concentration, 3, 40)
        assert (np.diff(values) < 0).all()
        # In three dimensions the stable rank is kappa coth(kappa).
        assert spherical_stable_rank(concentration, 3) == pytest.approx(
            concentration / math.tanh(concentration), rel=SPHERICAL
        )
    assert spherical_effective_rank(1e4, 512) == math.inf, "beyond the range of float64"


@pytest.mark.parametrize("concentration", [1e6, 1e8])
def test_the_deficit_of_sharp_attention(concentration):
    """In three dimensions it is kappa coth(kappa) - 1 - ln(sinh(kappa) / kappa)."""
    with mpmath.workdps(40):
        kappa = mpmath.mpf(concentration)
        exact = kappa * mpmath.coth(kappa) - 1 - mpmath.log(mpmath.sinh(kappa) / kappa)
    assert spherical_entropy_deficit(concentration, 3) == pytest.approx(
        float(exact), abs=SHARP_DEFICIT * concentration
    )


def test_the_deficit_of_sharp_attention_in_many_dimensions():
    """Where the Bessel function underflows: the series that starts near its largest term."""
    with mpmath.workdps(40):
        order, kappa = mpmath.mpf(5999), mpmath.mpf(5000)
        first, second = (mpmath.besseli(order + n, kappa) for n in (0, 1))
        normaliser = mpmath.loggamma(order + 1) + order * mpmath.log(2 / kappa) + mpmath.log(first)
        exact = kappa * second / first - normaliser
    assert ive(5999, 5000) == 0
    assert spherical_entropy_deficit(5000, 12_000) == pytest.approx(float(exact), rel=SPHERICAL)


def test_the_deficit_of_sharp_attention_needs_little_memory():
    tracemalloc.start()
    spherical_entropy_deficit(1e8, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e8  # one array of kappa numbers is 8e8 bytes


@pytest.mark.parametrize("function", EVERY_FUNCTION)
def test_refuses_what_is_no_sphere(function):
    with pytest.raises(ValueError, match="dimension must be finite and at least 2; got 1: a circ"):
        function(1.0, 1)
    with pytest.raises(ValueError, match="concentration must be finite; got inf: pass"):
        function(math.inf, 3)


def test_refuses_empty_lists_and_negative_orders():
    with pytest.raises(ValueError, match="count must be finite and at least 1; got 0: ask"):
        spherical_singular_values(1.0, 3, 0)
    with pytest.raises(ValueError, match="orders must be finite and at least 1; got 0: ask"):
        harmonic_values(1.0, 3, 0)
    with pytest.raises(ValueError, match="order must be finite and at least 0; got -1: harmonics"):
        harmonic_dimension(-1, 3)

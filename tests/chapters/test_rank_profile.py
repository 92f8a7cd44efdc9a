"""Statements and exercises of *The rank profile in closed form*."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import sympy
import torch
from scipy.special import ive

from attention_collapse.theory import spectrum
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.symbolic import rank_profile as symbolic
from attention_collapse.theory.symbols import concentration, decay, directions, order, sharpness
from attention_collapse.vggt.attention import Attention
from tolerances import (
    FITTED_SLOPE,
    FLOAT64,
    GAUSSIAN_HEAD,
    MEDIAN_SAMPLE,
    NEAR_LIMIT,
    NORMALISED_LENGTH,
    PROFILE_OVER_DEPTH,
    QUADRATURE,
    QUADRATURE_TAIL,
    SPHERICAL,
    START_OF_THE_RUN,
    quoted,
    sampling,
)


def normal_nodes(count, mean=0.0):
    points, weights = np.polynomial.hermite_e.hermegauss(count)
    return points + mean, weights / weights.sum()


def discretised(a, *, offset=0.0, count=160):
    """Kernel of one direction on nodes, and the matrix with the operator's singular values."""
    xi, query_weights = normal_nodes(count, offset)
    eta, key_weights = normal_nodes(count)
    kernel = np.exp(a * np.outer(xi, eta) - 0.5 * (a * xi[:, None]) ** 2)
    matrix = np.sqrt(query_weights)[:, None] * kernel * np.sqrt(key_weights)
    return kernel, matrix, query_weights, key_weights


# The operator


@pytest.mark.claims("eq-operator", "eq-measures")
def test_for_a_sample_the_operator_is_the_attention_matrix():
    """Built from its definition, in an orthonormal basis of functions on the tokens."""
    rng = np.random.default_rng(0)
    tokens, bilinear = rng.standard_normal((40, 3)), 0.4 * rng.standard_normal((3, 3))
    scores = np.exp(tokens @ bilinear @ tokens.T)
    kernel = scores / scores.mean(axis=1, keepdims=True)
    basis = np.sqrt(40) * np.linalg.qr(rng.standard_normal((40, 40))).Q
    images = kernel @ basis / 40
    operator = basis.T @ images / 40
    attention = attention_matrix(tokens, bilinear=bilinear)
    np.testing.assert_allclose(
        np.linalg.svd(operator, compute_uv=False),
        np.linalg.svd(attention, compute_uv=False),
        atol=10 * FLOAT64,
    )
    assert (kernel**2).mean() == pytest.approx((attention**2).sum(), rel=FLOAT64)
    entropy = -(attention * np.log(attention)).sum(axis=1).mean()
    assert (kernel * np.log(kernel)).mean() == pytest.approx(math.log(40) - entropy, rel=FLOAT64)


@pytest.mark.claims("lem-complete")
def test_a_list_with_the_whole_energy_leaves_nothing_for_other_directions():
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.standard_normal((9, 9))).Q for _ in range(2))
    values = np.array([3.0, 1.5, 0.2])
    matrix = left[:, :3] * values @ right[:, :3].T
    assert (values**2).sum() == pytest.approx((matrix**2).sum(), rel=FLOAT64)
    others = right[:, 3:] @ rng.standard_normal((6, 4))
    assert np.abs(matrix @ others).max() < 10 * FLOAT64
    np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False)[:3], values, rtol=FLOAT64)


# Gaussian tokens


@pytest.mark.claims("lem-directions", "eq-directions")
def test_directions_separate_for_any_scores_covariances_and_means():
    """Queries and keys with laws of their own, on product nodes, against products of values."""
    rng = np.random.default_rng(2)
    bilinear = np.array([[0.3, 0.25], [-0.1, 0.2]])
    query_root = np.linalg.cholesky(np.array([[0.9, -0.3], [-0.3, 0.6]]))
    key_root = np.linalg.cholesky(np.array([[1.1, 0.4], [0.4, 0.5]]))
    points, weights = normal_nodes(24)
    grid = np.array(list(itertools.product(points, repeat=2)))
    mass = np.prod(list(itertools.product(weights, repeat=2)), axis=1)
    queries = rng.standard_normal(2) * 0.3 + grid @ query_root.T
    keys = rng.standard_normal(2) + grid @ key_root.T
    attention = attention_matrix(keys, bilinear=bilinear, queries=queries, weights=mass)
    root = np.sqrt(mass)
    measured = np.linalg.svd(root[:, None] * attention / root, compute_uv=False)
    found = spectrum.gaussian_sharpness(
        key_root @ key_root.T, bilinear=bilinear, query_covariance=query_root @ query_root.T
    )
    profile = spectrum.rank_profile(found, count=8)
    np.testing.assert_allclose(measured[:8] / measured[0], profile.singular_values, atol=QUADRATURE)
    energy = (measured**2).sum() / measured[0] ** 2
    assert energy == pytest.approx(profile.stable_rank, rel=QUADRATURE)


def test_directions_without_variance_leave_the_ranks_as_they_are():
    """Queries on a line that misses the origin, keys in a plane: only the energy moves."""
    line, plane = np.array([[0.8], [0.3]]), np.linalg.cholesky(np.array([[0.5, 0.2], [0.2, 0.4]]))
    bilinear = np.array([[0.5, 0.2], [-0.3, 0.4]])
    points, weights = normal_nodes(40)
    grid = np.array(list(itertools.product(points, repeat=2)))
    mass = np.prod(list(itertools.product(weights, repeat=2)), axis=1)
    found = spectrum.gaussian_sharpness(
        plane @ plane.T, bilinear=bilinear, query_covariance=line @ line.T
    )
    energies = []
    for mean in (np.zeros(2), np.array([-0.3, 0.8])):
        queries, keys = mean + points[:, None] @ line.T, grid @ plane.T
        attention = attention_matrix(keys, bilinear=bilinear, queries=queries, weights=mass)
        matrix = np.sqrt(weights)[:, None] * attention / np.sqrt(mass)
        measured = np.linalg.svd(matrix, compute_uv=False)
        profile = spectrum.rank_profile(found, count=6)
        np.testing.assert_allclose(
            measured[:6] / measured[0], profile.singular_values, atol=QUADRATURE
        )
        energies.append((measured**2).sum())
        stable = energies[-1] / measured[0] ** 2
        assert stable == pytest.approx(profile.stable_rank, rel=QUADRATURE)
    assert energies[1] > 1.01 * energies[0]


@pytest.mark.claims("eq-gaussian-kernel")
def test_the_kernel_is_the_score_over_its_mean():
    points, weights = normal_nodes(80)
    for a, xi in ((0.3, 1.2), (-0.6, 0.4)):
        scores = np.exp(a * xi * points)
        expected = np.exp(a * xi * points - 0.5 * (a * xi) ** 2)
        np.testing.assert_allclose(scores / (weights @ scores), expected, rtol=QUADRATURE)


@pytest.mark.claims("eq-row-energy", "eq-frobenius", "eq-gaussian-deficit", "eq-column-energy")
@pytest.mark.parametrize(("a", "offset"), [(0.2, 0.0), (0.5, 0.8), (-0.4, -1.5)])
def test_energy_and_deficit_by_quadrature(a, offset):
    kernel, matrix, query_weights, key_weights = discretised(a, offset=offset)
    xi = normal_nodes(160, offset)[0]
    rows = kernel**2 @ key_weights
    likely = query_weights > 1e-20
    np.testing.assert_allclose(rows[likely], np.exp((a * xi[likely]) ** 2), rtol=QUADRATURE)
    given, mean = np.array([a]), np.array([offset])
    assert spectrum.frobenius_squared(given, mean) == pytest.approx(
        (matrix**2).sum(), rel=QUADRATURE
    )
    logarithm = a * np.outer(xi, normal_nodes(160)[0]) - 0.5 * (a * xi[:, None]) ** 2
    deficit = query_weights @ (kernel * logarithm) @ key_weights
    assert spectrum.entropy_deficit(given, mean) == pytest.approx(deficit, rel=QUADRATURE)
    if offset == 0:
        eta = normal_nodes(160)[0][key_weights > 1e-20]
        columns = (query_weights @ kernel**2)[key_weights > 1e-20]
        exponent = 2 * a**2 * eta**2 / (1 + 2 * a**2)
        np.testing.assert_allclose(
            columns, np.exp(exponent) / math.sqrt(1 + 2 * a**2), rtol=QUADRATURE
        )


@pytest.mark.claims("eq-mehler-kernel", "eq-hermite-square", "eq-hermite")
@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_the_kernel_replaces_w_by_qw_and_has_energy_pi(q):
    kernel = sympy.lambdify((symbolic.query, symbolic.key, decay), symbolic.symmetric_kernel)
    generating = sympy.lambdify((symbolic.key, symbolic.parameter), symbolic.generating_function)
    eta = np.linspace(-25, 25, 4001)
    spacing = eta[1] - eta[0]
    for xi, w in ((0.3, 0.7), (-1.2, -0.4)):
        left = spacing * (kernel(xi, eta, q) @ generating(eta, w))
        right = math.sqrt(math.pi * (1 - q**2)) * generating(xi, q * w)
        assert left == pytest.approx(right, rel=QUADRATURE)
    coarse = eta[::8]
    energy = (8 * spacing) ** 2 * (kernel(coarse[:, None], coarse, q) ** 2).sum()
    assert energy == pytest.approx(math.pi, rel=QUADRATURE)


@pytest.mark.claims("thm-gaussian-spectrum", "eq-gaussian-spectrum", "eq-gaussian-ranks")
@pytest.mark.parametrize(("a", "offset"), [(0.1, 0.0), (0.4, 1.0), (-0.55, 0.0), (0.65, 0.0)])
def test_the_spectrum_of_one_direction_by_quadrature(a, offset):
    matrix = discretised(a, offset=offset)[1]
    measured = np.linalg.svd(matrix, compute_uv=False)
    given = np.array([a])
    q = spectrum.decay_ratio(given)[0]
    first = (1 + q**4) ** 0.25 * math.exp(0.5 * (a * offset) ** 2 / (1 - 2 * a**2))
    np.testing.assert_allclose(measured[:8], first * q ** np.arange(8), atol=10 * QUADRATURE)
    assert spectrum.stable_rank(given) == pytest.approx(1 / (1 - q**2), rel=FLOAT64)
    shares = measured / measured.sum()
    shares = shares[shares > 1e-14]
    rank = math.exp(-(shares @ np.log(shares)))
    assert spectrum.effective_rank(given) == pytest.approx(rank, rel=QUADRATURE_TAIL)


@pytest.mark.claims("eq-decay")
@pytest.mark.parametrize("value", ["1e-8", "0.2", "0.5", "0.9", "0.999999"])
def test_the_three_forms_of_the_decay_ratio(value):
    with mpmath.workdps(50):
        q = mpmath.mpf(value)
        a = symbolic.sharpness_of_decay.subs(decay, sympy.Float(value, 50)).evalf(50)
        back = symbolic.decay_ratio.subs(sharpness, a).evalf(50)
        assert abs(back - sympy.Float(value, 50)) < 1e-30
        assert abs(q / (1 + q**2) - mpmath.mpf(str(a / sympy.sqrt(1 + 2 * a**2)))) < 1e-15
    assert spectrum.decay_ratio(np.array([float(a)]))[0] == pytest.approx(
        float(value), rel=NEAR_LIMIT, abs=0
    )


@pytest.mark.parametrize("value", [0.05, 0.3, 0.7, 0.7071])
def test_the_functions_are_the_expressions(value):
    """Functions in numpy against the chapter's expressions in fifty digits."""
    given, exact = np.array([value]), {sharpness: sympy.Float(value, 50), symbolic.offset: 0}
    ratio = symbolic.decay_ratio.subs(exact).evalf(50)
    pairs = {
        spectrum.frobenius_squared: symbolic.frobenius_squared.subs(exact),
        spectrum.stable_rank: symbolic.stable_rank.subs(decay, ratio),
        spectrum.effective_rank: symbolic.effective_rank.subs(decay, ratio),
    }
    for function, expression in pairs.items():
        assert function(given) == pytest.approx(float(expression.evalf(50)), rel=NEAR_LIMIT)


@pytest.mark.claims("thm-gaussian-spectrum")
def test_the_energy_diverges_at_the_limit():
    """Its integral over queries up to R grows without bound exactly from 1/sqrt(2) on."""
    queries = (np.arange(40_000) + 0.5) / 1000
    ends = np.array([10_000, 20_000, 40_000]) - 1
    inside, at = (np.cumsum(np.exp((a**2 - 0.5) * queries**2))[ends] for a in (0.6, math.sqrt(0.5)))
    assert inside[2] == pytest.approx(inside[1], rel=FLOAT64)
    assert at[2] / at[1] == pytest.approx(2, rel=FLOAT64)
    with pytest.raises(ValueError, match="outside the Hilbert–Schmidt class"):
        spectrum.singular_values(np.array([math.sqrt(0.5)]), 1)


def test_a_sample_of_any_scores_has_the_spectrum_up_to_sampling():
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    bilinear = np.array([[0.25, 0.15], [-0.1, 0.3]])
    tokens = rng.multivariate_normal(np.zeros(2), covariance, 1500)
    attention = attention_matrix(tokens, bilinear=bilinear)
    measured = np.linalg.svd(attention, compute_uv=False)[:6]
    found = spectrum.gaussian_sharpness(covariance, bilinear=bilinear)
    closed = spectrum.singular_values(found, 6)
    np.testing.assert_allclose(measured, closed, atol=sampling(1500))


# Fluctuations


@pytest.mark.claims("prop-fluctuation")
def test_shares_of_queries_and_keys_have_a_variance_up_to_their_limits():
    """The exponent of the squared share times the density changes sign at 1/2 and 1/sqrt(6)."""
    a = symbolic.sharpness
    for share, limit in (
        (a**2, sympy.Rational(1, 2)),
        (2 * a**2 / (1 + 2 * a**2), 1 / sympy.sqrt(6)),
    ):
        exponent = 2 * share - sympy.Rational(1, 2)
        assert sympy.simplify(exponent.subs(a, limit)) == 0
        assert exponent.subs(a, limit * 0.99) < 0 < exponent.subs(a, limit * 1.01)


@pytest.mark.claims("prop-fluctuation")
@pytest.mark.parametrize(("a", "exponent"), [(0.2, -0.5), (0.6, 2 * 0.72 / 1.72 - 1)])
def test_a_mean_over_keys_fluctuates_like_the_stated_power(a, exponent):
    """Quartile ranges over two decades of tokens; logarithms flatten the heavy-tailed one."""
    rng = np.random.default_rng(3)
    counts = np.array([100, 1000, 10_000])
    ranges = []
    for count in counts:
        eta = rng.standard_normal((400, count))
        means = np.exp(2 * a**2 / (1 + 2 * a**2) * eta**2).mean(axis=1)
        ranges.append(np.subtract(*np.quantile(means, [0.75, 0.25])))
    slope = np.polyfit(np.log(counts), np.log(ranges), 1)[0]
    assert slope == pytest.approx(exponent, abs=2 * FITTED_SLOPE)


def test_the_median_sample_falls_short_of_the_energy_near_the_limit():
    rng = np.random.default_rng(4)
    shares = {}
    for a in (0.2, 0.6):
        draws = rng.standard_normal((24, 300, 1))
        energies = [(attention_matrix(draw, bilinear=np.array([[a]])) ** 2).sum() for draw in draws]
        exact = spectrum.frobenius_squared(np.array([a]))
        shares[a] = (np.median(energies) - 1) / (exact - 1)
    assert shares[0.2] == pytest.approx(1, abs=MEDIAN_SAMPLE)
    assert shares[0.6] < 0.85


# The sphere


def harmonic_polynomials(degree):
    """A basis of the harmonic polynomials of one degree in three variables, by linear algebra."""
    x = sympy.symbols("x_1:4")
    monomials = [
        math.prod(v**k for v, k in zip(x, powers, strict=True))
        for powers in itertools.product(range(degree + 1), repeat=3)
        if sum(powers) == degree
    ]
    laplacians = [sympy.Poly(sum(sympy.diff(m, v, 2) for v in x), *x) for m in monomials]
    rows = sorted({power for p in laplacians for power in p.monoms()})
    matrix = sympy.Matrix([[p.coeff_monomial(power) for p in laplacians] for power in rows])
    return x, [sum(c * m for c, m in zip(v, monomials, strict=True)) for v in matrix.nullspace()]


@pytest.mark.claims("lem-harmonic", "eq-harmonic-dimension")
def test_harmonic_polynomials_are_as_many_as_stated_and_orthogonal():
    polar, azimuth = sympy.symbols("theta phi", real=True)
    on_sphere = (
        sympy.sin(polar) * sympy.cos(azimuth), sympy.sin(polar) * sympy.sin(azimuth),
        sympy.cos(polar),
    )  # fmt: skip
    spaces = {}
    for degree in range(5):
        x, basis = harmonic_polynomials(degree)
        assert len(basis) == spectrum.harmonic_dimension(degree, 3)
        spaces[degree] = basis
    nodes, weights = np.polynomial.legendre.leggauss(12)
    angles = 2 * np.pi * np.arange(16) / 16
    theta, phi = np.meshgrid(np.arccos(nodes), angles, indexing="ij")
    for low, high in ((1, 3), (2, 4), (0, 2)):
        product = sympy.lambdify(x, spaces[low][0] * spaces[high][-1])
        point = sympy.lambdify((polar, azimuth), on_sphere)(theta, phi)
        values = product(*point) * np.ones_like(theta)
        assert abs(weights @ values.mean(axis=1)) < FLOAT64


@pytest.mark.claims("lem-gauss-harmonic", "eq-gauss-harmonic")
def test_the_gaussian_average_of_a_harmonic_polynomial_is_the_polynomial():
    """Moments of the normal law, in exact arithmetic."""
    z = sympy.symbols("z_1:4")
    for degree in (1, 2, 3):
        x, basis = harmonic_polynomials(degree)
        for h in basis:
            moved = sympy.Poly(
                h.subs({v: v + w for v, w in zip(x, z, strict=True)}, simultaneous=True), *z
            )
            average = sum(
                coefficient
                * math.prod(0 if k % 2 else int(sympy.factorial2(k - 1)) for k in powers)
                for powers, coefficient in moved.terms()
            )
            assert sympy.expand(average - h) == 0


@pytest.mark.claims("eq-moments", "eq-funk-hecke")
@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_moments_against_a_zonal_harmonic(dimension):
    """Order two: d t² - 1 over the uniform law of a coordinate t, with Gamma integrals."""

    def moment(power):
        """Mean of t**power for a coordinate of a uniform direction."""
        return mpmath.beta((power + 1) / 2, (dimension - 1) / 2) / mpmath.beta(
            0.5, (dimension - 1) / 2
        )

    order_ = dimension / 2 - 1
    for j in range(4):
        m = 2 + 2 * j
        left = (dimension * moment(m + 2) - moment(m)) / mpmath.factorial(m)
        right = (
            (dimension - 1)
            * mpmath.gamma(order_ + 1)
            / (2**m * mpmath.factorial(j) * mpmath.gamma(order_ + 2 + j + 1))
        )
        assert float(left) == pytest.approx(float(right), rel=FLOAT64, abs=0)
    kappa = 2.5
    series = sum(
        kappa ** (2 * j) * (dimension * moment(2 * j + 2) - moment(2 * j)) / mpmath.factorial(2 * j)
        for j in range(30)
    )
    bessel = mpmath.gamma(order_ + 1) * (2 / kappa) ** order_ * mpmath.besseli(order_ + 2, kappa)
    assert float(series) == pytest.approx(float((dimension - 1) * bessel), rel=FLOAT64)


@pytest.mark.claims("thm-spherical-spectrum", "eq-spherical-spectrum", "eq-spherical-measures")
@pytest.mark.parametrize(("dimension", "kappa"), [(2, 3.0), (3, 4.0), (6, 2.5)])
def test_the_spherical_functions_are_the_expressions(dimension, kappa):
    values = {order: sympy.Rational(dimension, 2) - 1, concentration: sympy.Float(kappa, 40)}
    pairs = {
        spectrum.spherical_entropy_deficit(kappa, dimension): symbolic.spherical_deficit,
        spectrum.spherical_stable_rank(kappa, dimension): symbolic.spherical_stable_rank,
        spectrum.harmonic_values(kappa, dimension, 2)[1]: symbolic.spherical_ratio,
    }
    for number, expression in pairs.items():
        assert number == pytest.approx(float(expression.subs(values).evalf(30)), rel=SPHERICAL)
    assert directions.is_integer, "the dimension of the sphere's space is the book's d"


@pytest.mark.claims("thm-spherical-spectrum")
def test_a_sample_on_the_sphere_has_plateaus():
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((1500, 3))
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    attention = attention_matrix(tokens, bilinear=2.0 * np.eye(3))
    measured = np.linalg.svd(attention, compute_uv=False)
    closed = spectrum.spherical_singular_values(2.0, 3, 9)
    np.testing.assert_allclose(measured[:9], closed, atol=sampling(1500))
    assert (np.diff(spectrum.harmonic_values(50.0, 3, 200)) < 0).all()


def test_before_training_normalised_queries_lie_on_a_sphere_in_one_dimension_less():
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(300, 32, generator=generator, dtype=torch.float64)
    heads = Attention(32, 2, generator=generator).double().heads_of(x[None])
    for directions_ in (heads.query[0, 0].detach(), heads.key[0, 0].detach()):
        assert torch.linalg.matrix_rank(directions_, rtol=FLOAT64) == 16 - 1
        lengths = directions_.norm(dim=-1)
        torch.testing.assert_close(
            lengths, torch.full_like(lengths, 16**0.5), rtol=NORMALISED_LENGTH, atol=0
        )


@pytest.mark.claims("eq-recurrence")
@pytest.mark.parametrize(("dimension", "kappa"), [(2, 0.5), (3, 40.0), (9, 7.0)])
def test_the_recurrence_of_bessel_ratios(dimension, kappa):
    orders = dimension / 2 - 1 + np.arange(12)
    bessel = ive(orders, kappa)
    ratios = bessel[1:] / bessel[:-1]
    following = kappa / (2 * (orders[:-2] + 1) + kappa * ratios[1:])
    np.testing.assert_allclose(ratios[:-1], following, rtol=SPHERICAL)


@pytest.mark.claims("eq-small-scores")
def test_the_two_forms_for_small_scores():
    """The next term of each expansion falls with the stated power."""
    scale = np.array([0.2, 0.1, 0.05])
    for d in (2, 5):
        rest = [
            spectrum.harmonic_values(k, d, 2)[1] - k / d + k**3 / (d**2 * (d + 2)) for k in scale
        ]
        slope = np.polyfit(np.log(scale), np.log(np.abs(rest)), 1)[0]
        assert slope == pytest.approx(5, abs=FITTED_SLOPE)
    expansion = sympy.series(symbolic.decay_ratio, sharpness, 0, 9).removeO()
    assert sympy.expand(expansion - sharpness - sharpness**5 / 2) == 0


# Depth


@pytest.mark.claims("eq-sharpness-over-depth")
def test_the_profile_follows_over_depth():
    rng = np.random.default_rng(5)
    bilinear, step = np.diag([0.35, 0.28, 0.2]), 0.1
    tokens = rng.standard_normal((1500, 3))
    start = spectrum.gaussian_sharpness(np.cov(tokens.T, bias=True), bilinear=bilinear)
    for layer in range(21):
        attention = attention_matrix(tokens, bilinear=bilinear)
        if layer in (0, 20):
            measured = np.linalg.svd(attention, compute_uv=False)
            law = spectrum.rank_profile(start / (1 + 2 * start * step * layer))
            excess = (measured**2).sum() / measured[0] ** 2 - 1
            assert measured[1] / measured[0] == pytest.approx(law.singular_ratio, rel=GAUSSIAN_HEAD)
            assert excess == pytest.approx(law.stable_rank - 1, rel=PROFILE_OVER_DEPTH)
            entropy = -(attention * np.log(attention)).sum(axis=1).mean()
            assert np.log(1500) - entropy == pytest.approx(
                law.entropy_deficit, rel=PROFILE_OVER_DEPTH
            )
        tokens = tokens - step * attention @ tokens


@pytest.mark.claims("eq-sharpness-over-depth")
def test_rates_of_three_measures_of_one_collapse():
    """Singular ratio like 1/(2ct), deficit and stable rank less one like its square."""
    times = np.geomspace(1e3, 1e5, 9)
    profiles = [spectrum.rank_profile(np.array([0.35]) / (1 + 0.7 * t), count=2) for t in times]
    ratio = np.array([profile.singular_ratio for profile in profiles])
    np.testing.assert_allclose(2 * times * ratio, 1, rtol=START_OF_THE_RUN)
    for name, exponent in (("singular_ratio", -1), ("entropy_deficit", -2)):
        values = [getattr(profile, name) for profile in profiles]
        slope = np.polyfit(np.log(times), np.log(values), 1)[0]
        assert slope == pytest.approx(exponent, abs=FITTED_SLOPE)
    excess = ratio**2 / (1 - ratio**2)
    assert np.polyfit(np.log(times), np.log(excess), 1)[0] == pytest.approx(-2, abs=FITTED_SLOPE)


# Exercises


@pytest.mark.claims("exercise-half-ratio")
def test_exercise_half_ratio():
    given = np.array([2 / math.sqrt(17)])
    assert spectrum.decay_ratio(given)[0] == pytest.approx(0.5, rel=FLOAT64)
    assert spectrum.stable_rank(given) == pytest.approx(4 / 3, rel=FLOAT64)
    assert spectrum.entropy_deficit(given) == pytest.approx(2 / 17, rel=FLOAT64)


@pytest.mark.claims("exercise-circle", "eq-circle")
def test_exercise_circle():
    angles = 2 * np.pi * np.arange(400) / 400
    for n, value in enumerate(spectrum.harmonic_values(1.7, 2, 6)):
        fourier = np.exp(1.7 * np.cos(angles)) * np.cos(n * angles)
        assert fourier.mean() == pytest.approx(ive(n, 1.7) * math.exp(1.7), rel=FLOAT64)
        assert value == pytest.approx(ive(n, 1.7) / ive(0, 1.7), rel=SPHERICAL)
    assert [spectrum.harmonic_dimension(n, 2) for n in range(4)] == [1, 2, 2, 2]


@pytest.mark.claims("exercise-three-dimensions", "eq-three-dimensions")
def test_exercise_three_dimensions():
    kappa = concentration
    energy = sympy.sinh(2 * kappa) / (2 * kappa) * kappa**2 / sympy.sinh(kappa) ** 2
    assert sympy.simplify((energy - kappa * sympy.coth(kappa)).rewrite(sympy.exp)) == 0
    for value in (0.1, 2.0, 50.0):
        assert spectrum.spherical_stable_rank(value, 3) == pytest.approx(
            value / math.tanh(value), rel=SPHERICAL
        )


@pytest.mark.claims("exercise-many-dimensions", "eq-many-dimensions")
def test_exercise_many_dimensions():
    """The error falls like one over the dimension."""
    dimensions = np.array([100, 1000, 10_000])
    for a in (0.3, 2.0):
        limit = 2 * a / (1 + math.sqrt(1 + 4 * a**2))
        errors = [abs(spectrum.harmonic_values(a * d, int(d), 2)[1] - limit) for d in dimensions]
        slope = np.polyfit(np.log(dimensions), np.log(errors), 1)[0]
        assert slope == pytest.approx(-1, abs=FITTED_SLOPE)


@pytest.mark.claims("exercise-merge", "prop-mixture", "eq-mixture")
def test_exercise_merge():
    tokens = np.array([[0.0], [0.0], [1.0]])
    attention = attention_matrix(tokens, bilinear=np.eye(1))
    assert attention[2, :2].sum() == pytest.approx(0.424, abs=quoted(3))
    mixture = spectrum.Mixture.from_tokens(tokens, np.array([0, 0, 1]), bilinear=np.eye(1))
    assert mixture.attention()[1, 0] == pytest.approx(attention[2, :2].sum(), rel=FLOAT64)
    unsized = attention_matrix(tokens[1:], bilinear=np.eye(1))
    assert unsized[1, 0] == pytest.approx(0.269, abs=quoted(3))

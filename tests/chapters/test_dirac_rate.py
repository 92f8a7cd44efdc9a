"""Every statement of *How fast: Dirac at O(1/L)*."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from attention_collapse.experiments import random_weights
from attention_collapse.theory.decay import rank_over_depth, relative_variance
from attention_collapse.theory.layers import (
    Scheme,
    cloud_covariance,
    layer,
    normalise,
    particle_spread,
    response_law,
)
from attention_collapse.theory.rank_one import half_space_margin, spread_constant
from attention_collapse.theory.regimes import Decay, regime
from attention_collapse.theory.sphere_flow import pre_norm_gap
from attention_collapse.theory.symbolic import dirac_rate
from attention_collapse.theory.symbols import norm, step
from tolerances import (
    AVERAGING_RATE,
    CONTRACTIVE_SLOPE,
    FITTED_SLOPE,
    FLOAT64,
    FLOAT64_LAYERS,
    NARROW_CAP,
    ODE,
    ODE_SOLVER,
    POST_NORM_RATE,
    PRE_NORM_SLOPE,
    PRE_NORM_STEP,
    PURE_EXPONENT,
    RANK_ONE_SLOPE,
    RESPONSE_LAW,
    SETTLED_CONSTANT,
    START_OF_THE_RUN,
    TURNING_NORM,
    quoted,
)

DECADES = np.geomspace(30, 1200, 14).astype(int)  # 1.6 of them


def fitted_slope(values, layers=DECADES):
    return np.polyfit(np.log(layers), np.log(values), 1)[0]


def gaussian_cloud(count, *, seed=0):
    """Tokens in three directions whose sample mean is zero and whose covariance is the identity."""
    draws = np.random.default_rng(seed).standard_normal((count, 3))
    return np.linalg.qr(draws - draws.mean(axis=0)).Q * np.sqrt(count)


def narrow_cloud(count, *, deviation=1e-3):
    return normalise(np.c_[np.ones(count), deviation * gaussian_cloud(count)])


# The response law


@pytest.mark.claims("prop-response", "eq-response")
@pytest.mark.parametrize("scheme", list(Scheme))
def test_the_law_is_the_product_of_its_factors(scheme):
    factor = dirac_rate.FACTORS[scheme].subs({dirac_rate.fraction: 0.3, step: 0.2})
    law = response_law(scheme, step=0.2, sharpness=0.0, match_share=0.3, layers=3)
    expected = np.prod([float(factor.subs(norm, 1 + 0.2 * depth)) for depth in range(3)])
    assert law[-1] == pytest.approx(expected, rel=FLOAT64)


@pytest.mark.claims("prop-response", "prop-cosine", "eq-cosine-fraction")
@pytest.mark.parametrize("sharpness", [0.4, 1.1])
def test_a_narrow_cloud_of_1500_tokens_returns_the_fraction_of_cosine_scores(sharpness):
    tokens = narrow_cloud(1500)
    temperature = sharpness / 1e-6
    settings = {"scheme": "post-norm", "step": 0.25, "layers": 12}
    measured = particle_spread(tokens, temperature=temperature, **settings)
    law = response_law(sharpness=sharpness, match_share=0.0, cosine_scores=True, **settings)
    np.testing.assert_allclose(measured, law, rtol=RESPONSE_LAW)


@pytest.mark.claims("eq-four-rates", "tab-regimes")
def test_four_quantities_of_one_pre_norm_run_have_four_slopes():
    sharpness, depths = np.array([0.5, 0.3]), np.geomspace(40, 1600, 12).astype(int)
    law = response_law("pre-norm", step=1.0, sharpness=sharpness, match_share=0.0, layers=1600)
    profiles = rank_over_depth(law[depths], sharpness=sharpness)
    measured = {
        1: np.sqrt((law[depths] ** 2).mean(axis=1)),
        2: [profile.singular_ratio for profile in profiles],
        4: [profile.stable_rank - 1 for profile in profiles],
    }
    for power, values in measured.items():
        assert fitted_slope(values, depths) == pytest.approx(-power, abs=FITTED_SLOPE)


# Attention of rank one


@pytest.fixture(scope="module")
def equal_rows():
    """Spread and largest one less cosine over 1200 layers, and the tokens before and after."""
    generator = np.random.default_rng(3)
    start = np.c_[generator.uniform(0.5, 2, 20), generator.standard_normal((20, 3))]
    tokens, spread, gap, largest_move = start, [], [], 0.0
    for _ in range(1200):
        row = generator.dirichlet(np.ones(20))
        tokens = tokens + 2.0 * row @ normalise(tokens)
        directions = normalise(tokens)
        spread.append(np.sqrt(np.trace(cloud_covariance(tokens, scheme="pre-norm"))))
        gap.append(1 - (directions @ directions.T).min())
        difference = tokens - tokens[0] - (start - start[0])
        largest_move = max(largest_move, np.abs(difference).max())
    return start, tokens, np.array(spread), np.array(gap), largest_move


@pytest.mark.claims("thm-rank-one", "eq-rank-one-limit", "eq-same-vector", "eq-half-space")
def test_rank_one_attention_gives_exactly_one_over_depth(equal_rows):
    start, tokens, spread, gap, largest_move = equal_rows
    assert half_space_margin(start) > 0
    assert largest_move < FLOAT64_LAYERS
    assert fitted_slope(spread[DECADES - 1]) == pytest.approx(-1, abs=RANK_ONE_SLOPE)
    assert fitted_slope(gap[DECADES - 1]) == pytest.approx(-2, abs=2 * RANK_ONE_SLOPE)
    constant = spread_constant(start, limit=tokens.mean(axis=0), step=2.0)
    assert 1200 * spread[-1] == pytest.approx(constant, rel=RANK_ONE_SLOPE)


@pytest.mark.claims("eq-direction-difference")
def test_the_difference_of_directions_written_with_norms():
    x, y = np.random.default_rng(0).standard_normal((2, 4))
    r, s = np.linalg.norm(x), np.linalg.norm(y)
    assert r - s == pytest.approx((x - y) @ (x + y) / (r + s), rel=100 * FLOAT64)
    np.testing.assert_allclose(x / r - y / s, (x - y - (r - s) * y / s) / r, atol=FLOAT64)


@pytest.mark.claims("eq-transversal")
def test_a_common_transversal_part_keeps_its_share_of_the_norm():
    """Tokens that differ along one axis alone: what lies across it grows with the norm."""
    start = np.array([[1.0, 0.7], [2.0, 0.7], [3.5, 0.7]])
    tokens, longest = start, np.linalg.norm(start, axis=1).max()
    for depth in range(1, 200):
        tokens = tokens + 0.3 * np.array([0.2, 0.5, 0.3]) @ normalise(tokens)
        assert np.ptp(tokens[:, 1]) < FLOAT64 * depth
        assert tokens[0, 1] >= 0.7 * (longest + 0.3 * depth) / longest - FLOAT64 * depth


# Normalised softmax attention


@pytest.mark.claims("thm-pre-norm", "eq-pre-norm-tail")
@pytest.mark.parametrize("count", [8, 32])
def test_the_exponent_of_softmax_attention_does_not_contain_the_number_of_tokens(count):
    start = np.c_[np.sqrt(0.7) * np.eye(count), np.full(count, np.sqrt(0.3))]
    spread = particle_spread(start, scheme="pre-norm", step=0.5, temperature=2.0, layers=1200)
    assert fitted_slope(spread[DECADES] ** 2) == pytest.approx(-2, abs=2 * PRE_NORM_SLOPE)


@pytest.mark.claims("thm-pre-norm")
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_any_temperature_follows_the_pre_norm_form(temperature):
    count = 256
    start = np.c_[np.sqrt(0.7) * np.eye(count), np.full(count, np.sqrt(0.3))]
    spread = particle_spread(
        start, scheme="pre-norm", step=0.02, temperature=temperature, layers=100
    )
    tokens_of_weight = np.exp(0.7 * temperature) / count
    predicted = pre_norm_gap(2.0, cosine=0.3)
    assert 0.7 * spread[-1] ** 2 == pytest.approx(
        predicted, rel=PRE_NORM_STEP + 2 * tokens_of_weight
    )


@pytest.mark.claims("thm-post-norm", "thm-three-clocks")
def test_post_norm_is_exponential_at_the_rate_of_its_step():
    spread = particle_spread(
        narrow_cloud(12), scheme="post-norm", step=0.25, temperature=1.0, layers=40
    )
    rate = np.polyfit(np.arange(10, 41), np.log(spread[10:]), 1)[0]  # 2.9 decades of the spread
    assert rate == pytest.approx(-np.log(1.25), abs=POST_NORM_RATE)


def layers_of_the_closure(bilinear, *, step, growing, layers):
    """Covariances of a narrow cloud in finite steps, from the identity."""
    covariance, radius, path = np.eye(len(bilinear)), 1.0, []
    for _ in range(layers):
        factor = (radius * np.eye(len(bilinear)) + step * covariance @ bilinear.T) / (radius + step)
        covariance = factor @ covariance @ factor.T
        radius += step if growing else 0.0
        path.append(covariance)
    return np.array(path)


@pytest.mark.claims("tab-regimes", "prop-averaging")
@pytest.mark.parametrize("step", [0.3, 2.0])
def test_normalised_layers_of_any_step_and_form_have_the_order_of_the_table(step):
    """B has no symmetry and the spectral norm 0.9; the constants settle over the last decade."""
    bilinear = np.random.default_rng(5).standard_normal((3, 3))
    bilinear *= 0.9 / np.linalg.norm(bilinear, 2)
    for growing, depths in ((True, np.array([4000, 40_000])), (False, np.array([30, 300]))):
        path = layers_of_the_closure(bilinear, step=step, growing=growing, layers=depths[-1])
        spread = np.sqrt(np.trace(path[depths - 1], axis1=1, axis2=2))
        decay = -np.log1p(step * depths) if growing else -depths * np.log1p(step)
        constants = np.exp(np.log(spread) - decay)
        assert constants[1] == pytest.approx(constants[0], rel=SETTLED_CONSTANT)


@pytest.mark.claims("tab-regimes", "thm-three-clocks")
def test_a_long_step_overshoots_where_a_short_one_meets():
    """A sharpness of -4 is below one: small steps meet, a layer of step 1 multiplies by -1.5."""
    form = np.array([[-4.0]])
    long, short = (
        layers_of_the_closure(form, step=step, growing=False, layers=round(3 / step))
        for step in (1.0, 0.01)
    )
    assert long[0, 0, 0] == pytest.approx(1.5**2, rel=FLOAT64)
    assert long[-1, 0, 0] > 100
    assert short[-1, 0, 0] < np.exp(-6)


def test_the_two_clocks_of_240_layers():
    clock = 240 * 0.1
    assert clock == pytest.approx(24, rel=FLOAT64)
    assert np.log1p(clock) == pytest.approx(3.2, abs=quoted(1))


@pytest.mark.claims("eq-logistic", "eq-logistic-solution", "eq-clock-covariance")
def test_the_logistic_solution_solves_the_logistic_equation():
    clock = np.array([0.0, 0.4, 3.0])
    solved = solve_ivp(
        lambda _s, u: -2 * 0.7 * (1 - 0.6 * u) * u, (0, 3), [1.0], t_eval=clock, **ODE_SOLVER
    ).y[0]
    np.testing.assert_allclose(
        relative_variance(clock, sharpness=0.6, match_share=0.3), solved, atol=ODE
    )


# Without normalisation


@pytest.mark.claims("prop-averaging", "eq-averaging")
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_averaging_shrinks_the_covariance_for_any_bilinear_form(weight):
    generator = np.random.default_rng(1)
    bilinear, factor = generator.standard_normal((2, 4, 4))
    covariance = factor @ factor.T
    covariance *= 0.9 / sharpness_of(covariance, bilinear)
    for _ in range(4):
        largest = sharpness_of(covariance, bilinear)
        bound = (1 - weight + weight * largest) ** 2
        factor = (1 - weight) * np.eye(4) + weight * covariance @ bilinear.T
        moved = factor @ covariance @ factor.T
        slack = np.linalg.eigvalsh(bound * covariance - moved)
        assert slack[0] >= -1e-12 * np.trace(covariance)
        assert sharpness_of(moved, bilinear) <= bound * largest * (1 + 1e-9)
        covariance = moved


def sharpness_of(covariance, bilinear):
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return np.linalg.norm(root @ bilinear @ root, 2)


@pytest.mark.claims("prop-averaging", "eq-pure")
def test_pure_attention_triples_the_exponent_in_every_layer():
    """1500 particles in three directions: ln a_L is 3^L ln a_0, from 1.2 to 32 e-folds."""
    spread = particle_spread(
        gaussian_cloud(1500), scheme="pure", step=1.0, temperature=0.3, layers=3
    )
    tripled = np.log(0.3 * spread**2) / np.log(0.3)
    np.testing.assert_allclose(tripled, [1, 3, 9, 27], rtol=PURE_EXPONENT)


@pytest.mark.claims("prop-averaging", "tab-regimes")
def test_averaging_is_exponential_at_the_rate_of_its_weight():
    spread = particle_spread(
        gaussian_cloud(400), scheme="averaging", step=0.25, temperature=0.3, layers=40
    )
    rate = np.polyfit(np.arange(10, 41), np.log(spread[10:]), 1)[0]  # 3.7 decades
    assert rate == pytest.approx(np.log(0.75), abs=AVERAGING_RATE)


@pytest.mark.claims("eq-contractive", "tab-regimes", "exercise-which-quantity")
def test_contraction_without_norm_has_a_variance_of_one_over_depth():
    law = response_law("contractive", step=0.05, sharpness=0.8, match_share=0.0, layers=20_000)
    layers = np.geomspace(500, 20_000, 14).astype(int)
    elapsed = 1 + 2 * 0.8 * 0.05 * layers  # 41 to 1601, 1.6 decades
    assert fitted_slope(law[layers] ** 2, elapsed) == pytest.approx(-1, abs=CONTRACTIVE_SLOPE)
    assert elapsed[-1] * law[-1] ** 2 == pytest.approx(1, rel=5 * CONTRACTIVE_SLOPE)


@pytest.mark.claims("tab-regimes", "exercise-which-quantity")
def test_the_table_names_the_exponents_of_contraction():
    found = regime(
        -np.eye(2), np.eye(2), normalisation="none", residual="sum", step=0.5,
        covariance=0.8 * np.eye(2),
    )  # fmt: skip
    powers = [
        r.exponent for r in (found.spread, found.variance, found.singular_ratio, found.stable_rank)
    ]
    assert found.spread.decay is Decay.POWER
    assert powers == [0.5, 1.0, 1.0, 2.0]


@pytest.mark.claims("prop-step", "eq-step-bound")
@pytest.mark.parametrize(
    ("scheme", "bound"),
    [
        ("pre-norm", lambda total, _: 1 / (1 + total)),
        ("post-norm", lambda total, _: np.exp(-total)),
        ("averaging", lambda total, depth: (1 - total / depth) ** depth),
    ],
)
def test_a_stack_of_given_time_keeps_its_spread(scheme, bound):
    for depth in (4, 30, 1000):
        for share in (0.0, 0.3):
            law = response_law(
                scheme, step=3.0 / depth, sharpness=0.2, match_share=share, layers=depth
            )
            assert law[-1] >= bound(3.0, depth)


@pytest.mark.claims("prop-step")
def test_the_bound_of_pre_norm_is_for_norms_that_start_at_one():
    settings = {"scheme": "pre-norm", "step": 3.0 / 30, "temperature": 0.0, "layers": 30}
    for radius in (1.0, 0.1):
        spread = particle_spread(radius * narrow_cloud(12), **settings)
        assert spread[-1] == pytest.approx(radius / (radius + 3), rel=NARROW_CAP)


# Few layers, and VGGT


@pytest.mark.claims("eq-decade", "exercise-read-the-step")
def test_the_slope_of_few_layers_is_that_of_the_step():
    layers = np.arange(5, 25)
    expected = {1.0: -0.92, 0.25: -0.74, 0.05: -0.37, 0.01: -0.11}
    for size, value in expected.items():
        slope = fitted_slope(1 / (1 + size * layers), layers)
        assert slope == pytest.approx(value, abs=quoted(2))
    local = -0.05 * np.array([5, 24]) / (1 + 0.05 * np.array([5, 24]))
    np.testing.assert_allclose(local, [-0.2, -0.55], atol=quoted(2))


def test_a_power_and_an_exponential_fit_the_exact_law_alike():
    layers = np.arange(1, 25)
    law = -np.log1p(0.25 * layers)
    power, exponential = (np.corrcoef(x, law)[0, 1] ** 2 for x in (np.log(layers), layers))
    assert min(power, exponential) > 0.95
    assert abs(power - exponential) < 0.02


def test_the_network_has_what_the_theorem_leaves_out():
    block = random_weights.network(random_weights.Config(depth=1), "cpu")
    names = [name for name, _ in block.named_parameters()]
    for part in ("mlp", "ls1", "frame", "attn.proj", "norm1"):
        assert any(part in name for name in names), part


# Exercises


@pytest.mark.claims("exercise-harmonic-step")
def test_exercise_harmonic_step():
    steps = 1 / np.arange(1.0, 201)
    law = response_law("post-norm", step=steps, sharpness=0.0, match_share=0.0, layers=200)
    np.testing.assert_allclose(law, 1 / np.arange(1, 202), rtol=FLOAT64_LAYERS)


@pytest.mark.claims("exercise-two-tokens")
def test_exercise_two_tokens():
    tokens = np.array([[1.0, 0.4], [1.0, -0.4]])
    height = 1.0
    for _ in range(1500):
        height += 0.5 * height / np.hypot(height, 0.4)
        tokens = layer(tokens, scheme="pre-norm", step=0.5, temperature=0.0)
    np.testing.assert_allclose(tokens, [[height, 0.4], [height, -0.4]], rtol=FLOAT64_LAYERS)
    assert 1500 * 0.4 / height == pytest.approx(0.4 / 0.5, rel=START_OF_THE_RUN)


@pytest.mark.claims("exercise-other-values")
def test_exercise_other_values():
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    start = np.array([[1.0, 1e-3], [1.0, -1e-3], [1.001, 0.0]])
    tokens, gaps = start, []
    for _ in range(1200):
        tokens = tokens + 0.5 * normalise(tokens).mean(axis=0) @ rotation.T
        gaps.append(np.sqrt(np.trace(cloud_covariance(tokens, scheme="pre-norm"))))
    np.testing.assert_allclose(tokens - tokens[0], start - start[0], atol=FLOAT64_LAYERS)
    norms = np.linalg.norm(tokens, axis=1)
    np.testing.assert_allclose(norms, 0.5 * np.sqrt(1200), rtol=TURNING_NORM)

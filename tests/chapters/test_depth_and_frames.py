"""The numbered statements, verdicts and exercises of *Depth and frames: one law*."""

import math

import numpy as np
import pytest
import sympy
from scipy.optimize import brentq

from attention_collapse.experiments import landmark_flow
from attention_collapse.theory import cost, frames, long_context, merging
from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.theory.layers import normalise, particle_spread
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.spectrum import singular_values
from attention_collapse.theory.symbolic import depth_and_frames as exact
from tolerances import (
    FITTED_SLOPE,
    FLOAT64,
    LANDMARK_FLOW,
    LARGE_COUNT_LIMIT,
    LARGE_GAP_LIMIT,
    MERGED_PARTICLES,
    PRE_NORM_SLOPE,
    SMALL_EXCESS,
    TAIL_SLOPE,
    quoted,
    sampling,
)

# Dilution


@pytest.mark.claims("thm-dilution", "eq-match-attention", "eq-second-eigenvalue")
@pytest.mark.parametrize("weight", [1.0, 0.1, 3.0])
def test_the_spectrum_of_match_attention(weight):
    """384 tokens: eigenvalue one, 23 times the second, zero for the rest."""
    attention = frames.match_attention(384, matches=16, score_gap=3.0, other_weight=weight)
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=FLOAT64)
    diluted = frames.dilution_frames(16, 4, 3.0, other_weight=weight)
    expected = np.zeros(384)
    expected[:24] = frames.second_eigenvalue(384 // 4, diluted)
    expected[0] = 1
    measured = np.linalg.svd(attention, compute_uv=False)
    np.testing.assert_allclose(measured, expected, atol=FLOAT64)
    np.testing.assert_allclose(np.linalg.eigvalsh(attention)[::-1], expected, atol=FLOAT64)


@pytest.mark.claims("thm-dilution")
def test_the_spectrum_does_not_depend_on_the_order_of_the_tokens():
    attention = frames.match_attention(64, matches=4, score_gap=2.0)
    order = np.random.default_rng(0).permutation(64)
    relabelled = attention[np.ix_(order, order)]
    np.testing.assert_allclose(
        np.linalg.eigvalsh(relabelled), np.linalg.eigvalsh(attention), atol=FLOAT64
    )


@pytest.mark.claims("eq-second-eigenvalue", "eq-bias")
def test_the_functions_are_the_expressions_of_the_dilution():
    symbols = [exact.matches, exact.per_frame, exact.score_gap, exact.other_weight]
    diluted = sympy.lambdify(symbols, exact.diluted)
    for values in ((16, 4, 3.0, 1.0), (2, 1041, 9.0, 0.05), (1, 1, 1e-6, 1.0)):
        *arguments, weight = values
        found = frames.dilution_frames(*arguments, other_weight=weight)
        assert found == pytest.approx(diluted(*values), rel=SMALL_EXCESS, abs=0)


# Collapse exponent


def deviations(attention, tokens, steps, *, flat=False):
    """Relative directions of tokens after every layer, their weights equal."""
    seen = []
    for step in steps:
        norms = tokens[:, :1] if flat else np.linalg.norm(tokens, axis=1, keepdims=True)
        seen.append(tokens[:, 1:] / tokens[:, :1])
        tokens = tokens + step * attention @ (tokens / norms)
    return np.array(seen)


def reversible_attention(count, seed=0):
    """Attention with eigenvalues of at least zero, symmetric for weights that are not equal."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, 2))
    affinity = np.exp(-np.square(points[:, None] - points).sum(axis=-1))
    total = affinity.sum(axis=1)
    return affinity / total[:, None], total / total.sum()


@pytest.mark.claims("thm-collapse-exponent", "eq-deviation-step", "eq-deviation-product")
@pytest.mark.parametrize("scale", [1e-3, 10.0])
def test_the_product_is_exact_for_flat_normalisation(scale):
    """Ten times wider than the norm, along every eigenvector of a reversible attention."""
    attention, weights = reversible_attention(12)
    root = np.sqrt(weights)
    values, vectors = np.linalg.eigh(root[:, None] * attention / root)
    assert values.min() > -FLOAT64
    modes = vectors[:, :-1] / root[:, None]
    tokens = np.hstack([np.ones((12, 1)), scale * modes])
    seen = deviations(attention, tokens, np.full(25, 0.25), flat=True)
    expected = frames.relative_deviation(np.clip(values[:-1], 0, 1), 24, step=0.25)
    np.testing.assert_allclose(seen[-1], seen[0] * expected, rtol=0, atol=scale * FLOAT64)


@pytest.mark.claims("thm-collapse-exponent", "eq-deviation-step")
def test_the_error_of_true_normalisation_is_of_second_order():
    attention, weights = reversible_attention(12)
    start = np.random.default_rng(1).standard_normal((12, 3))
    start -= weights @ start
    errors, sizes = [], (0.1, 0.03, 0.01, 0.003)
    for size in sizes:
        tokens = np.hstack([np.ones((12, 1)), size * start])
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        flat = np.hstack([np.ones((12, 1)), size * start])
        steps = np.full(25, 0.25)
        true = deviations(attention, tokens, steps)[-1] / size
        linear = deviations(attention, flat, steps, flat=True)[-1] / size
        errors.append(np.abs(true - linear).max())
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(2, abs=FITTED_SLOPE)


@pytest.mark.claims("thm-collapse-exponent", "eq-deviation-bounds")
@pytest.mark.parametrize("eigenvalue", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("step", [0.01, 0.25, 3.0])
def test_the_product_lies_between_its_bounds_and_rises_towards_a_limit(eigenvalue, step):
    layers = np.unique(np.geomspace(1, 1e6, 60).astype(int))
    product = frames.relative_deviation(eigenvalue, layers, step=step)
    exponent = 1 - eigenvalue
    lower = (1 + step * layers) ** -exponent
    upper = (1 + step * layers / (1 + step * eigenvalue)) ** -exponent
    assert (lower <= product * (1 + FLOAT64)).all()
    assert (product <= upper * (1 + FLOAT64)).all()
    rising = product / lower
    assert (np.diff(rising) > -FLOAT64).all()
    assert rising.max() <= (1 + step * eigenvalue) ** exponent * (1 + FLOAT64)


@pytest.mark.claims("thm-collapse-exponent")
@pytest.mark.parametrize("eigenvalue", [0.0, 0.2, 0.5, 0.9])
def test_the_exponent_of_the_product_over_two_decades(eigenvalue):
    layers = np.geomspace(1e4, 1e6, 9).round()
    product = frames.relative_deviation(eigenvalue, layers, step=0.25)
    slope = np.polyfit(np.log(layers), np.log(product), 1)[0]
    assert slope == pytest.approx(eigenvalue - 1, abs=TAIL_SLOPE)


def narrow_cloud(count, deviation):
    """Directions around an axis, with the same variance across it in each of three directions."""
    draws = np.random.default_rng(0).standard_normal((count, 3))
    cloud = np.linalg.qr(draws - draws.mean(axis=0)).Q * math.sqrt(count)
    return normalise(np.c_[np.ones(count), deviation * cloud])


@pytest.mark.claims("thm-collapse-exponent", "thm-dilution")
@pytest.mark.parametrize("sharpness", [0.0, 0.5])
@pytest.mark.parametrize("ratio", [0.1, 0.3, 1, 3, 10, 30, 100])
def test_landmarks_decay_with_the_exponent_from_a_tenth_to_a_hundred_dilutions(ratio, sharpness):
    """Layers 15 to 600 of step two, 1.6 decades; content scores slow the fall by p a u at most."""
    diluted = frames.dilution_frames(16, 4, 3.0)
    spread = particle_spread(
        narrow_cloud(16, 1e-3),
        scheme="pre-norm",
        step=2.0,
        temperature=sharpness / 1e-6,
        layers=600,
        match_share=frames.second_eigenvalue(ratio * diluted, diluted),
    )
    layers = np.geomspace(15, 600, 14).astype(int)
    slope = np.polyfit(np.log(1 + 2 * layers), np.log(spread[layers]), 1)[0]
    exponent = frames.collapse_exponent(ratio * diluted, diluted)
    slowest = exponent * (1 - sharpness * spread[layers[0]] ** 2)
    assert -exponent - PRE_NORM_SLOPE < slope < -slowest + PRE_NORM_SLOPE


@pytest.mark.claims("thm-collapse-exponent", "thm-dilution")
@pytest.mark.parametrize("count", [8, 384])
def test_the_spread_and_the_cosine_of_many_tokens(count):
    """Match attention among up to 1536 tokens, steps of 4 % of the norm, 1.6 decades."""
    attention = frames.match_attention(4 * count, matches=16, score_gap=3.0)
    rng = np.random.default_rng(0)
    places = np.repeat(rng.standard_normal((4 * count // 16, 4)), 16, axis=0)
    places -= places.mean(axis=0)
    times = 1.04 ** np.arange(150)
    tokens = np.hstack([np.ones((4 * count, 1)), 0.01 * places])
    seen = deviations(attention, tokens, 0.04 * times)
    directions = np.concatenate([np.ones_like(seen[..., :1]), seen], axis=-1)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    spread = np.linalg.norm(directions.std(axis=1), axis=-1)
    gap = np.square(directions[:, :1] - directions).sum(axis=-1).mean(axis=1) / 2
    late = times > 8
    slopes = [np.polyfit(np.log(times)[late], np.log(y[late]), 1)[0] for y in (spread, gap)]
    exponent = count / (count + frames.dilution_frames(16, 4, 3.0))
    assert slopes[0] == pytest.approx(-exponent, abs=PRE_NORM_SLOPE)
    assert slopes[1] == pytest.approx(-2 * exponent, abs=2 * PRE_NORM_SLOPE)


@pytest.mark.claims("cor-one-claim")
def test_rank_one_is_one_over_depth_and_nothing_else_is():
    layers = np.arange(50)
    rank_one = frames.relative_deviation(0.0, layers, step=0.25)
    np.testing.assert_allclose(rank_one, 1 / (1 + 0.25 * layers), rtol=FLOAT64)
    row = np.random.default_rng(0).dirichlet(np.ones(6))
    attention = np.tile(row, (6, 1))
    tokens = np.hstack([np.ones((6, 1)), np.eye(6) - row])
    seen = deviations(attention, tokens, np.full(20, 0.25), flat=True)
    np.testing.assert_allclose(seen[-1], seen[0] / (1 + 0.25 * 19), atol=FLOAT64)
    later = 1e6 * frames.relative_deviation(0.01, 1e6, step=0.25)
    assert later > 1.05 * 1e3 * frames.relative_deviation(0.01, 1e3, step=0.25)


@pytest.mark.claims("cor-one-claim")
def test_the_singular_ratio_is_what_is_missing_from_the_exponent():
    attention = frames.match_attention(128, matches=16, score_gap=3.0)
    values = np.linalg.svd(attention, compute_uv=False)
    diluted = frames.dilution_frames(16, 4, 3.0)
    expected = 1 - frames.collapse_exponent(32, diluted)
    assert values[1] / values[0] == pytest.approx(expected, rel=FLOAT64)


def test_steps_of_two_per_cent_make_the_slope_smaller_by_up_to_a_quarter_of_a_per_cent():
    """A layer takes the deviation times (1 + .02 eigenvalue) / 1.02, and the time times 1.02."""
    eigenvalues = np.linspace(0, 1, 1001)
    off = np.log1p(0.02 * eigenvalues) / math.log(1.02) - eigenvalues
    assert off.max() == pytest.approx(0.0025, abs=quoted(4))
    assert eigenvalues[off.argmax()] == pytest.approx(0.5, abs=quoted(2))


# One curve


@pytest.mark.claims("prop-one-curve", "eq-one-curve")
@pytest.mark.parametrize(("count", "diluted", "step"), [(64, 64.0, 0.25), (3000, 9.0, 2)])
def test_the_law_depends_on_one_number(count, diluted, step):
    """At p ln t = 0.7, whatever the rest."""
    surface = CollapseSurface((0.5, 0.2), diluted, step)
    depth = math.expm1(0.7 / surface.exponent(count)) / step
    sharpness = np.array([0.5, 0.2])
    expected = 1 / (sharpness + (1 - sharpness) * math.exp(1.4))
    np.testing.assert_allclose(surface.relative_variance(depth, count), expected, rtol=FLOAT64)
    profile = surface.rank_profile(depth, count, count=8)
    values = singular_values(sharpness * expected, 8)
    np.testing.assert_allclose(profile.singular_values, values / values[0], rtol=FLOAT64)


@pytest.mark.claims("prop-one-curve")
def test_softmax_attention_falls_on_the_curve():
    sharpness = np.array(landmark_flow.Config().initial_sharpness)
    for count, weight in ((8, 1.0), (512, 1.0), (512, 0.03)):
        diluted = frames.dilution_frames(16, 4, 3.0, other_weight=weight)
        config = landmark_flow.Config(dilution_frames=diluted, landmarks=128, step=0.1)
        flow = landmark_flow.LandmarkFlow(config, count)
        for depth in range(1, 81):
            flow.advance()
            scaled = frames.collapse_exponent(count, diluted) * math.log(1 + 0.1 * depth)
            variance = 1 / (sharpness + (1 - sharpness) * math.exp(2 * scaled))
            assert flow.spread() == pytest.approx(math.sqrt(variance.mean()), rel=LANDMARK_FLOW)


# Entropy crossover


def sampled_rows(rng, tokens, deviation, rows):
    scores = deviation * rng.standard_normal((rows, tokens))
    total = np.exp(scores).sum(axis=1)
    return total, np.log(total) - (np.exp(scores) * scores).sum(axis=1) / total


@pytest.mark.claims("prop-crossover", "eq-entropy-limit")
@pytest.mark.parametrize("deviation", [0.3, 1.0, 1.5])
def test_the_entropy_deficit_tends_to_half_the_variance(deviation):
    _, entropy = sampled_rows(np.random.default_rng(0), 40_000, deviation, 100)
    expected = long_context.entropy(40_000, deviation**2)
    assert entropy.mean() == pytest.approx(expected, abs=4 * sampling(40_000))


@pytest.mark.claims("prop-crossover", "eq-partition-variance")
def test_the_sum_of_weights_fluctuates_like_one_over_root_n():
    """Slope over two decades, and the constant."""
    rng, counts = np.random.default_rng(0), np.array([30, 100, 300, 1000, 3000])
    spread = []
    for count in counts:
        total, _ = sampled_rows(rng, count, 0.7, 4000)
        spread.append(total.std() / (count * math.exp(0.245)))
    slope = np.polyfit(np.log(counts), np.log(spread), 1)[0]
    assert slope == pytest.approx(-0.5, abs=FITTED_SLOPE)
    expected = np.sqrt(math.expm1(0.49) / counts)
    np.testing.assert_allclose(spread, expected, rtol=4 * sampling(4000))


@pytest.mark.claims("prop-crossover")
def test_below_the_crossover_the_mean_weight_is_missing():
    """N = exp(s^2 / 4): the sum over its mean falls as s grows."""
    rng, shares = np.random.default_rng(0), []
    for deviation in (3.0, 4.0, 5.0, 6.0):
        count = round(math.exp(deviation**2 / 4))
        total, _ = sampled_rows(rng, count, deviation, 400)
        shares.append(np.median(total) / (count * math.exp(deviation**2 / 2)))
    assert (np.diff(shares) < 0).all()
    assert shares[-1] < 0.03


# One layer, many tokens


@pytest.mark.claims("prop-long-context", "eq-equiangular-eigenvalue", "eq-gram")
def test_the_gram_matrix_after_a_layer():
    count, cosine, temperature = 400, 0.3, 4.0
    gram = (1 - cosine) * np.eye(count) + cosine
    tokens = np.linalg.cholesky(gram)
    attention = attention_matrix(tokens, bilinear=temperature * np.eye(count))
    held = long_context.equiangular_eigenvalue(cosine, count, temperature)
    expected = (math.exp(2.8) - 1) / (math.exp(2.8) + count - 1)
    assert held == pytest.approx(expected, rel=FLOAT64)
    rest = (1 + (count - 1) * cosine - held**2 * (1 - cosine)) / count
    stated = held**2 * (1 - cosine) * np.eye(count) + rest
    np.testing.assert_allclose(attention @ gram @ attention.T, stated, atol=FLOAT64)


@pytest.mark.claims("prop-long-context", "eq-output-cosine", "eq-long-context-limit")
@pytest.mark.parametrize("growth", [0.0, 0.5, 1.0])
def test_below_the_transition_the_cosine_tends_to_one_with_a_power_of_n(growth):
    """1 - cos falls like N^(-2 (1 - gamma (1 - omega))); from the expression, 40 digits."""
    counts = [10**k for k in range(6, 11)]
    held = exact.equiangular_eigenvalue
    gaps = []
    for count in counts:
        scores = 3 if growth == 0 else growth * sympy.log(count)
        values = {exact.cosine: sympy.Rational(3, 10), exact.tokens: count}
        eigenvalue = held.subs(values | {exact.temperature: scores})
        after = exact.output_cosine.subs(values | {exact.second_eigenvalue: eigenvalue})
        gaps.append(float((1 - after).evalf(40)))
    slope = np.polyfit(np.log(np.array(counts, dtype=float)), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-2 * (1 - 0.7 * growth), abs=FITTED_SLOPE)


@pytest.mark.claims("prop-long-context", "eq-long-context-limit")
def test_scaled_scores_keep_matches_only_from_a_gap_on():
    """With scores times ln N / ln N_train the share tends to 0, M / (M + 1) or 1."""
    trained, limits = 24 * 1041, []
    for growth in (0.8, 1.0, 1.2):
        tokens = 1e40
        scale = long_context.logit_scale(tokens, trained)
        gap = scale * growth * math.log(trained)
        limits.append(frames.second_eigenvalue(tokens / 1041, frames.dilution_frames(3, 1041, gap)))
    np.testing.assert_allclose(limits, [0, 0.75, 1], atol=LARGE_COUNT_LIMIT)


# Merging


@pytest.mark.claims("prop-proportional", "eq-proportional")
def test_identical_tokens_with_any_scores_and_sizes():
    rng = np.random.default_rng(0)
    sizes = np.array([1, 7, 2, 30])
    groups = np.repeat(np.arange(4), sizes)
    for scale in (0.1, 10.0):
        tokens = rng.standard_normal((4, 3))[groups]
        bilinear = scale * rng.standard_normal((3, 3))
        plain = attention_matrix(tokens, bilinear=bilinear) @ tokens
        with_sizes = merging.merged_attention(tokens, groups, bilinear=bilinear, proportional=True)
        np.testing.assert_allclose(with_sizes, plain, atol=FLOAT64)
        without = merging.merged_attention(tokens, groups, bilinear=bilinear, proportional=False)
        assert np.abs(without - plain).max() > 0.01


@pytest.mark.claims("prop-proportional")
def test_without_the_bias_equal_sizes_are_neutral():
    groups = np.repeat(np.arange(6), 4)
    tokens = np.random.default_rng(0).standard_normal((6, 3))[groups]
    plain = attention_matrix(tokens, bilinear=np.eye(3)) @ tokens
    merged = merging.merged_attention(tokens, groups, bilinear=np.eye(3), proportional=False)
    np.testing.assert_allclose(merged, plain, atol=FLOAT64)


@pytest.mark.claims("eq-total-covariance")
def test_total_covariance():
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.arange(9), rng.integers(0, 9, 191)])
    tokens = rng.standard_normal((200, 4))
    split = merging.covariance_split(tokens, groups)
    total = np.cov(tokens.T, bias=True)
    np.testing.assert_allclose(split.between + split.within, total, atol=FLOAT64)


@pytest.mark.claims("prop-frozen", "eq-merged-variance")
@pytest.mark.parametrize("proportional", [True, False])
def test_the_part_within_groups_is_frozen_under_any_values(proportional):
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.arange(9), rng.integers(0, 9, 191)])
    tokens, value = rng.standard_normal((200, 4)), rng.standard_normal((4, 4))
    before = merging.covariance_split(tokens, groups).within
    for _ in range(5):
        output = merging.merged_attention(
            tokens, groups, bilinear=0.1 * np.eye(4), proportional=proportional
        )
        tokens = tokens + 0.1 * output @ value.T
    after = merging.covariance_split(tokens, groups).within
    np.testing.assert_allclose(after, before, atol=FLOAT64)


@pytest.mark.claims("prop-frozen", "eq-merged-variance", "eq-effective-coefficient")
def test_two_thousand_merged_tokens_follow_the_law_and_unmerged_ones_do_not():
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(400), 5)
    tokens = rng.standard_normal((400, 3))[groups] + 0.4 * rng.standard_normal((2000, 3))
    start = merging.covariance_split(tokens, groups)
    values, axes = np.linalg.eigh(start.between)
    for _ in range(200):
        tokens = tokens - 0.1 * merging.merged_attention(
            tokens, groups, bilinear=0.6 * np.eye(3), proportional=True
        )
    end = merging.covariance_split(tokens, groups)
    law = merging.merged_variance(values, np.zeros(3), rate=0.6, depth_time=20)
    np.testing.assert_allclose(np.diag(axes.T @ end.between @ axes), law, rtol=MERGED_PARTICLES)
    assert np.trace(end.between + end.within) > np.trace(start.within)
    assert 0.5 < merging.effective_coefficient(start) < 1


@pytest.mark.claims("prop-weight", "eq-bias")
def test_a_weight_on_the_others_is_a_bias_in_attention_itself():
    weighted = frames.match_attention(64, matches=4, score_gap=2.0, other_weight=0.1)
    biased = frames.match_attention(64, matches=4, score_gap=2.0 + math.log(10))
    np.testing.assert_allclose(weighted, biased, atol=FLOAT64)


@pytest.mark.claims("prop-weight")
def test_the_same_spread_comes_later():
    before = frames.collapse_exponent(100, frames.dilution_frames(16, 4, 3.0))
    merged = frames.dilution_frames(16, 4, 3.0, other_weight=0.1)
    after = frames.collapse_exponent(100, merged)
    assert merged / frames.dilution_frames(16, 4, 3.0) == pytest.approx(10.47, abs=quoted(2))
    plain, weighted = (
        CollapseSurface((0.5, 0.3), diluted, 0.25)
        for diluted in (frames.dilution_frames(16, 4, 3.0), merged)
    )
    later = (50.0 ** (before / after) - 1) / 0.25
    assert weighted.spread(later, 100) == pytest.approx(plain.spread(49 / 0.25, 100), rel=FLOAT64)
    assert later > 2 * 49 / 0.25


@pytest.mark.claims("eq-block-flops")
def test_attention_overtakes_the_rest_at_six_widths():
    shape = cost.BlockShape()
    whole = cost.block_cost(shape, 6144).flops
    assert whole == 24 * 6144 * 1024**2 + 4 * 6144**2 * 1024
    assert 2 * cost.attention_cost(shape, queries=6144, keys=6144).flops == whole


# Exercises


@pytest.mark.claims("exercise-half")
def test_exercise_half():
    assert frames.collapse_exponent(3 * 76, 76) == 0.75
    surface = CollapseSurface((0.0,), 76, 0.25)
    layers = brentq(lambda depth: surface.spread(depth, 3 * 76) - 0.1, 1, 1000)
    assert layers == pytest.approx(82, abs=quoted(0))
    assert frames.relative_deviation(0.0, 36, step=0.25) == pytest.approx(0.1, rel=FLOAT64)


@pytest.mark.claims("exercise-constant-share")
def test_exercise_constant_share():
    for gap in (1.0, 9.0):
        bias = math.log(8 + (1 - 8) * math.exp(-gap))
        before = frames.second_eigenvalue(10, frames.dilution_frames(16, 4, gap))
        after = frames.second_eigenvalue(80, frames.dilution_frames(16, 4, gap + bias))
        assert after == pytest.approx(before, rel=FLOAT64)
    assert bias == pytest.approx(math.log(8), rel=LARGE_GAP_LIMIT)


@pytest.mark.claims("exercise-negative")
def test_exercise_negative():
    layers = np.arange(20_000)
    product = np.cumprod((1 + 0.25 * (layers - 0.5)) / (1 + 0.25 * (layers + 1)))
    times = 1 + 0.25 * (layers + 1)
    assert (product <= times**-1.5).all()
    slope = np.polyfit(np.log(times[200:]), np.log(product[200:]), 1)[0]
    assert slope == pytest.approx(-1.5, abs=FITTED_SLOPE)


@pytest.mark.claims("exercise-gap")
def test_exercise_gap():
    half = brentq(lambda b: long_context.equiangular_eigenvalue(0.9, 1000, b) - 0.5, 1, 700)
    assert half == pytest.approx(69.1, abs=quoted(1))
    critical = long_context.equiangular_eigenvalue(0.9, 1000, 10 * math.log(1000))
    assert critical == pytest.approx(999 / 1999, rel=FLOAT64)


@pytest.mark.claims("exercise-cost")
def test_exercise_cost():
    shape = cost.BlockShape()
    attention = cost.attention_cost(shape, queries=55296, keys=55296).flops
    assert attention == pytest.approx(0.9 * cost.block_cost(shape, 55296).flops, rel=FLOAT64)
    count = 55296 / 1041
    assert count == pytest.approx(53, abs=quoted(0))

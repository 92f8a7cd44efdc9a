"""The numbered statements, verdicts and exercises of *The phenomenon*."""

import numpy as np
import pytest
import sympy
import torch

from attention_collapse import records
from attention_collapse.experiments import landmark_flow, random_weights
from attention_collapse.measure import attention_maps, spectrum
from attention_collapse.theory import frames as frame_dilution
from attention_collapse.theory import spectrum as closed_form
from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.theory.softmax import attention_matrix
from tolerances import (
    FITTED_SLOPE,
    FLOAT64,
    GAUSSIAN_HEAD,
    LANDMARK_FLOW,
    LANDMARK_SPECTRUM,
    RECORDED_SLOPE,
    SINK_ENTROPY,
    SMALL_LAYER_SCALE,
    beside_match,
    quoted,
)


def random_attention(tokens, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(tokens, tokens, generator=generator, dtype=torch.float64)
    return scores.softmax(dim=-1)


# Proposition: rank one means equal rows


def test_the_first_singular_value_of_attention_is_at_least_one():
    for seed in range(20):
        assert spectrum.singular_values(random_attention(7, seed))[0] >= 1 - FLOAT64


def test_equal_rows_give_rank_one_with_the_stated_singular_value():
    row = random_attention(9)[0]
    values = spectrum.singular_values(row.expand(9, 9))
    assert values[0] == pytest.approx(float(9**0.5 * row.norm()), rel=FLOAT64)
    assert values[1] < FLOAT64


def test_a_rank_one_matrix_with_unit_row_sums_has_equal_rows():
    """Any u v^T, its rows scaled to sum to one as attention's do."""
    generator = torch.Generator().manual_seed(2)
    left, right = torch.rand(2, 6, generator=generator, dtype=torch.float64)
    matrix = torch.outer(left, right)
    attention = matrix / matrix.sum(dim=-1, keepdim=True)
    assert spectrum.singular_ratio(spectrum.singular_values(attention)) < FLOAT64
    assert (attention - attention[0]).abs().max() < FLOAT64


# Remark: the two collapses differ


def test_a_sink_gives_rank_one_attention_to_tokens_that_stay_apart():
    attention = torch.zeros(5, 5, dtype=torch.float64)
    attention[:, 0] = 1
    tokens = torch.eye(5, dtype=torch.float64)
    assert spectrum.stable_rank(spectrum.singular_values(attention)) == pytest.approx(
        1, rel=FLOAT64
    )
    after = tokens + attention @ tokens
    distance = (after[1:] - after[1:].roll(1, dims=0)).norm(dim=-1)
    assert distance.min() == pytest.approx(2**0.5), "the layer left the tokens as far apart"


# Proposition: attention has a limit in the number of tokens


def test_attention_output_tends_to_its_limit_like_one_over_root_n():
    """Uniform tokens in [-1, 1], score x y with x = 2: the limit is coth 2 - 1/2."""
    rng = np.random.default_rng(0)
    counts = np.array([2**k for k in range(6, 15)])
    errors = []
    for count in counts:
        y = rng.uniform(-1, 1, (400, count))
        weights = np.exp(2 * y)
        output = (weights * y).sum(axis=1) / weights.sum(axis=1)
        errors.append(np.sqrt(np.mean((output - (1 / np.tanh(2) - 0.5)) ** 2)))
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=FITTED_SLOPE)


def test_attention_output_has_its_limit_for_gaussian_tokens_too():
    """No bounded support: tokens N(0, 1), score x y with x = 1, and the limit is 1."""
    rng = np.random.default_rng(1)
    counts = np.array([2**k for k in range(6, 15)])
    errors = []
    for count in counts:
        y = rng.standard_normal((400, count))
        weights = np.exp(y)
        output = (weights * y).sum(axis=1) / weights.sum(axis=1)
        errors.append(np.sqrt(np.mean((output - 1) ** 2)))
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=FITTED_SLOPE)


# Theorem: Mehler spectrum


@pytest.fixture(scope="module")
def gaussian_head():
    """Gaussian queries and keys with unequal covariances, 4000 of each."""
    generator = torch.Generator().manual_seed(1)
    query, key = torch.randn(2, 4000, 4, generator=generator, dtype=torch.float64)
    mixing = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    query = query * torch.tensor([1.0, 0.8, 0.6, 0.5])
    key = (key * torch.tensor([0.8, 0.7, 0.5, 0.4])) @ mixing + 0.1
    sharpness = attention_maps.head_sharpness(query, key).numpy()
    return sharpness, attention_maps.attention_weights(query, key)


def test_the_mehler_spectrum_is_that_of_a_gaussian_head(gaussian_head):
    sharpness, attention = gaussian_head
    measured = torch.linalg.svdvals(attention)
    ratios = closed_form.decay_ratio(sharpness)
    ratio, rank = spectrum.singular_ratio(measured), spectrum.stable_rank(measured)
    assert ratio == pytest.approx(ratios.max(), rel=GAUSSIAN_HEAD)
    assert rank - 1 == pytest.approx(np.prod(1 / (1 - ratios**2)) - 1, rel=GAUSSIAN_HEAD)
    products = closed_form.singular_values(sharpness, 5)
    np.testing.assert_allclose(
        measured[:5] / measured[0], products / products[0], rtol=GAUSSIAN_HEAD
    )


def test_the_entropy_deficit_of_a_gaussian_head_is_half_its_score_variance(gaussian_head):
    sharpness, attention = gaussian_head
    deficit = np.log(4000) - attention_maps.row_entropy(attention).mean()
    assert deficit == pytest.approx((sharpness**2).sum() / 2, rel=GAUSSIAN_HEAD)


def test_the_decay_ratio_is_the_root_that_mehler_gives():
    """The chapter's form against q / (1 + q^2) = a / sqrt(1 + 2 a^2)."""
    a = sympy.symbols("a", positive=True)
    q = 2 * a / (sympy.sqrt(1 + 2 * a**2) + sympy.sqrt(1 - 2 * a**2))
    difference = q / (1 + q**2) - a / sympy.sqrt(1 + 2 * a**2)
    for value in (sympy.Rational(1, 10), sympy.Rational(1, 2), sympy.Rational(7, 10)):
        assert abs(difference.subs(a, value).evalf(30)) < 1e-25


# Theorem: landmark flow


def test_the_law_solves_its_differential_equation():
    t, a, p = sympy.symbols("t a p", positive=True)
    f = t ** (-2 * p)
    u = f / (1 - a + a * f)
    assert sympy.simplify(t * sympy.diff(u, t) + 2 * p * (1 - a * u) * u) == 0
    assert sympy.simplify(u.subs(t, 1)) == 1


def test_attention_by_content_has_the_mehler_spectrum_of_the_law():
    config = landmark_flow.Config(landmarks=2048)
    surface = CollapseSurface(config.initial_sharpness, config.dilution_frames, config.step)
    flow = landmark_flow.LandmarkFlow(config, 64)
    for _ in range(24):
        flow.advance()
    measured = landmark_flow.rank_statistics(flow.attention())["singular_values"][:5]
    variance = flow.tokens[:, 1:].var(dim=0) / flow.tokens[:, 0].mean() ** 2
    followed = variance.numpy() / config.deviation**2 * np.array(config.initial_sharpness)
    products = closed_form.singular_values(followed, 5)
    np.testing.assert_allclose(measured, products / products[0], rtol=GAUSSIAN_HEAD)
    np.testing.assert_allclose(
        measured, surface.rank_profile(24, 64).singular_values[:5], rtol=LANDMARK_SPECTRUM
    )


@pytest.mark.parametrize("frames", [8, 64, 512])
def test_softmax_attention_follows_the_law(frames):
    config = landmark_flow.Config(frames=(frames,), depth=48, landmarks=384)
    surface = CollapseSurface(config.initial_sharpness, config.dilution_frames, config.step)
    measured = landmark_flow.run(config, device="cpu").arrays["spread"][0]
    predicted = [surface.spread(layer, frames) for layer in range(49)]
    np.testing.assert_allclose(measured, predicted, rtol=LANDMARK_FLOW)


def test_the_law_of_softmax_attention_becomes_exact_for_small_steps_and_clouds():
    """The error falls in proportion to the step, so what the law leaves out is of first order."""
    errors = []
    for step in (0.4, 0.2, 0.1):
        config = landmark_flow.Config(
            frames=(64,), depth=round(4 / step), step=step, landmarks=2048, deviation=1e-3,
            initial_sharpness=(0.1, 0.1),
        )  # fmt: skip
        surface = CollapseSurface(config.initial_sharpness, 64.0, step)
        flow = landmark_flow.LandmarkFlow(config, 64)
        for _ in range(config.depth):
            flow.advance()
        errors.append(abs(flow.spread() / surface.spread(config.depth, 64) - 1))
    slope = np.polyfit(np.log([0.4, 0.2, 0.1]), np.log(errors), 1)[0]
    assert slope == pytest.approx(1, abs=FITTED_SLOPE)


@pytest.mark.parametrize("turned", [False, True])
def test_the_law_needs_scores_that_add_up_along_the_axes_of_the_cloud(turned):
    """Content alone, p = 1: with keys turned by a right angle a sharp cloud falls like 1/t."""
    step, deviation, sharp = 0.05, 1e-3, 0.5
    z = np.random.default_rng(0).standard_normal((600, 2))
    z = np.linalg.qr(z - z.mean(axis=0)).Q * 600**0.5
    form = sharp * (np.array([[0, 1], [-1, 0]]) if turned else np.eye(2)) / deviation**2
    tokens = np.column_stack([np.ones(600), deviation * z])
    for _ in range(60):
        directions = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
        content = directions[:, 1:]
        tokens = tokens + step * attention_matrix(content, bilinear=form) @ directions
    directions = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    relative = directions[:, 1:].std(axis=0).mean() / deviation
    law = CollapseSurface((sharp, sharp), 1e-9, step).spread(60, 1)
    assert (relative == pytest.approx(law, rel=LANDMARK_FLOW)) != turned
    if turned:
        assert relative == pytest.approx(1 / 4, rel=LANDMARK_FLOW)


@pytest.mark.parametrize("frames", [1, 64, 4096])
def test_spread_falls_like_a_power_of_depth(frames):
    surface = CollapseSurface((0.5, 0.3), 64.0, 0.25)
    depths = np.geomspace(1e5, 1e7, 9).astype(int)
    spreads = [surface.spread(int(depth), frames) for depth in depths]
    slope = np.polyfit(np.log(depths), np.log(spreads), 1)[0]
    assert slope == pytest.approx(-frames / (frames + 64), abs=FITTED_SLOPE)


# Verdict: what the records say


@pytest.fixture(scope="module")
def recorded():
    names = ("without_positions", "with_positions", "initial_scale")
    return {name: records.find("random_weights", name).arrays for name in names}


def layer_means(arrays, quantity):
    values = arrays[quantity]
    return values.mean(axis=-1) if values.ndim == 3 else values


def test_without_positions_attention_becomes_near_rank_one_with_depth(recorded):
    ratio = layer_means(recorded["without_positions"], "singular_ratio")
    assert (ratio[:, -1] < 0.3 * ratio[:, 0]).all()
    assert (layer_means(recorded["without_positions"], "stable_rank")[:, -1] < 1.05).all()


def test_positions_hold_the_rank_up_while_tokens_still_run_together(recorded):
    plain, rotary = recorded["without_positions"], recorded["with_positions"]
    ratio = layer_means(rotary, "singular_ratio")
    assert (ratio[:, 3:] > 2 * layer_means(plain, "singular_ratio")[:, -1:]).all()
    assert (rotary["spread"][:, -1] < 0.5 * rotary["spread"][:, 0]).all()


def test_the_singular_ratio_falls_like_the_square_of_the_spread(recorded):
    plain = recorded["without_positions"]
    layers = np.log(np.arange(5, 25))
    row = list(plain["frames"]).index(16)
    spreads = np.log(plain["spread"][row, 4:])
    ratios = np.log(layer_means(plain, "singular_ratio")[row, 4:])
    spread_slope, ratio_slope = (np.polyfit(layers, y, 1)[0] for y in (spreads, ratios))
    assert ratio_slope == pytest.approx(2 * spread_slope, abs=RECORDED_SLOPE)
    assert -0.5 < spread_slope < -0.2


def test_a_small_layer_scale_stops_the_clock(recorded):
    initial = recorded["initial_scale"]
    np.testing.assert_allclose(
        initial["spread"][:, -1], initial["spread"][:, 0], rtol=SMALL_LAYER_SCALE
    )


def test_the_number_of_frames_hardly_changes_the_rank(recorded):
    """Sixty-four times the frames change it by less than a tenth of what depth does."""
    ratio = layer_means(recorded["without_positions"], "singular_ratio")
    by_frames = ratio[:, -1].max() / ratio[:, -1].min() - 1
    by_depth = ratio[:, 0].min() / ratio[:, -1].max() - 1
    assert by_frames < 0.1 * by_depth


def test_from_eight_frames_on_no_drawn_line_moves_by_more_than_a_fifth(recorded):
    plain = recorded["without_positions"]
    rows = plain["frames"] >= 8
    for name in ("singular_ratio", "stable_rank", "entropy_deficit"):
        lines = layer_means(plain, name)[rows][:, [0, 1, 3, 7, 23]]
        assert (lines.max(axis=0) < 1.2 * lines.min(axis=0)).all(), name


def test_with_positions_the_ratio_has_no_trend_after_the_third_layer(recorded):
    """At 16 frames the line fitted through layers 4 to 24 falls by less than the scatter."""
    rotary = recorded["with_positions"]
    ratio = layer_means(rotary, "singular_ratio")[list(rotary["frames"]).index(16), 3:]
    layers = np.arange(len(ratio))
    slope, start = np.polyfit(layers, ratio, 1)
    scatter = (ratio - start - slope * layers).std()
    assert abs(slope) * layers[-1] < 2 * scatter


def test_the_token_cloud_is_not_one_dimensional_about_its_mean(recorded):
    for arrays in recorded.values():
        assert (arrays["participation_ratio"] > 4).all()


def test_the_closed_form_covers_the_heads_it_is_said_to_predict(recorded):
    plain = recorded["without_positions"]
    assert np.isfinite(plain["predicted_stable_rank"]).all()
    for name, floor in {"entropy_deficit": 0, "singular_ratio": 0, "stable_rank": 1}.items():
        error = (plain[f"predicted_{name}"] - floor) / (plain[name] - floor) - 1
        assert np.median(np.abs(error)) < 0.05, name


def test_the_closed_form_overestimates_the_stable_rank_of_the_first_layers(recorded):
    plain = recorded["without_positions"]
    excess = plain["predicted_stable_rank"] - plain["stable_rank"]
    assert (excess[:, 0] > 0).all()


def test_the_cloud_becomes_rounder_but_lies_along_its_mean(recorded):
    plain = recorded["without_positions"]
    row = list(plain["frames"]).index(16)
    ratio = plain["participation_ratio"][row]
    assert ratio[-1] > 1.3 * ratio[0]
    assert 1 / (1 + plain["spread"][row, -1] ** 2) > 0.9
    few = plain["participation_ratio"][plain["frames"] <= 2]
    assert (np.abs(np.log(few[:, -1] / few[:, 0])) < np.log(1.15)).all()


# Exercises


def test_exercise_sink():
    attention = torch.full((8, 8), 0.3 / 8, dtype=torch.float64)
    attention[:, 0] += 0.7
    values = spectrum.singular_values(attention)
    assert spectrum.singular_ratio(values) < FLOAT64
    assert spectrum.stable_rank(values) == pytest.approx(1, rel=FLOAT64)


def test_exercise_sink_entropy():
    share, tokens = 1e-4, 10**5
    rest = np.full(tokens - 1, share / tokens)
    row = torch.tensor([[1 - rest.sum(), *rest]], dtype=torch.float64)
    entropy = float(attention_maps.row_entropy(row))
    assert entropy == pytest.approx(share * np.log(tokens / share) + share, rel=SINK_ENTROPY)


def test_exercise_frames():
    assert frame_dilution.collapse_exponent(450, 50) == pytest.approx(0.9, rel=FLOAT64)
    assert frame_dilution.collapse_exponent(449, 50) < 0.9


def test_exercise_merging():
    before = frame_dilution.dilution_frames(16, 4, 8.0)
    after = frame_dilution.dilution_frames(16, 4, 8.0, other_weight=0.1)
    assert after == pytest.approx(before / 0.1, rel=beside_match(8.0))
    slow = frame_dilution.collapse_exponent(100, after)
    fast = frame_dilution.collapse_exponent(100, before)
    assert slow < fast
    plain, merged = (CollapseSurface((0.5, 0.3), diluted, 0.25) for diluted in (before, after))
    later = (50.0 ** (fast / slow) - 1) / 0.25
    assert later > 49 / 0.25
    assert merged.spread(later, 100) == pytest.approx(plain.spread(49 / 0.25, 100), rel=FLOAT64)


def test_exercise_positions():
    last = {}
    changes = {"default": {}, "positions off": {"rotary": False}, "small": {"layer_scale": 0.01}}
    for name, change in changes.items():
        config = random_weights.Config(frames=(8,), **change)
        arrays = random_weights.run(config, device="cpu").arrays
        last[name] = arrays["singular_ratio"][0, -1].mean()
    assert last["positions off"] < 0.1 < last["default"] < 0.3 < last["small"]
    assert last["default"] == pytest.approx(0.2, abs=quoted(1))
    assert last["small"] == pytest.approx(0.5, abs=quoted(1))

"""The numbered statements, verdicts and exercises of *The phenomenon*."""

import numpy as np
import pytest
import sympy
import torch

from attention_collapse import records
from attention_collapse.experiments import landmark_flow, random_weights
from attention_collapse.measure import attention_maps, spectrum, spread
from attention_collapse.theory import frames as frame_dilution
from attention_collapse.theory import spectrum as closed_form
from attention_collapse.theory.collapse_surface import CollapseSurface
from tolerances import FLOAT64, LANDMARK_FLOW


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


def test_rank_one_attention_has_equal_rows():
    """The best rank-one part of unequal rows is no attention matrix; that of equal rows is."""
    attention = random_attention(6)
    left, values, right = torch.linalg.svd(attention)
    rank_one = values[0] * torch.outer(left[:, 0], right[0])
    assert (rank_one.sum(dim=-1) - 1).abs().max() > 1e-3
    equal = torch.outer(torch.ones(6, dtype=torch.float64), attention.mean(dim=0))
    assert spectrum.singular_ratio(spectrum.singular_values(equal)) < FLOAT64


# Remark: the two collapses differ


def test_a_sink_gives_rank_one_attention_to_tokens_that_stay_apart():
    attention = torch.zeros(5, 5, dtype=torch.float64)
    attention[:, 0] = 1
    tokens = torch.eye(5, dtype=torch.float64)
    assert spectrum.stable_rank(spectrum.singular_values(attention)) == pytest.approx(1)
    assert spread.mean_cosine(tokens) == pytest.approx(0, abs=FLOAT64)


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
    assert slope == pytest.approx(-0.5, abs=0.05)


# Theorem: Mehler spectrum


def test_sharpness_of_a_head_is_what_the_closed_form_takes():
    """Gaussian queries and keys with unequal covariances: measured spectrum against products."""
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(4000, 4, generator=generator, dtype=torch.float64)
    query = query * torch.tensor([1.0, 0.8, 0.6, 0.5])
    key = torch.randn(4000, 4, generator=generator, dtype=torch.float64)
    mixing = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    key = (key * torch.tensor([0.8, 0.7, 0.5, 0.4])) @ mixing
    sharpness = attention_maps.head_sharpness(query, key).numpy()
    attention = attention_maps.attention_weights(query, key)
    measured = torch.linalg.svdvals(attention)[:6].numpy()
    predicted = closed_form.singular_values(sharpness, 6)
    np.testing.assert_allclose(measured, predicted, atol=4 / 4000**0.5)


# Theorem: landmark flow


def test_the_law_solves_its_differential_equation():
    t, a, p = sympy.symbols("t a p", positive=True)
    f = t ** (-2 * p)
    u = f / (1 - a + a * f)
    assert sympy.simplify(t * sympy.diff(u, t) + 2 * p * (1 - a * u) * u) == 0
    assert sympy.simplify(u.subs(t, 1)) == 1


@pytest.mark.parametrize("frames", [8, 64, 512])
def test_softmax_attention_follows_the_law(frames):
    config = landmark_flow.Config(frames=(frames,), depth=48, landmarks=512)
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
    assert slope == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("frames", [1, 64, 4096])
def test_spread_falls_like_a_power_of_depth(frames):
    surface = CollapseSurface((0.5, 0.3), 64.0, 0.25)
    depths = np.geomspace(1e5, 1e7, 9).astype(int)
    spreads = [surface.spread(int(depth), frames) for depth in depths]
    slope = np.polyfit(np.log(depths), np.log(spreads), 1)[0]
    assert slope == pytest.approx(-frames / (frames + 64), abs=0.01)


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
    ratio = layer_means(rotary, "singular_ratio")[:, -1]
    assert (ratio > 2 * layer_means(plain, "singular_ratio")[:, -1]).all()
    assert (rotary["spread"][:, -1] < 0.5 * rotary["spread"][:, 0]).all()


def test_the_singular_ratio_falls_like_the_square_of_the_spread(recorded):
    plain = recorded["without_positions"]
    layers = np.log(np.arange(5, 25))
    row = list(plain["frames"]).index(16)
    spreads = np.log(plain["spread"][row, 4:])
    ratios = np.log(layer_means(plain, "singular_ratio")[row, 4:])
    spread_slope, ratio_slope = (np.polyfit(layers, y, 1)[0] for y in (spreads, ratios))
    assert ratio_slope == pytest.approx(2 * spread_slope, rel=0.15)
    assert -0.5 < spread_slope < -0.2


def test_a_small_layer_scale_stops_the_clock(recorded):
    initial = recorded["initial_scale"]
    np.testing.assert_allclose(initial["spread"][:, -1], initial["spread"][:, 0], rtol=0.05)


def test_the_number_of_frames_hardly_changes_the_rank(recorded):
    last = layer_means(recorded["without_positions"], "singular_ratio")[:, -1]
    assert last.max() / last.min() < 1.5


def test_the_token_cloud_does_not_become_one_dimensional(recorded):
    for arrays in recorded.values():
        assert (arrays["participation_ratio"] > 4).all()


def test_the_closed_form_covers_the_heads_it_is_said_to_predict(recorded):
    plain = recorded["without_positions"]
    for name in ("entropy_deficit", "singular_ratio", "stable_rank"):
        error = np.abs(plain[f"predicted_{name}"] / plain[name] - 1)
        assert np.nanmedian(error) < 0.15, name


# Exercises


def test_exercise_sink():
    attention = torch.full((8, 8), 0.3 / 8, dtype=torch.float64)
    attention[:, 0] += 0.7
    values = spectrum.singular_values(attention)
    assert spectrum.singular_ratio(values) < FLOAT64
    assert spectrum.stable_rank(values) == pytest.approx(1)


def test_exercise_frames():
    assert frame_dilution.collapse_exponent(450, 50) == pytest.approx(0.9)
    assert frame_dilution.collapse_exponent(449, 50) < 0.9


def test_exercise_merging():
    before = frame_dilution.dilution_frames(16, 4, 8.0)
    after = frame_dilution.dilution_frames(16, 4, 8.0, other_weight=0.1)
    assert after == pytest.approx(before / 0.1, rel=1e-3)
    slow = frame_dilution.collapse_exponent(100, after)
    fast = frame_dilution.collapse_exponent(100, before)
    assert slow < fast
    assert (50.0 ** (fast / slow)) ** slow == pytest.approx(50.0**fast)


def test_exercise_positions():
    last = {}
    changes = {"positions off": {"rotary": False}, "small": {"layer_scale": 0.01}}
    for name, change in changes.items():
        config = random_weights.Config(frames=(8,), **change)
        arrays = random_weights.run(config, device="cpu").arrays
        last[name] = arrays["singular_ratio"][0, -1].mean()
    assert last["positions off"] < 0.1
    assert last["small"] == pytest.approx(0.45, abs=0.1)

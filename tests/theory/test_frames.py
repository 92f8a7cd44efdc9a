import math

import mpmath
import numpy as np
import pytest

from attention_collapse.theory.frames import (
    collapse_exponent,
    dilution_frames,
    match_attention,
    match_mass,
    relative_deviation,
    second_eigenvalue,
)
from tolerances import FLOAT64, POCHHAMMER, PRE_NORM_SLOPE, SMALL_EXCESS, quoted, sampling

MATCHES, PER_FRAME, GAP = 16, 4, 3.0


def block_attention(frames, *, other_weight=1.0):
    """Attention where every token has MATCHES matches, itself included, GAP above the others."""
    group = np.arange(frames * PER_FRAME) // MATCHES
    weights = np.where(group[:, None] == group, math.exp(GAP), other_weight)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("frames", [8, 32, 128])
@pytest.mark.parametrize("other_weight", [1.0, 0.1])
def test_second_eigenvalue_is_that_of_block_attention(frames, other_weight):
    attention = block_attention(frames, other_weight=other_weight)
    diluted = dilution_frames(MATCHES, PER_FRAME, GAP, other_weight=other_weight)
    measured = np.linalg.eigvalsh(attention)[-2]
    assert second_eigenvalue(frames, diluted) == pytest.approx(measured, abs=FLOAT64)


@pytest.mark.parametrize("frames", [8, 32, 128])
def test_pre_norm_flow_decays_with_the_collapse_exponent(frames):
    attention, width, growth = block_attention(frames), 16, 0.02
    generator = np.random.default_rng(0)
    landmarks = generator.standard_normal((frames * PER_FRAME // MATCHES, width))
    tokens = generator.standard_normal(width) + 0.02 * np.repeat(landmarks, MATCHES, axis=0)
    times, deviations = [1.0], []
    for _ in range(400):
        normalised = tokens - tokens.mean(1, keepdims=True)
        normalised /= normalised.std(1, keepdims=True)
        deviations.append(np.linalg.norm(normalised - normalised.mean(0)))
        tokens = tokens + growth * times[-1] * attention @ normalised
        times.append(times[-1] * (1.0 + growth))
    slope = np.polyfit(np.log(times[200:400]), np.log(deviations[200:]), 1)[0]
    diluted = dilution_frames(MATCHES, PER_FRAME, GAP)
    assert slope == pytest.approx(-collapse_exponent(frames, diluted), abs=PRE_NORM_SLOPE)


def test_numbers_of_the_collapse_surface():
    diluted = dilution_frames(MATCHES, PER_FRAME, GAP)
    assert diluted == pytest.approx(76.3, abs=quoted(1))
    exponents = collapse_exponent(np.array([8, 32, 128, 512, 2048]), diluted)
    np.testing.assert_allclose(exponents, [0.095, 0.295, 0.626, 0.870, 0.964], atol=quoted(3))


def test_weight_on_the_others_is_a_bias_on_the_matches():
    factor = 0.1
    weighted = dilution_frames(MATCHES, PER_FRAME, GAP, other_weight=factor)
    biased = dilution_frames(MATCHES, PER_FRAME, GAP + math.log(1 / factor))
    assert weighted == pytest.approx(biased, rel=FLOAT64)


def test_weight_on_the_others_divides_them_out_for_sharp_matches():
    """The ratio to S_* / f is 1 + (1 - f) / (e^s - 1)."""
    factor = 0.1
    for gap in (3.0, 6.0, 12.0):
        weighted = dilution_frames(MATCHES, PER_FRAME, gap, other_weight=factor)
        divided = dilution_frames(MATCHES, PER_FRAME, gap) / factor
        excess = (1 - factor) / math.expm1(gap)
        assert weighted / divided - 1 == pytest.approx(excess, rel=SMALL_EXCESS)


def test_match_mass_is_the_softmax_mass_on_the_matches():
    others, matches, score, variance = 20_000, 4, 6.0, 1.0
    generator = np.random.default_rng(0)
    weights = np.exp(generator.standard_normal(others) * math.sqrt(variance))
    measured = matches * math.exp(score) / (matches * math.exp(score) + weights.sum())
    mass = match_mass(others, matches=matches, match_score=score, score_variance=variance)
    assert mass == pytest.approx(measured, rel=2 * sampling(others))


@pytest.mark.parametrize("frames", [8, 32, 128])
def test_matches_hold_the_second_eigenvalue_and_their_part_of_the_rest(frames):
    held = block_attention(frames)[0, :MATCHES].sum()
    eigenvalue = second_eigenvalue(frames, dilution_frames(MATCHES, PER_FRAME, GAP))
    uniform = MATCHES / (frames * PER_FRAME)
    assert eigenvalue + (1 - eigenvalue) * uniform == pytest.approx(held, rel=FLOAT64)


def test_match_mass_beyond_chance_is_the_second_eigenvalue():
    frames = 32
    tokens = frames * PER_FRAME
    mass = match_mass(tokens - MATCHES, matches=MATCHES, match_score=GAP, score_variance=0.0)
    chance = MATCHES / tokens
    diluted = dilution_frames(MATCHES, PER_FRAME, GAP)
    expected = second_eigenvalue(frames, diluted)
    assert (mass - chance) / (1 - chance) == pytest.approx(expected, rel=FLOAT64)


@pytest.mark.parametrize("function", [second_eigenvalue, collapse_exponent])
@pytest.mark.parametrize("frames", [0, -3.0, math.nan, np.array([4.0, 0.5])])
def test_refuses_less_than_one_frame(function, frames):
    with pytest.raises(ValueError, match="frames must be finite and at least 1; got .*: a sequ"):
        function(frames, 64.0)


@pytest.mark.parametrize("function", [second_eigenvalue, collapse_exponent])
def test_refuses_dilution_that_is_not_positive(function):
    with pytest.raises(ValueError, match="dilution_frames must be finite and positive; got 0"):
        function(8, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 3.0), "matches must be finite and positive; got 0: a query matches"),
        ((16, 0, 3.0), "tokens_per_frame must be finite and positive; got 0: count"),
        ((16, 4, 0.0), r"score_gap - ln\(other_weight\) must .* got 0.0: a match must outscore"),
        ((16, 4, 1000.0), r"score_gap - ln\(other_weight\) must be at most 700, .* got 1000.0: ta"),
        ((16, 4, math.nan), r"score_gap - ln\(other_weight\) must .* got nan"),
    ],
)
def test_refuses_matches_without_dilution(arguments, message):
    with pytest.raises(ValueError, match=message):
        dilution_frames(*arguments)


def test_refuses_a_weight_that_is_not_positive():
    with pytest.raises(ValueError, match="other_weight must be finite and positive; got 0.0: 1"):
        dilution_frames(16, 4, 3.0, other_weight=0.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tokens", 0, "tokens must be finite and positive; got 0: count"),
        ("matches", -1, "matches must be finite and positive; got -1: a query needs"),
        ("match_score", math.inf, "match_score must be finite; got inf: pass"),
        ("score_variance", -1.0, "score_variance must be .*at least 0; got -1.0: a variance"),
    ],
)
def test_match_mass_refuses(name, value, message):
    arguments = {"tokens": 100, "matches": 4, "match_score": 2.0, "score_variance": 1.0}
    with pytest.raises(ValueError, match=message):
        match_mass(**(arguments | {name: value}))


@pytest.mark.parametrize("other_weight", [1, 0.1])
def test_match_attention_is_block_attention(other_weight):
    attention = match_attention(
        32 * PER_FRAME, matches=MATCHES, score_gap=GAP, other_weight=other_weight
    )
    expected = block_attention(32, other_weight=other_weight)
    np.testing.assert_allclose(attention, expected, rtol=FLOAT64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 0, 3.0, 1.0), "matches must be finite and at least 1; got 0: a token matches"),
        ((10, 4, 3.0, 1.0), "tokens must be a positive multiple of matches; got 10 and 4: every"),
        ((0, 4, 3.0, 1.0), "tokens must be a positive multiple of matches; got 0 and 4"),
        ((8, 4, math.inf, 1.0), "score_gap must be finite; got inf: pass the gap"),
        ((8, 4, 3.0, -1.0), "other_weight must be finite and positive; got -1.0"),
    ],
)
def test_match_attention_refuses(arguments, message):
    tokens, matches, gap, weight = arguments
    with pytest.raises(ValueError, match=message):
        match_attention(tokens, matches=matches, score_gap=gap, other_weight=weight)


@pytest.mark.parametrize("eigenvalue", [0, 0.2, 0.9, 1.0])
@pytest.mark.parametrize("step", [0.25, 2])
def test_relative_deviation_is_the_product_over_layers(eigenvalue, step):
    layers = np.arange(50)
    factors = (1 + step * (layers + eigenvalue)) / (1 + step * (layers + 1))
    assert relative_deviation(eigenvalue, 50, step=step) == pytest.approx(
        np.prod(factors), rel=FLOAT64
    )


@pytest.mark.parametrize("layers", [0, 24, 10**6])
@pytest.mark.parametrize("step", [1e-9, 1e-3, 0.25, 1e4])
@pytest.mark.parametrize("eigenvalue", [1e-12, 0.5, 1 - 1e-12])
def test_relative_deviation_at_extremes(eigenvalue, layers, step):
    with mpmath.workdps(60):
        value, start = mpmath.mpf(eigenvalue), 1 / mpmath.mpf(step)
        exact = mpmath.exp(
            mpmath.loggamma(layers + start + value)
            - mpmath.loggamma(layers + start + 1)
            + mpmath.loggamma(start + 1)
            - mpmath.loggamma(start + value)
        )
    assert relative_deviation(eigenvalue, layers, step=step) == pytest.approx(
        float(exact), rel=POCHHAMMER, abs=0
    )


def test_relative_deviation_takes_arrays():
    table = relative_deviation(np.array([0.0, 0.5]), np.array([1, 8]), step=0.25)
    single = [relative_deviation(0.0, 1, step=0.25), relative_deviation(0.5, 8, step=0.25)]
    np.testing.assert_allclose(table, single, rtol=FLOAT64)


@pytest.mark.parametrize(
    ("eigenvalue", "layers", "step", "message"),
    [
        (-0.1, 1, 0.25, r"eigenvalue must be in \[0, 1\]; got -0.1: the bounds"),
        (1.1, 1, 0.25, r"eigenvalue must be in \[0, 1\]; got 1.1: the bounds"),
        (0.5, -1, 0.25, "layers must be finite and at least 0; got -1: count"),
        (0.5, 1, 0, "step must be finite and positive; got 0: a layer must move"),
    ],
)
def test_relative_deviation_refuses(eigenvalue, layers, step, message):
    with pytest.raises(ValueError, match=message):
        relative_deviation(eigenvalue, layers, step=step)

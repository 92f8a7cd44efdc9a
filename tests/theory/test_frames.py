import math

import numpy as np
import pytest

from attention_collapse.theory.frames import (
    collapse_exponent,
    crossover_tokens,
    dilution_frames,
    entropy,
    match_mass,
    second_eigenvalue,
)
from tolerances import FLOAT64, PRE_NORM_SLOPE, SMALL_EXCESS, quoted, sampling

MATCHES, PER_FRAME, GAP = 16, 4, 3.0


def block_attention(frames, *, other_weight=1.0):
    """Attention where every token has MATCHES matches, itself included, GAP above the others."""
    group = np.arange(frames * PER_FRAME) // MATCHES
    weights = np.where(group[:, None] == group, math.exp(GAP), other_weight)
    return weights / weights.sum(1, keepdims=True)


def random_energy_entropy(tokens, score_variance, *, rows=1000):
    """Mean entropy of softmax rows over Gaussian scores, in nats."""
    scores = np.random.default_rng(tokens).standard_normal((rows, tokens))
    weights = np.exp(math.sqrt(score_variance) * scores)
    weights /= weights.sum(1, keepdims=True)
    return -(weights * np.log(weights)).sum(1).mean()


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


@pytest.mark.parametrize(
    ("tokens", "ratio", "measured"),
    [(256, 0.639, 0.679), (1024, 0.711, 0.721), (4096, 0.760, 0.760), (16384, 0.794, 0.794)],
)
def test_entropy_of_gaussian_scores(tokens, ratio, measured):
    variance = 4.0
    assert entropy(tokens, variance) / math.log(tokens) == pytest.approx(ratio, abs=quoted(3))
    sampled = random_energy_entropy(tokens, variance)
    assert sampled == pytest.approx(measured * math.log(tokens), abs=2 * sampling(1000))


def test_entropy_is_approached_from_above_past_the_crossover():
    variance = 4.0
    _, diffuse = crossover_tokens(variance)
    excess = [
        random_energy_entropy(tokens, variance) - entropy(tokens, variance)
        for tokens in (math.ceil(diffuse), 1024, 16384)
    ]
    assert 0.4 < excess[0] < 0.6
    assert excess[0] > excess[1] > excess[2]
    assert excess[2] == pytest.approx(0.0, abs=sampling(1000))


def test_few_tokens_with_sharp_scores_are_frozen():
    tokens, variance = 256, 9.0
    sampled = random_energy_entropy(tokens, variance)
    assert sampled == pytest.approx(0.459 * math.log(tokens), abs=2 * sampling(1000))
    assert math.log(tokens) - sampled < 0.7 * variance / 2
    with pytest.raises(ValueError, match=r"tokens must be.*exp\(score_variance\) = 8103.*got 256"):
        entropy(tokens, variance)


def test_crossover_tokens():
    assert crossover_tokens(4) == pytest.approx((math.exp(2), math.exp(4)), rel=FLOAT64)
    assert crossover_tokens(0.0) == (1.0, 1.0)


def test_crossover_refuses_a_number_of_tokens_beyond_float64():
    with pytest.raises(ValueError, match="score_variance must be at most 700, .* got 2000.0: take"):
        crossover_tokens(2000.0)


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

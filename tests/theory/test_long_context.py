import math

import numpy as np
import pytest
import sympy

from attention_collapse.theory.frames import dilution_frames, second_eigenvalue
from attention_collapse.theory.long_context import (
    crossover_tokens,
    entropy,
    equiangular_eigenvalue,
    limiting_cosine,
    logit_scale,
    output_cosine,
)
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.symbolic import depth_and_frames as symbolic
from attention_collapse.theory.symbols import cosine as cosine_symbol
from attention_collapse.theory.symbols import second_eigenvalue as eigenvalue_symbol
from attention_collapse.theory.symbols import temperature as temperature_symbol
from attention_collapse.theory.symbols import tokens as tokens_symbol
from tolerances import FLOAT64, quoted, sampling


def random_energy_entropy(tokens, score_variance, *, rows=1000):
    """Mean entropy of softmax rows over Gaussian scores, in nats."""
    scores = np.random.default_rng(tokens).standard_normal((rows, tokens))
    weights = np.exp(math.sqrt(score_variance) * scores)
    weights /= weights.sum(1, keepdims=True)
    return -(weights * np.log(weights)).sum(1).mean()


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


def equiangular_tokens(count, cosine):
    """Unit tokens in as many dimensions, every pair at the same cosine."""
    gram = (1 - cosine) * np.eye(count) + cosine
    return np.linalg.cholesky(gram)


@pytest.mark.parametrize("tokens", [2, 40, 1500])
@pytest.mark.parametrize("temperature", [0, 2.0, 30.0])
def test_one_layer_on_equiangular_tokens(tokens, temperature):
    before = equiangular_tokens(tokens, 0.3)
    after = attention_matrix(before, bilinear=float(temperature) * np.eye(tokens)) @ before
    expected = output_cosine(0.3, tokens, temperature)
    for first, second in ((0, 1), (0, tokens - 1), (tokens // 2, tokens // 2 - 1)):
        product = after[first] @ after[second]
        norms = np.linalg.norm(after[first]) * np.linalg.norm(after[second])
        assert product / norms == pytest.approx(expected, rel=FLOAT64)


@pytest.mark.parametrize("tokens", [2, 40, 300])
@pytest.mark.parametrize("temperature", [0.5, 2.0, 30.0])
def test_the_eigenvalue_is_that_of_attention_between_equiangular_tokens(tokens, temperature):
    points = equiangular_tokens(tokens, 0.3)
    attention = attention_matrix(points, bilinear=temperature * np.eye(tokens))
    measured = np.linalg.eigvals(attention).real
    measured.sort()
    expected = equiangular_eigenvalue(0.3, tokens, temperature)
    np.testing.assert_allclose(measured[:-1], expected, atol=FLOAT64)


def test_equiangular_tokens_are_diluted_with_one_match():
    """One token a frame, matched with itself."""
    gap = 2.0 * (1 - 0.3)
    diluted = second_eigenvalue(40, dilution_frames(1, 1, gap))
    assert equiangular_eigenvalue(0.3, 40, 2.0) == pytest.approx(diluted, rel=FLOAT64)


@pytest.mark.parametrize("cosine", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("tokens", [2, 1000, 10**9])
@pytest.mark.parametrize("temperature", [1e-9, 1.0, 5000.0])
def test_the_functions_are_the_expressions(cosine, tokens, temperature):
    """The difference of the symbolic forms is taken with 50 digits."""
    values = {
        cosine_symbol: sympy.Float(cosine, 60),
        tokens_symbol: tokens,
        temperature_symbol: sympy.Float(temperature, 60),
    }
    eigenvalue = symbolic.equiangular_eigenvalue.subs(values).evalf(50)
    found = equiangular_eigenvalue(cosine, tokens, temperature)
    assert found == pytest.approx(float(eigenvalue), rel=FLOAT64, abs=0)
    exact = symbolic.output_cosine.subs(values | {eigenvalue_symbol: eigenvalue}).evalf(50)
    assert output_cosine(cosine, tokens, temperature) == pytest.approx(float(exact), rel=FLOAT64)


@pytest.mark.parametrize(("growth", "limit"), [(0, 1.0), (1.0, 1.0), (4.0, 0.3)])
def test_the_cosine_tends_to_its_limit(growth, limit):
    """At N = 1e40, far beyond any input: the exponents are -0.6 and -3.6."""
    assert limiting_cosine(0.3, growth) == limit
    found = output_cosine(0.3, 1e40, growth * math.log(1e40))
    assert found == pytest.approx(limit, rel=FLOAT64)


def test_the_cosine_between_the_two_phases():
    growth = 1 / (1 - 0.3)
    limit = limiting_cosine(0.3, growth)
    assert limit == pytest.approx(1.2 / 1.9, rel=FLOAT64)
    assert output_cosine(0.3, 1e13, growth * math.log(1e13)) == pytest.approx(limit, rel=FLOAT64)


def test_logit_scale():
    assert logit_scale(1_041_000, 24 * 1041) == pytest.approx(1.37, abs=quoted(2))
    assert logit_scale(5, 5) == 1.0


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (logit_scale, (1, 5), "tokens must be finite and at least 2; got 1: one token"),
        (logit_scale, (5, 1), "trained_tokens must be finite and at least 2; got 1: ln 1"),
        (output_cosine, (0.0, 5, 1.0), r"cosine must be in \(0, 1\); got 0.0: tokens"),
        (output_cosine, (1.0, 5, 1.0), r"cosine must be in \(0, 1\); got 1.0: tokens must lie"),
        (output_cosine, (0.3, 1, 1.0), "tokens must be finite and at least 2; got 1: a cosine"),
        (output_cosine, (0.3, 5, -1.0), "temperature must be .* got -1.0: like tokens"),
        (limiting_cosine, (0.3, -1.0), "growth must be .* got -1.0: like tokens"),
        (limiting_cosine, (math.nan, 1.0), r"cosine must be in \(0, 1\); got nan"),
    ],
)
def test_refuses_what_has_no_transition(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)

import itertools
import math

import pytest
import torch

from attention_collapse.measure.spread import (
    covariance_eigenvalues,
    mean_cosine,
    participation_ratio,
)
from tolerances import BELOW_ONE, FLOAT64


def random_tokens(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5


def test_mean_cosine_is_the_mean_over_distinct_pairs():
    tokens = random_tokens(7, 4)
    pairs = itertools.combinations(tokens, 2)
    cosines = [torch.dot(x, y) / (x.norm() * y.norm()) for x, y in pairs]
    torch.testing.assert_close(mean_cosine(tokens), torch.stack(cosines).mean())


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([[2.0, 0.0], [0.0, 5.0]], 0.0),
        ([[2.0, 0.0], [-1.0, 0.0]], -1.0),
        ([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4]], 1.0),
        ([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], math.sqrt(2) / 3),
    ],
)
def test_mean_cosine_by_hand(tokens, expected):
    assert mean_cosine(torch.tensor(tokens)).item() == pytest.approx(expected, abs=FLOAT64)


def test_mean_cosine_of_a_simplex():
    count = 6
    simplex = torch.eye(count, dtype=torch.float64) - 1 / count
    assert mean_cosine(simplex).item() == pytest.approx(-1 / (count - 1), rel=FLOAT64)


def test_mean_cosine_keeps_its_digits_near_collapse():
    """Two tokens at an angle of 2e-5: 1 - cos is 2e-10."""
    angle = 2e-5
    tokens = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    assert 1 - mean_cosine(tokens).item() == pytest.approx(
        2 * math.sin(angle / 2) ** 2, abs=BELOW_ONE
    )


def test_covariance_eigenvalues_are_squared_singular_values_of_the_centred_tokens():
    tokens = random_tokens(2, 9, 4)
    centred = tokens - tokens.mean(-2, keepdim=True)
    expected = torch.linalg.svdvals(centred).square() / 9
    torch.testing.assert_close(covariance_eigenvalues(tokens), expected)


def test_covariance_eigenvalues_by_hand():
    """Corners of a rectangle of sides 6 and 2, moved off the origin."""
    corners = torch.tensor([[3.0, 1.0], [3.0, -1.0], [-3.0, 1.0], [-3.0, -1.0]]) + 10.0
    expected = torch.tensor([9.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(covariance_eigenvalues(corners), expected)


def test_fewer_tokens_than_dimensions_leave_directions_without_variance():
    eigenvalues = covariance_eigenvalues(random_tokens(3, 8))
    assert eigenvalues.shape == (8,)
    assert (eigenvalues >= 0).all()
    assert (eigenvalues[:2] > 0.01).all()
    assert (eigenvalues[2:] < FLOAT64).all()


def test_sum_of_eigenvalues_is_the_squared_distance_to_the_dirac():
    tokens = random_tokens(3, 20, 5)
    squared = (tokens - tokens.mean(-2, keepdim=True)).square().sum(-1).mean(-1)
    torch.testing.assert_close(covariance_eigenvalues(tokens).sum(-1), squared)


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [([2.0, 2.0, 2.0], 3.0), ([0.0, 5.0], 1.0), ([3.0, 1.0], 1.6), ([3e300, 1e300], 1.6)],
)
def test_participation_ratio_by_hand(eigenvalues, expected):
    ratio = participation_ratio(torch.tensor(eigenvalues, dtype=torch.float64))
    assert ratio.item() == pytest.approx(expected, rel=FLOAT64)


def test_measures_are_batched():
    tokens = random_tokens(2, 3, 9, 4)
    eigenvalues = covariance_eigenvalues(tokens)
    assert eigenvalues.shape == (2, 3, 4)
    assert mean_cosine(tokens).shape == participation_ratio(eigenvalues).shape == (2, 3)
    torch.testing.assert_close(mean_cosine(tokens)[1, 2], mean_cosine(tokens[1, 2]))
    torch.testing.assert_close(
        participation_ratio(eigenvalues)[1, 2], participation_ratio(eigenvalues[1, 2])
    )


@pytest.mark.parametrize("measure", [mean_cosine, covariance_eigenvalues])
@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.ones(1, 3), r"tokens must number at least two; got 1 in shape \(1, 3\): the"),
        (torch.ones(0, 3), "tokens must number at least two; got 0"),
        (torch.ones(3, 0), r"tokens must have entries; got shape \(3, 0\): pass"),
        (torch.tensor([[1.0], [math.nan]]), "tokens must be finite; got 1 entries"),
    ],
)
def test_refuses_too_few_tokens_or_tokens_that_are_not_finite(measure, tokens, message):
    with pytest.raises(ValueError, match=message):
        measure(tokens)


def test_mean_cosine_refuses_a_zero_token():
    with pytest.raises(ValueError, match="tokens must not be zero; got 1 zero tokens: .*leave it"):
        mean_cosine(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("eigenvalues", "message"),
    [
        ([0.0, 0.0], "not all zero; got minimum 0 and maximum 0: tokens that are all equal"),
        ([1.0, -2.0], "non-negative .*; got minimum -2 and maximum 1"),
        ([], "eigenvalues must have entries"),
        ([1.0, math.inf], "eigenvalues must be finite; got 1 entries"),
    ],
)
def test_participation_ratio_refuses_what_is_not_a_spectrum(eigenvalues, message):
    with pytest.raises(ValueError, match=message):
        participation_ratio(torch.tensor(eigenvalues))

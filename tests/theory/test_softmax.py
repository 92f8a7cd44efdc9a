"""Softmax averages of a finite set of tokens."""

import numpy as np
import pytest

from attention_collapse.theory.softmax import attention_matrix
from tolerances import FLOAT64


@pytest.fixture
def sample():
    generator = np.random.default_rng(0)
    return generator.standard_normal((7, 3)), generator.standard_normal((3, 3))


def test_each_entry_is_the_softmax_of_the_scores(sample):
    """Written out entry by entry for a bilinear form that is not symmetric."""
    tokens, bilinear = sample
    queries, weights = tokens[:4] + 1.0, np.arange(7.0)
    attention = attention_matrix(tokens, bilinear=bilinear, queries=queries, weights=weights)
    for row, query in zip(attention, queries, strict=True):
        masses = [w * np.exp(query @ bilinear @ y) for w, y in zip(weights, tokens, strict=True)]
        np.testing.assert_allclose(row, np.array(masses) / sum(masses), rtol=FLOAT64)


def test_tokens_are_the_queries_and_masses_are_equal_by_default(sample):
    tokens, bilinear = sample
    given = attention_matrix(tokens, bilinear=bilinear, queries=tokens, weights=np.full(7, 3.0))
    np.testing.assert_allclose(attention_matrix(tokens, bilinear=bilinear), given, rtol=FLOAT64)


def test_a_mass_counts_copies_of_a_token(sample):
    tokens, bilinear = sample
    weights = np.array([1.0, 3.0, 1.0, 1.0, 2.0, 1.0, 1.0])
    copies = np.repeat(tokens, weights.astype(int), axis=0)
    once = attention_matrix(tokens, bilinear=bilinear, weights=weights) @ tokens
    many = attention_matrix(copies, bilinear=bilinear, queries=tokens) @ copies
    np.testing.assert_allclose(once, many, rtol=FLOAT64, atol=FLOAT64)


def test_large_scores_do_not_overflow(sample):
    tokens, _ = sample
    attention = attention_matrix(tokens, bilinear=1e6 * np.eye(3))
    np.testing.assert_allclose(attention.sum(axis=1), 1.0, rtol=FLOAT64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bilinear": np.eye(2)}, "bilinear must end in shape"),
        ({"bilinear": np.full((3, 3), np.nan)}, "bilinear must be finite"),
        ({"queries": np.zeros((2, 4))}, "queries must end in an axis of 3"),
        ({"weights": np.array([1.0, -1, 1, 1, 1, 1, 1])}, "weights must be finite, at least zero"),
        ({"weights": np.ones(6)}, r"weights must have one mass for each token, 7 .*got shape \(6,"),
        ({"bilinear": np.full((3, 3), 1e308)}, "scores must be finite; got an overflow"),
        ({"weights": np.zeros(7)}, "weights must be finite, at least zero and not all zero"),
    ],
)
def test_what_is_no_attention_is_refused(sample, change, message):
    tokens, bilinear = sample
    with pytest.raises(ValueError, match=message):
        attention_matrix(tokens, **{"bilinear": bilinear, **change})


def test_attention_needs_a_token():
    with pytest.raises(ValueError, match=r"tokens must have the shape.*got \(0, 3\): pass one row"):
        attention_matrix(np.zeros((0, 3)), bilinear=np.eye(3))

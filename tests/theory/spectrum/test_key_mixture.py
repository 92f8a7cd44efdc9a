import numpy as np
import pytest
from scipy.special import entr, softmax

from attention_collapse.theory.spectrum import Mixture, key_mixture_profile, key_mixture_shares
from tolerances import COARSE_GRAINED, NUMPY_NETWORK


def test_asked_at_the_means_of_tight_groups_it_is_the_mixture_of_groups():
    """Equal tokens in groups of 1 to 4: every query is the mean of its group."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), np.arange(1, 5))
    tokens = generator.normal(size=(4, 3))[groups]
    found = key_mixture_profile(tokens, tokens, groups)
    mixture = Mixture.from_tokens(tokens, groups, bilinear=np.eye(3) / np.sqrt(3))
    expected = mixture.entropy_deficit(), mixture.stable_rank()
    np.testing.assert_allclose(found, expected, rtol=NUMPY_NETWORK)


def test_wide_groups_draw_attention_by_their_variance():
    """A wide group and one of equal keys: the rows themselves, written down."""
    generator = np.random.default_rng(0)
    key = np.concatenate([1.5 * generator.normal(size=3000), np.ones(1000)])[:, None]
    query, groups = np.array([[-1.0], [0.5], [1.0]]), np.repeat([0, 1], [3000, 1000])
    rows = softmax(query @ key.T, axis=1)
    exact = np.log(len(key)) - entr(rows).sum(axis=1).mean()
    found, _ = key_mixture_profile(query, key, groups)
    np.testing.assert_allclose(found, exact, rtol=COARSE_GRAINED)


def test_the_deficit_of_gaussian_keys_in_one_group_is_half_the_variance_of_the_scores():
    query, key = (np.random.default_rng(seed).normal(size=(50, 4)) for seed in range(2))
    deficit, _ = key_mixture_profile(query, key, np.zeros(50, dtype=np.int64))
    scores = query @ key.T / 2
    np.testing.assert_allclose(deficit, scores.var(axis=1).mean() / 2, rtol=NUMPY_NETWORK)


def test_shares_of_single_keys_are_their_softmax_and_of_equal_keys_its_sum():
    query, key = (np.random.default_rng(seed).normal(size=(6, 4)) for seed in range(2))
    rows = softmax(query @ key.T / 2, axis=1)
    found = key_mixture_shares(query, key, np.array([2, 1, 5, 0, 4, 3]))
    np.testing.assert_allclose(found, rows[:, [3, 1, 0, 5, 4, 2]], rtol=NUMPY_NETWORK)
    found = key_mixture_shares(query, np.repeat(key, 3, axis=0), np.repeat(np.arange(6), 3))
    np.testing.assert_allclose(found, rows, rtol=NUMPY_NETWORK)


@pytest.mark.claims("prop-halves", "eq-halves")
def test_two_halves_are_exact_for_pairs_of_keys():
    """One query: its row is all there is, and the largest singular value that of the groups."""
    query, key = (np.random.default_rng(seed).normal(size=(n, 4)) for seed, n in ((0, 1), (1, 10)))
    groups = np.repeat(np.arange(5), 2)
    row = softmax(query @ key.T / 2, axis=1)[0]
    deficit, rank = key_mixture_profile(query, key, groups, law="halves")
    np.testing.assert_allclose(deficit, np.log(10) - entr(row).sum(), rtol=NUMPY_NETWORK)
    between = 5 * (row.reshape(5, 2).sum(axis=1) ** 2).sum()
    np.testing.assert_allclose(rank * between, 10 * (row**2).sum(), rtol=NUMPY_NETWORK)


def test_where_scores_hardly_differ_both_laws_are_one():
    query, key = (np.random.default_rng(seed).normal(size=(20, 4)) for seed in range(2))
    groups, small = np.arange(20) % 3, 1e-4
    found = [key_mixture_profile(small * query, key, groups, law=w) for w in ("gaussian", "halves")]
    np.testing.assert_allclose(*found, rtol=small**2)


def test_groups_for_other_keys_are_refused():
    with pytest.raises(ValueError, match="groups must name one group for every key, got 2 for 3"):
        key_mixture_profile(np.ones((3, 2)), np.ones((3, 2)), np.zeros(2, dtype=np.int64))

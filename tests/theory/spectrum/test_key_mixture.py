import numpy as np
import pytest

from attention_collapse.theory.spectrum import Mixture, key_mixture_profile
from tolerances import NUMPY_NETWORK


def test_asked_at_the_means_of_tight_groups_it_is_the_mixture_of_groups():
    """Equal tokens in groups of 1 to 4: every query is the mean of its group."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), np.arange(1, 5))
    tokens = generator.normal(size=(4, 3))[groups]
    found = key_mixture_profile(tokens, tokens, groups)
    mixture = Mixture.from_tokens(tokens, groups, bilinear=np.eye(3) / np.sqrt(3))
    expected = mixture.entropy_deficit(), mixture.stable_rank()
    np.testing.assert_allclose(found, expected, rtol=NUMPY_NETWORK)


def test_the_deficit_of_gaussian_keys_in_one_group_is_half_the_variance_of_the_scores():
    query, key = (np.random.default_rng(seed).normal(size=(50, 4)) for seed in range(2))
    deficit, _ = key_mixture_profile(query, key, np.zeros(50, dtype=np.int64))
    scores = query @ key.T / 2
    np.testing.assert_allclose(deficit, scores.var(axis=1).mean() / 2, rtol=NUMPY_NETWORK)


def test_groups_for_other_keys_are_refused():
    with pytest.raises(ValueError, match="groups must name one group for every key, got 2 for 3"):
        key_mixture_profile(np.ones((3, 2)), np.ones((3, 2)), np.zeros(2, dtype=np.int64))

"""Merged attention as a matrix between all tokens, and the contraction of merged tokens."""

import numpy as np
import pytest
import torch

from attention_collapse.experiments.merging_layers import (
    contraction,
    merged_statistics,
    variance_split,
)
from attention_collapse.merging.attention import MergeRule, merge_heads
from attention_collapse.merging.groups import Groups
from attention_collapse.theory import merging as theory
from attention_collapse.vggt import Heads, Reduction
from tolerances import FLOAT64, MERGED_CONTRACTION, SEARCHED_RATIO

GENERATOR = torch.Generator().manual_seed(0)
GROUPS = Groups(torch.arange(30)[None] // 3 % 7, 7)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.claims("prop-merged-matrix", "eq-merged-matrix", "eq-merged-spectrum")
@pytest.mark.parametrize("weighting", ["none", "size"])
def test_statistics_are_those_of_the_matrix_between_all_tokens(weighting):
    query, key, value = normal(1, 2, 30, 4), normal(1, 2, 30, 4), normal(1, 2, 30, 4)
    merged = merge_heads(query, key, value, GROUPS, rule=MergeRule(weighting))
    heads = Heads(merged.query, merged.key, merged.value)
    reduction = Reduction(heads, restore=GROUPS.unmerge, key_bias=merged.bias)
    found = merged_statistics(reduction, GROUPS)
    scores = merged.query @ merged.key.mT / 2
    if weighting == "size":
        scores = scores + GROUPS.sizes[0].double().log()
    members = GROUPS.membership()[0].double()
    between_tokens = (members.T @ scores.softmax(-1) @ GROUPS.matrix()).numpy()[0]
    values = np.linalg.svd(between_tokens, compute_uv=False)
    assert np.all(values[:, 7:] < FLOAT64)  # rank of at most the groups
    expected = (values[:, 1] / values[:, 0]).mean()
    assert found["singular_ratio"] == pytest.approx(expected, rel=SEARCHED_RATIO)
    entropy = -(between_tokens * np.log(between_tokens)).sum(axis=-1).mean()
    assert found["entropy_deficit"] == pytest.approx(np.log(30) - entropy, rel=10 * FLOAT64)


def test_the_split_is_that_of_theory_over_the_squared_norm_of_the_mean():
    tokens = normal(30, 3) + 2
    split = theory.covariance_split(tokens.numpy(), GROUPS.assignment[0].numpy())
    found = variance_split(tokens, GROUPS)
    size = float(tokens.mean(0).square().sum())
    for name in ("between", "within"):
        expected = np.trace(getattr(split, name)) / size
        assert found[name] == pytest.approx(expected, rel=10 * FLOAT64)
    assert found["coefficient"] == pytest.approx(theory.effective_coefficient(split), rel=FLOAT64)


def test_gaussian_tokens_contract_by_the_effective_coefficient():
    """With sizes; without them the law of the groups is another."""
    groups = Groups(torch.arange(2000)[None] % 400, 400)
    means = normal(400, 3)
    tokens = means.repeat(5, 1) + 0.5 * normal(2000, 3)
    expected = variance_split(tokens, groups)["coefficient"]
    found = contraction(tokens, groups, MergeRule("size"), 0.2)
    assert found == pytest.approx(expected, rel=MERGED_CONTRACTION)
    alone = Groups.singletons(1, 2000)
    assert contraction(tokens, alone, MergeRule("none"), 0.2) == pytest.approx(1, rel=FLOAT64)


@pytest.mark.parametrize("weighting", ["none", "size"])
def test_contraction_is_that_of_scores_with_the_stated_sharpness(weighting):
    tokens = normal(30, 3).numpy() * [2.0, 1.0, 0.5]
    centred = tokens - tokens.mean(axis=0)
    factor = 0.6 / np.linalg.eigvalsh(np.cov(centred.T, bias=True))[-1]
    outputs = [
        theory.merged_attention(
            centred, groups, bilinear=factor * np.eye(3), proportional=weighting == "size"
        )
        for groups in (GROUPS.assignment[0].numpy(), np.arange(30))
    ]
    expected = (centred * outputs[0]).sum() / (centred * outputs[1]).sum()
    found = contraction(torch.from_numpy(tokens), GROUPS, MergeRule(weighting), 0.6)
    assert found == pytest.approx(expected, rel=10 * FLOAT64)


def test_groups_of_one_size_contract_alike_with_and_without_sizes():
    groups = Groups(torch.arange(30)[None] // 3, 10)
    tokens = normal(30, 3)
    rates = [contraction(tokens, groups, MergeRule(each), 0.3) for each in ("none", "size")]
    assert rates[0] == pytest.approx(rates[1], rel=10 * FLOAT64)

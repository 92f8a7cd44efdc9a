"""The page groups as the library groups, and computes what the library computes."""

import numpy as np
import pytest
import torch

from attention_collapse.figures.merge_explorer import flow_variance, law_variance
from attention_collapse.merging.grouping import GridGrouping
from attention_collapse.theory import merging as theory
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.tokens import TokenLayout
from attention_collapse.widgets.merge_explorer import MergeExplorer
from tolerances import PAGE_ARITHMETIC

LAYOUT = TokenLayout(3, 5, 7, special=0)
TOKENS = np.random.default_rng(0).standard_normal((LAYOUT.count, 4)) * [0.5, 0.4, 0.3, 0.1]
GRIDS = [
    (cell, ratio, reference)
    for cell in (2, 3, 4)
    for ratio in (0.0, 0.25, 0.43)
    for reference in ("grid", "destination", "protected")
]


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=PAGE_ARITHMETIC, atol=PAGE_ARITHMETIC)


def target_of(cell, ratio, reference):
    """The token that every token is merged into, from the groups of ``merging``."""
    grouping = GridGrouping(cell=(cell, cell), ratio=ratio, reference=reference)
    tokens = torch.from_numpy(TOKENS)[None]
    groups = grouping(tokens, layer=0, layout=LAYOUT).assignment[0]
    destinations = set(grouping.partition(LAYOUT).destinations.tolist())
    homes = {}
    for token, group in enumerate(groups.tolist()):
        if token in destinations or group not in homes:
            homes[group] = token
    return np.array([homes[group] for group in groups.tolist()])


def state_of(cell, ratio, reference):
    return {
        "tokens": TOKENS.tolist(),
        "frames": 3,
        "rows": 5,
        "columns": 7,
        "cell": cell,
        "ratio": ratio,
        "reference": reference,
    }


def test_groups_are_those_of_merging(open_explorer):
    found = open_explorer().call(*[("patchGroups", state_of(*grid)) for grid in GRIDS])
    for groups, grid in zip(found, GRIDS, strict=True):
        assert groups["target"] == target_of(*grid).tolist(), grid
        grouping = GridGrouping(cell=(grid[0], grid[0]), reference=grid[2])
        partition = grouping.partition(LAYOUT)
        assert groups["destinations"] == partition.destinations.tolist()
        assert groups["mergeable"] == len(partition.sources)


def test_a_zero_token_has_no_direction_and_a_high_ratio_takes_all(open_explorer):
    tokens = TOKENS.copy()
    tokens[[3, 40]] = 0
    state = state_of(2, 0.9, "grid") | {"tokens": tokens.tolist()}
    (groups,) = open_explorer().call(("patchGroups", state))
    every = GridGrouping(reference="grid")  # no ratio: all that may
    expected = every(torch.from_numpy(tokens)[None], layer=0, layout=LAYOUT)
    assert len(set(groups["target"])) == expected.count
    first = every.partition(LAYOUT).destinations[0].item()
    assert [groups["target"][token] for token in (3, 40)] == [first, first]


@pytest.mark.parametrize("weighting", ["size", "none"])
@pytest.mark.parametrize("grid", [(2, 0.55, "grid"), (3, 0.3, "protected"), (2, 0.0, "grid")])
def test_statistics_and_curves_are_those_of_theory(open_explorer, grid, weighting):
    target = target_of(*grid)
    _, groups, sizes = np.unique(target, return_inverse=True, return_counts=True)
    calls = [
        ("mergeStatistics", TOKENS.tolist(), target.tolist(), weighting),
        ("flowVariance", TOKENS.tolist(), target.tolist(), weighting),
        ("lawVariance", TOKENS.tolist(), target.tolist()),
    ]
    statistics, flow, law = open_explorer().call(*calls)
    split = theory.covariance_split(TOKENS, groups)
    proportional = weighting == "size"
    scores = np.eye(4)
    output = theory.merged_attention(TOKENS, groups, bilinear=scores, proportional=proportional)
    plain = attention_matrix(TOKENS, bilinear=scores) @ TOKENS
    centred = TOKENS - TOKENS.mean(axis=0)
    expected = {
        "kept": len(sizes),
        "largest": sizes.max(),
        "between": np.trace(split.between) / np.trace(split.between + split.within),
        "predicted": theory.effective_coefficient(split),
        "measured": (centred * output).sum() / (centred * plain).sum(),
    }
    assert set(statistics) == set(expected)
    for name, value in expected.items():
        assert_equal(statistics[name], value)
    assert_equal(flow, flow_variance(TOKENS, groups, proportional=proportional))
    assert_equal(law, law_variance(TOKENS, groups))


def test_outputs_are_those_of_attention_with_masses(open_explorer):
    masses = np.arange(1.0, 106.0)
    (found,) = open_explorer().call(("attentionOutputs", TOKENS.tolist(), masses.tolist()))
    expected = attention_matrix(TOKENS, bilinear=np.eye(4), weights=masses) @ TOKENS
    assert_equal(found, expected)


@pytest.mark.parametrize("state", [{}, {"cell": 3, "ratio": 0.7, "reference": "protected"}])
def test_shown_numbers_are_those_of_the_state(open_explorer, state):
    explorer, library = open_explorer(**state), MergeExplorer(**state)
    shown = explorer.numbers()
    assert shown["target"] == library.groups.tolist()
    tokens = np.array(library.tokens)
    _, groups = np.unique(library.groups, return_inverse=True)
    assert_equal(shown["curves"]["merged"], flow_variance(tokens, groups, proportional=True))
    assert_equal(shown["curves"]["law"], law_variance(tokens, groups))
    alone = np.arange(len(tokens))
    assert_equal(shown["curves"]["unmerged"], flow_variance(tokens, alone, proportional=False))
    coefficient = theory.effective_coefficient(theory.covariance_split(tokens, groups))
    assert_equal(shown["statistics"]["predicted"], coefficient)

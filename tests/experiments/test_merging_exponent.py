"""Exponents with and without merging: attention of merged tokens, and the law of theory."""

import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import merging_exponent
from attention_collapse.experiments.merging_exponent import Case, Config, attention, cases
from attention_collapse.merging.attention import MergeRule, merged_attention
from attention_collapse.merging.groups import Groups
from attention_collapse.theory.frames import match_attention
from tolerances import FLOAT64, finite_step_exponent

SMALL = Config(frames=(8, 32), layers=110, step=0.05)


@pytest.fixture(scope="module")
def arrays():
    return merging_exponent.run(SMALL, device="cpu").arrays


def row(arrays, name):
    return arrays["cases"].tolist().index(name)


def test_eigenvalues_are_those_of_the_closed_forms(arrays):
    np.testing.assert_allclose(
        arrays["eigenvalue"], arrays["predicted_eigenvalue"], rtol=0, atol=FLOAT64
    )


def test_exponents_are_one_less_the_eigenvalue_up_to_the_step(arrays):
    stated = 1 - arrays["predicted_eigenvalue"]
    difference = stated - arrays["exponent"]
    assert np.all(np.abs(difference) <= finite_step_exponent(SMALL.step))
    # A finite step lowers the exponent by step λ (1 - λ) / 2, to first order.
    expected = SMALL.step * stated * (1 - stated) / 2
    np.testing.assert_allclose(difference, expected, atol=finite_step_exponent(SMALL.step) / 5)


@pytest.mark.parametrize("size", SMALL.merged)
def test_merging_with_matches_apart_is_the_bias_and_with_sizes_nothing(size):
    for frames in SMALL.frames:
        plain = attention(SMALL, Case("windows"), frames)
        merged = attention(SMALL, Case("windows", "protected", size), frames)
        bias = attention(SMALL, Case("windows", "bias", size), frames)
        sized = attention(SMALL, Case("windows", "protected, sizes", size), frames)
        assert (merged - plain).abs().max() > 0.01
        torch.testing.assert_close(merged, bias, rtol=0, atol=FLOAT64)
        torch.testing.assert_close(sized, plain, rtol=0, atol=FLOAT64)


def test_unmerged_windows_are_the_attention_of_the_dilution_theorem():
    expected = match_attention(32, matches=16, score_gap=3.0)[::16].reshape(2, 2, 16).sum(-1)
    found = attention(SMALL, Case("windows"), 8)
    np.testing.assert_allclose(found.numpy(), expected, atol=FLOAT64)


def keys_of_reference(frames, points, gap):
    """Queries and keys of tokens with score ``gap`` on their point in the first frame."""
    index = torch.arange(frames * points)
    points_of = torch.nn.functional.one_hot(index % points, points).double()
    key = points_of * (index < points)[:, None]
    return points_of * gap * points**0.5, key, points_of


@pytest.mark.parametrize("weighting", ["none", "size"])
@pytest.mark.parametrize("protected", [True, False])
def test_landmark_attention_is_that_of_merged_keys_and_values(weighting, protected):
    frames, points, size = 8, SMALL.tokens_per_frame, 4
    frame = torch.arange(frames * points) // points
    block = torch.where(frame == 0, 0, 1 + (frame - 1) // size) if protected else frame // size
    labels = (block * points + torch.arange(frames * points) % points).unique(return_inverse=True)
    groups = Groups(labels[1][None], len(labels[0]))
    query, key, value = keys_of_reference(frames, points, SMALL.reference_gap)
    rule = MergeRule(weighting, queries=False)
    expected = merged_attention(*(x[None, None] for x in (query, key, value)), groups, rule=rule)
    scores = query[:points] @ key.T / points**0.5
    found = merging_exponent.landmark_attention(
        scores,
        Groups(groups.assignment.expand(points, -1), groups.count),
        torch.arange(frames * points) % points,
        proportional=weighting == "size",
    )
    torch.testing.assert_close(found, expected[0, 0, :points], rtol=0, atol=FLOAT64)
    if (weighting, protected) != ("size", False):
        treatment = {"none": "protected", "size": "protected, sizes"}[weighting]
        case = Case("reference", treatment if protected else "all merged", size)
        torch.testing.assert_close(attention(SMALL, case, frames), found, rtol=0, atol=FLOAT64)


def test_cases_are_named_once_and_stand_in_the_record(arrays):
    names = [case.name for case in cases(SMALL)]
    assert len(set(names)) == len(names) == 16
    assert arrays["cases"].tolist() == names
    assert arrays["exponent"].shape == (16, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"merged": (3,)}, "divide the 16 matches"),
        ({"merged": (1,)}, "merged must be 2 or more"),
        ({"merged": (16,)}, "at most the fewest frames, got 16"),
        ({"frames": (7,)}, "whole windows of 16 tokens"),
        ({"frames": (4,)}, "two or more whole windows"),
        ({"layers": 100}, "reach depth time 100"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Config(), **settings)

"""The numbered statements, verdicts and exercises of *Token merging*."""

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given

from attention_collapse import published, records
from attention_collapse.experiments import merging_exponent
from attention_collapse.experiments.merging_exponent import Case, Config, attention
from attention_collapse.merging.attention import MergeRule, merge_heads, merged_attention
from attention_collapse.merging.groups import Groups
from attention_collapse.theory import merging as theory
from attention_collapse.theory.merging import reference_eigenvalue
from attention_collapse.widgets.merge_explorer import MergeExplorer
from merging.group_strategies import groupings, normal_like
from tolerances import (
    FITTED_SLOPE,
    FLOAT64,
    FLOAT64_NETWORK,
    INITIAL_RATE,
    finite_step_exponent,
    quoted,
)

GENERATOR = torch.Generator().manual_seed(0)
DEPTH = records.find("merging_depth", "orbit").arrays


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64)


SHOWN = re.compile(
    r"literalinclude\} \.\./(\S+)\n:language: python\n:pyobject: (\w+)\n:lines: 1-(\d+), (\d+)-"
)


def test_functions_are_shown_without_their_docstrings_and_whole():
    root = Path(__file__).resolve().parents[2]
    cells = json.loads((root / "chapters" / "token-merging.ipynb").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    found = SHOWN.findall(text)
    assert len(found) == 2
    for path, name, head, body in found:
        tree = ast.parse((root / path).read_text())
        (node,) = (each for each in tree.body if getattr(each, "name", "") == name)
        first = node.body[0]
        assert int(head) == first.lineno - node.lineno
        assert int(body) == first.end_lineno - node.lineno + 2


# Groups


@pytest.mark.claims("eq-groups", "prop-projection")
@given(groups=groupings())
def test_merging_is_a_projection_that_keeps_sums(groups):
    merge, copy = groups.matrix(), groups.membership().double().mT
    tokens = normal_like(groups)
    close(merge @ copy, torch.eye(groups.count).double().expand(len(tokens), -1, -1))
    projection = copy @ merge
    close(projection, projection.mT)
    close(groups.merge(tokens), merge @ tokens)
    close(groups.unmerge(groups.merge(tokens)), projection @ tokens)
    weighed = groups.sizes[..., None] * groups.merge(tokens)
    close(weighed.sum(1), tokens.sum(1))
    assert (groups.sizes.sum(1) == groups.assignment.shape[1]).all()


# Quadrature


@pytest.mark.claims("eq-quadrature")
def test_merged_attention_is_the_sum_over_the_nodes():
    groups = Groups(torch.tensor([[0, 1, 0, 2, 1, 0]]), 3)
    query, key, value = (normal(1, 1, 6, 4) for _ in range(3))
    found = merged_attention(query, key, value, groups, rule=MergeRule("size", queries=False))
    sizes, means, values = (3, 2, 1), groups.merge(key)[0, 0], groups.merge(value)[0, 0]
    for row, output in zip(query[0, 0], found[0, 0], strict=True):
        terms = [n * math.exp(row @ mean / 2) for n, mean in zip(sizes, means, strict=True)]
        expected = sum(term * v for term, v in zip(terms, values, strict=True)) / sum(terms)
        close(output, expected)


@pytest.mark.claims("prop-weights", "eq-group-weight")
def test_orders_of_the_weight_of_a_group():
    """Slopes over the spread of a group: 0 without its size, 2 with it, 3 with its variance."""
    deviations = normal(7)
    deviations -= deviations.mean()
    spreads = torch.logspace(-3, -1, 9, dtype=torch.float64)
    scaled = spreads[:, None] * deviations
    exact = scaled.exp().sum(-1).log()
    size = math.log(7)
    second = size + scaled.square().mean(-1) / 2
    for weight, order in ((0.0, 0), (size, 2), (second, 3)):
        error = (exact - weight).abs().log()
        slope = np.polyfit(spreads.log(), error, 1)[0]
        assert slope == pytest.approx(order, abs=FITTED_SLOPE)


@pytest.mark.claims("exercise-equal-sizes")
def test_groups_of_one_size_need_no_sizes():
    groups = Groups(torch.arange(12)[None] // 3, 4)
    query, key, value = (normal(1, 2, 12, 4) for _ in range(3))
    by_rule = {
        name: merged_attention(query, key, value, groups, rule=MergeRule(name, queries=False))
        for name in ("none", "size")
    }
    close(by_rule["none"], by_rule["size"])
    plain = (query @ key.mT / 2).softmax(-1) @ value
    assert (by_rule["size"] - plain).abs().max() > 0.1


# Between all tokens


@pytest.mark.claims("prop-merged-matrix", "eq-merged-matrix")
def test_merged_attention_is_one_matrix_on_all_values():
    groups = Groups(torch.arange(20)[None] % 6, 6)
    query, key, value = (normal(1, 1, 20, 4) for _ in range(3))
    merged = merge_heads(query, key, value, groups)
    scores = merged.query @ merged.key.mT / 2 + merged.bias
    matrix = groups.membership().double().mT @ scores.softmax(-1)[0] @ groups.matrix()
    close(matrix.sum(-1), torch.ones(1, 20).double())
    close(merged_attention(query, key, value, groups)[0], matrix @ value[0])


def test_entropy_of_merged_rows_without_scores():
    """The aside below the proposition: uniform weights on groups of sizes 1, 2, 5."""
    sizes = np.array([1, 2, 5])
    row = np.repeat(1 / (3 * sizes), sizes)
    deficit = math.log(8) + (row * np.log(row)).sum()
    assert deficit == pytest.approx(np.log(8 / (3 * sizes)).mean(), rel=10 * FLOAT64)


# Where merging provably slows collapse


@pytest.mark.claims("thm-reference", "eq-unprotected-eigenvalue")
def test_half_frames_with_the_reference_apart_and_merged():
    gap, points, size = 6.0, 4, 8
    star = (math.exp(gap) - 1) / points
    settings = {"points": points, "score_gap": gap, "group_frames": size}
    for frames in (9, 801, 8001):
        seen = 1 + (frames - 1) / size
        found = reference_eigenvalue(frames, **settings)
        assert found == pytest.approx(star / (star + seen), rel=FLOAT64)
        sized = reference_eigenvalue(frames, proportional=True, **settings)
        assert sized == pytest.approx(star / (star + frames), rel=FLOAT64)
    harmed = size / points * math.expm1(gap / size)
    for frames in (8, 800):
        for proportional in (True, False):
            found = reference_eigenvalue(
                frames, protected=False, proportional=proportional, **settings
            )
            assert found == pytest.approx(harmed / (frames + harmed), rel=FLOAT64)


@pytest.mark.claims("thm-reference")
def test_the_harm_grows_with_the_group_towards_the_bare_gap():
    sizes = np.arange(1, 2000)
    stars = sizes * np.expm1(6.0 / sizes)
    assert np.all(np.diff(stars) < 0)
    assert 6 < stars[-1] < 6.01


@pytest.mark.claims("exercise-anchor-bias")
@pytest.mark.parametrize("size", [2, 8])
def test_a_bias_on_the_whole_reference_is_the_merge(size):
    frames, points, gap = 17, 4, 3.0
    own, other = size * math.exp(gap) + frames - 1, size + frames - 1
    biased = (own - other) / (own + (points - 1) * other)
    merged = reference_eigenvalue(frames, points=points, score_gap=gap, group_frames=size)
    assert biased == pytest.approx(merged, rel=FLOAT64)


@pytest.mark.claims("exercise-harm")
def test_the_numbers_of_the_exercise_on_harm():
    plain, merged = math.expm1(6) / 4, math.expm1(3) / 2
    assert plain == pytest.approx(100.6, abs=quoted(1))
    assert merged == pytest.approx(9.5, abs=quoted(1))
    needed = 2 * math.log(202.2)
    assert needed == pytest.approx(10.6, abs=quoted(1))
    assert math.expm1(needed / 2) / 2 == pytest.approx(plain, abs=quoted(1))


@pytest.mark.claims("exercise-rank")
def test_a_bound_on_the_rank_is_no_collapse():
    assert 1041 // 3 * 1000 == 347_000
    setting = Config(frames=(8,))
    for case in (Case("reference"), Case("reference", "protected", 8)):
        assert len(attention(setting, case, 8)) == setting.tokens_per_frame


def test_the_record_of_exponents_says_what_the_chapter_says():
    record = records.find("merging_exponent", "default")
    arrays = record.arrays
    assert (arrays["frames"][0], arrays["frames"][-1]) == (8, 2048)
    np.testing.assert_allclose(
        arrays["eigenvalue"], arrays["predicted_eigenvalue"], rtol=0, atol=FLOAT64
    )
    gap = np.abs(arrays["exponent"] - (1 - arrays["predicted_eigenvalue"]))
    assert gap.max() <= finite_step_exponent(record.config["step"])
    rows = {name: row for row, name in enumerate(arrays["cases"])}
    star = {name: 2048 * (1 / arrays["exponent"][row, -1] - 1) for name, row in rows.items()}
    for size in (2, 8):
        bias, sized = (
            star[f"windows: {each}, n = {size}"] for each in ("bias", "protected, sizes")
        )
        assert star[f"windows: protected, n = {size}"] == pytest.approx(bias, rel=FLOAT64_NETWORK)
        assert sized == pytest.approx(star["windows: unmerged"], rel=FLOAT64_NETWORK)
    factor = star["windows: protected, n = 8"] / star["windows: unmerged"]
    law = (math.exp(3) - 1 / 8) / ((math.exp(3) - 1) / 8)
    assert factor == pytest.approx(law, rel=10 * finite_step_exponent(record.config["step"]))
    assert star["reference: protected, n = 8"] > 7 * star["reference: unmerged"]
    assert star["reference: all merged, n = 8"] < star["reference: unmerged"] / 40


def test_the_identity_with_a_bias_holds_for_every_group_of_a_record():
    setting = merging_exponent.Config(frames=(32,))
    for size in setting.merged:
        merged, bias = (
            attention(setting, Case("windows", each, size), 32) for each in ("protected", "bias")
        )
        close(merged, bias)


# What is frozen


def test_tokens_of_a_picture_are_frozen_within_groups_and_follow_the_law_between():
    explorer = MergeExplorer(ratio=0.6)
    tokens = np.array(explorer.tokens)
    _, groups = np.unique(explorer.groups, return_inverse=True)
    before = theory.covariance_split(tokens, groups)
    scores = np.eye(tokens.shape[1])
    for _ in range(160):
        output = theory.merged_attention(tokens, groups, bilinear=scores, proportional=True)
        tokens = tokens - 0.05 * output
    after = theory.covariance_split(tokens, groups)
    np.testing.assert_allclose(after.within, before.within, atol=FLOAT64)
    values = np.clip(np.linalg.eigvalsh(before.between), 0, None)
    law = theory.merged_variance(values, 0 * values, rate=1, depth_time=8).sum()
    assert np.trace(before.between) > 2.5 * law
    assert abs(np.trace(after.between) / law - 1) < 0.1


@pytest.mark.claims("prop-contraction", "eq-contraction")
@pytest.mark.parametrize("weighting", ["none", "size"])
def test_the_rate_of_contraction_is_the_covariance_with_the_output(weighting):
    groups = Groups(torch.arange(40)[None] // 2 % 7, 7)
    tokens = normal(40, 3)
    read = tokens[None, None]
    output = merged_attention(read, read, read, groups, rule=MergeRule(weighting))[0, 0]
    step = 1e-6
    variance = [
        x.var(0, correction=0).sum() for x in (tokens + step * output, tokens - step * output)
    ]
    measured = float(variance[0] - variance[1]) / (4 * step)
    means, outputs = groups.merge(tokens[None])[0], groups.merge(output[None])[0]
    shares = groups.sizes[0].double() / 40
    centred, moved = (x - shares @ x for x in (means, outputs))
    stated = float((shares[:, None] * centred * moved).sum())
    assert stated == pytest.approx(measured, rel=INITIAL_RATE)


def test_the_record_of_depth_says_what_the_chapter_says():
    """Frozen in attention alone; the coefficient on the law with sizes; no slower collapse."""
    assert DEPTH["update_within"].max() < FLOAT64
    ratio = DEPTH["coefficient"] / DEPTH["predicted_coefficient"][:, None]
    assert np.abs(ratio[:, 1] - 1).max() < 0.02
    assert np.all(ratio[:, 0].mean(axis=-1) < 0.95)
    change = DEPTH["spread"][..., -1] / DEPTH["unmerged_spread"][-1] - 1
    assert np.abs(change).max() < 0.09
    assert change.max() < 0.01  # no way to merge keeps the tokens farther apart
    merged = DEPTH["within"][:, 1, -1, -1]
    unmerged = DEPTH["unmerged_within"][:, -1, -1]
    assert np.all(np.abs(merged / unmerged - 1) < 0.2)
    ends = DEPTH["departure"][..., -1, -1]
    assert ends[:, 0].min() > 4 * ends[:, 1].max()
    singular = DEPTH["singular_ratio"].mean(axis=-1)
    assert np.all(singular < DEPTH["unmerged_singular_ratio"].mean())
    higher = DEPTH["singular_ratio"][:, :, -1] > DEPTH["unmerged_singular_ratio"]
    assert higher.sum(axis=(0, 2)).tolist() == [3, 0]


# Beside the published tables


def test_the_published_numbers_bear_the_reading():
    ablation = published.results("fastvggt", table="Table 6", metric="ATE")
    none, uniform, reference, salient = (row.value for row in ablation)
    assert uniform - reference > 4 * max(none - uniform, reference - salient)
    ratios = published.results("fastvggt", table="Table 7", metric="CD")
    assert [row.method for row in ratios] == [
        f"ratio 0.{tenths} from block {block}" for block in (0, 10, 20) for tenths in (3, 6, 9)
    ]
    by_block = [[row.value for row in ratios[first : first + 3]] for first in (0, 3, 6)]
    assert [values == sorted(values) for values in by_block] == [False, True, False]
    assert all(values != sorted(values, reverse=True) for values in by_block)
    assert {row.note for row in ratios} == {"frames inferred from its Table 2"}

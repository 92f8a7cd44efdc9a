import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.merging.attention import (
    MergeRule,
    attend,
    log_sizes,
    merge_heads,
    merged_attention,
)
from attention_collapse.merging.groups import Groups
from attention_collapse.theory import merging as theory
from merging.group_strategies import groupings, normal_like
from tolerances import FLOAT64, MERGING_ORDER_SLOPE

RULES = [
    MergeRule(weighting, queries)
    for weighting in ("none", "size", "second_order")
    for queries in (True, False)
]
UNEQUAL = Groups(torch.tensor([[0, 0, 0, 1, 2, 2, 3], [3, 1, 1, 0, 1, 2, 1]]), 4)


def close(computed, expected):
    torch.testing.assert_close(computed, expected, rtol=0, atol=FLOAT64)


def plain(query, key, value):
    return F.scaled_dot_product_attention(query, key, value)


def heads_like(groups, width=4):
    """Query, key and value of two heads."""
    return [normal_like(groups, 2, width=width, seed=seed) for seed in range(3)]


def identical(groups, tensor):
    """Every token replaced by one of its group."""
    return groups.unmerge(groups.merge(tensor))


@pytest.mark.parametrize("rule", RULES)
def test_without_merging_it_is_plain_attention(rule):
    groups = Groups.singletons(2, 7)
    heads = heads_like(groups)
    close(merged_attention(*heads, groups, rule=rule), plain(*heads))


@given(groupings())
def test_proportional_attention_is_neutral_for_identical_tokens(groups):
    heads = [identical(groups, tensor) for tensor in heads_like(groups)]
    for rule in RULES:
        if rule.weighting != "none":
            close(merged_attention(*heads, groups, rule=rule), plain(*heads))


@given(groupings())
def test_with_all_queries_kept_only_keys_and_values_need_be_identical(groups):
    query, key, value = heads_like(groups)
    key, value = identical(groups, key), identical(groups, value)
    rule = MergeRule("size", queries=False)
    close(merged_attention(query, key, value, groups, rule=rule), plain(query, key, value))


def test_without_sizes_identical_tokens_are_counted_once():
    heads = [identical(UNEQUAL, tensor) for tensor in heads_like(UNEQUAL)]
    unsized = merged_attention(*heads, UNEQUAL, rule=MergeRule("none"))
    assert (unsized - plain(*heads)).abs().max() > 0.1
    once = [UNEQUAL.merge(tensor) for tensor in heads]
    close(unsized, UNEQUAL.unmerge(plain(*once)))


def test_unsized_merging_is_a_bias_on_what_stays_unmerged(draw):
    """Four reference tokens stay and 15 others, five copies of three, merge: f is 1/5."""
    groups = Groups(torch.cat((torch.arange(4), 4 + torch.arange(15) // 5))[None], 7)
    heads = [identical(groups, draw(1, 2, 19, 4)) for _ in range(3)]
    bias = torch.zeros(19, dtype=torch.float64)
    bias[:4] = np.log(5)
    biased = F.scaled_dot_product_attention(*heads, attn_mask=bias.expand(19, -1))
    close(merged_attention(*heads, groups, rule=MergeRule("none")), biased)


def test_a_bias_of_the_size_is_the_group_counted_so_often():
    key, value = torch.zeros(1, 1, 4, 1).double(), torch.tensor([1.0, 0, 0, 0]).view(1, 1, 4, 1)
    groups = Groups(torch.tensor([[0, 1, 1, 1]]), 2)
    heads = key, key, value.double()
    assert merged_attention(*heads, groups)[0, 0, 0, 0].item() == pytest.approx(0.25, abs=FLOAT64)
    unsized = merged_attention(*heads, groups, rule=MergeRule("none"))
    assert unsized[0, 0, 0, 0].item() == pytest.approx(0.5, abs=FLOAT64)


@given(groupings(), st.booleans())
def test_it_is_the_formula_of_the_theory(groups, proportional):
    tokens = normal_like(groups, 1)
    rule = MergeRule("size" if proportional else "none")
    computed = merged_attention(tokens, tokens, tokens, groups, rule=rule)
    width = tokens.shape[-1]
    for entry, assignment in enumerate(groups.assignment.numpy()):
        expected = theory.merged_attention(
            tokens[entry, 0].numpy(),
            assignment,
            bilinear=np.eye(width) / width**0.5,
            proportional=proportional,
        )
        close(computed[entry, 0], torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("weighting", "varied", "order"),
    [("size", False, 2), ("second_order", False, 4), ("second_order", True, 2)],
)
def test_the_error_falls_with_the_order_of_the_quadrature(draw, weighting, varied, order):
    """Keys at both ends of a group's spread along each axis; values that vary with them or not."""
    axes = torch.eye(4, dtype=torch.float64)
    # Equal spreads would add the same to the scores of all groups, which the softmax forgets.
    ends = torch.cat((axes, -axes)) * torch.tensor([0.5, 1.0, 2.0]).double()[:, None, None]
    means, values = draw(1, 1, 3, 1, 4), draw(1, 1, 3, 1, 4)
    groups = Groups(torch.arange(3).repeat_interleave(8)[None], 3)
    query = draw(1, 1, 24, 4)
    value = values.expand(-1, -1, -1, 8, -1).flatten(2, 3)
    errors = []
    for spread in (0.1, 0.01):
        key = (means + spread * ends).flatten(2, 3)
        rule = MergeRule(weighting, queries=False)
        read = value + key if varied else value
        merged = merged_attention(query, key, read, groups, rule=rule)
        errors.append((merged - plain(query, key, read)).abs().mean())
    assert (errors[0] / errors[1]).log10().item() == pytest.approx(order, abs=MERGING_ORDER_SLOPE)


@pytest.mark.parametrize("rule", RULES)
def test_attending_is_the_fused_softmax_with_its_own_scale(rule):
    """The second order doubles the dimensions, and with them the scale that the kernel takes."""
    merged = merge_heads(*heads_like(UNEQUAL), UNEQUAL, rule=rule)
    bias = None if merged.bias is None else merged.bias[:, None, None]
    fused = F.scaled_dot_product_attention(merged.query, merged.key, merged.value, attn_mask=bias)
    close(attend(merged), fused)
    assert merged.key.shape == (2, 2, 4, 8 if rule.weighting == "second_order" else 4)
    assert merged.query.shape[2] == (4 if rule.queries else 7)


@given(groupings())
def test_members_of_a_group_get_the_same_output(groups):
    output = merged_attention(*heads_like(groups), groups)
    close(identical(groups, output), output)


@given(groupings(), st.randoms(use_true_random=False), st.sampled_from(RULES))
def test_a_permutation_of_the_tokens_permutes_the_outputs(groups, random, rule):
    heads = heads_like(groups)
    order = list(range(groups.assignment.shape[1]))
    random.shuffle(order)
    permuted = Groups(groups.assignment[:, order], groups.count)
    computed = merged_attention(*(tensor[:, :, order] for tensor in heads), permuted, rule=rule)
    close(computed, merged_attention(*heads, groups, rule=rule)[:, :, order])


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_entry_is_merged_as_if_alone(rule):
    heads = heads_like(UNEQUAL)
    together = merged_attention(*heads, UNEQUAL, rule=rule)
    for entry in range(2):
        alone = Groups(UNEQUAL.assignment[entry][None], 4)
        computed = merged_attention(*(tensor[entry][None] for tensor in heads), alone, rule=rule)
        close(computed[0], together[entry])


def test_residual_updates_leave_the_spread_inside_groups_as_it_is(draw):
    """Forty layers of a contraction: the spread of the means falls, that inside groups does not."""
    tokens = draw(1, 1, 60, 3)
    groups = Groups(torch.arange(60)[None] // 5, 12)
    inside = tokens - identical(groups, tokens)
    spread = groups.merge(tokens).var()
    for _ in range(40):
        tokens = tokens - 0.1 * merged_attention(tokens, tokens, tokens, groups)
    close(tokens - identical(groups, tokens), inside)
    assert groups.merge(tokens).var() < 0.7 * spread


def test_sizes_of_tokens_that_were_merged_before_add_up():
    first = Groups(torch.tensor([[0, 0, 1, 2, 2, 2]]), 3)
    second = Groups(torch.tensor([[0, 1, 0]]), 2)
    carried = log_sizes(second, sizes=first.sizes.double())
    close(carried, log_sizes(first.then(second)))
    assert carried.exp().round().tolist() == [[5, 1]]


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="must be 'none', 'size' or 'second_order', got 'count'"):
        MergeRule("count")

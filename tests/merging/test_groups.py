import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.merging.groups import Groups
from merging.group_strategies import groupings, normal_like
from tolerances import FLOAT64


def close(computed, expected):
    torch.testing.assert_close(computed, expected, rtol=0, atol=FLOAT64)


@given(groupings())
def test_sizes_sum_to_the_tokens(groups):
    assert groups.sizes.shape == (len(groups.assignment), groups.count)
    assert (groups.sizes.sum(1) == groups.assignment.shape[1]).all()
    assert (groups.sizes > 0).all()


@given(groupings())
def test_merge_after_unmerge_is_the_identity_and_the_reverse_a_projection(groups):
    tokens = normal_like(groups)
    once = groups.unmerge(groups.merge(tokens))
    close(groups.unmerge(groups.merge(once)), once)
    close(groups.merge(groups.unmerge(groups.merge(tokens))), groups.merge(tokens))


@given(groupings(), st.sampled_from([(), (2,), (2, 2)]))
def test_merge_is_its_matrix_over_any_axes(groups, axes):
    tokens = normal_like(groups, *axes)
    matrix = groups.matrix().view(len(tokens), *[1] * len(axes), groups.count, -1)
    close(groups.merge(tokens), matrix @ tokens)
    close(groups.unmerge(groups.merge(tokens)), (matrix > 0).double().mT @ matrix @ tokens)
    close(groups.matrix().sum(-1), torch.ones(len(tokens), groups.count, dtype=torch.float64))


@given(groupings())
def test_merging_keeps_the_sum_of_the_tokens(groups):
    tokens = normal_like(groups)
    close((groups.merge(tokens) * groups.sizes[..., None]).sum(1), tokens.sum(1))
    close(groups.sum(tokens).sum(1), tokens.sum(1))


@given(groupings(), st.randoms(use_true_random=False))
def test_a_permutation_of_the_tokens_permutes_the_copies_and_not_the_means(groups, random):
    tokens = normal_like(groups)
    order = list(range(tokens.shape[1]))
    random.shuffle(order)
    permuted = Groups(groups.assignment[:, order], groups.count)
    close(permuted.merge(tokens[:, order]), groups.merge(tokens))
    close(permuted.unmerge(groups.merge(tokens)), groups.unmerge(groups.merge(tokens))[:, order])


@given(groupings())
def test_a_batch_entry_is_merged_as_if_alone(groups):
    tokens = normal_like(groups)
    for entry, row in enumerate(groups.assignment):
        alone = Groups(row[None], groups.count)
        assert torch.equal(alone.merge(tokens[entry][None])[0], groups.merge(tokens)[entry])
        assert torch.equal(alone.sizes[0], groups.sizes[entry])


@given(groupings(), st.data())
def test_merging_twice_is_merging_by_the_composed_groups(groups, data):
    batch = len(groups.assignment)
    count = data.draw(st.integers(1, groups.count))
    extra = [group % count for group in range(groups.count)]
    later = Groups(torch.tensor([data.draw(st.permutations(extra)) for _ in range(batch)]), count)
    tokens, sizes = normal_like(groups), groups.sizes.double()
    both = groups.then(later)
    close(later.merge(groups.merge(tokens), weights=sizes), both.merge(tokens))
    close(later.total(sizes), both.sizes.double())
    close((later.membership() @ groups.membership()).double(), both.membership().double())


@given(groupings())
def test_equal_weights_change_nothing_and_others_are_a_weighted_mean(groups):
    tokens = normal_like(groups)
    weights = normal_like(groups, width=1, seed=1)[..., 0].exp()
    close(groups.merge(tokens, weights=torch.full_like(weights, 2.5)), groups.merge(tokens))
    member = groups.membership().double() * weights[:, None]
    expected = member @ tokens / member.sum(-1, keepdim=True)
    close(groups.merge(tokens, weights=weights), expected)


def test_singletons_leave_the_tokens_as_they_are(draw):
    tokens = draw(2, 3, 4, 5)
    groups = Groups.singletons(2, 4)
    assert torch.equal(groups.merge(tokens), tokens)
    assert torch.equal(groups.unmerge(tokens), tokens)


def test_means_of_a_known_case():
    groups = Groups(torch.tensor([[0, 1, 0, 2, 0]]), 3)
    tokens = torch.tensor([[[1.0], [5.0], [2.0], [7.0], [6.0]]])
    assert groups.merge(tokens).flatten().tolist() == [3.0, 5.0, 7.0]
    assert groups.unmerge(groups.merge(tokens)).flatten().tolist() == [3.0, 5.0, 3.0, 7.0, 3.0]


def test_a_bad_number_stays_in_its_group(draw):
    tokens = draw(2, 4, 3)
    tokens[0, 1] = torch.nan
    merged = Groups(torch.tensor([[0, 1, 1, 2]] * 2), 3).merge(tokens)
    assert merged.isnan().nonzero()[:, :2].unique(dim=0).tolist() == [[0, 1]]


def test_short_numbers_are_added_in_float32():
    """1001 has more digits than bfloat16 has."""
    groups = Groups(torch.zeros(1, 1001, dtype=torch.int64), 1)
    ones = torch.ones(1, 1001, 1, dtype=torch.bfloat16)
    assert groups.sum(ones).item() == 1001
    assert groups.merge(ones).item() == 1
    assert groups.merge(ones).dtype == torch.bfloat16


def test_gradients_reach_every_token_in_equal_shares():
    groups = Groups(torch.tensor([[0, 0, 1]]), 2)
    tokens = torch.zeros(1, 3, 1, requires_grad=True)
    groups.merge(tokens).sum().backward()
    assert tokens.grad.flatten().tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize(
    ("assignment", "count", "message"),
    [
        ([[0, 1]], 3, "at most one for each of the 2 tokens, got 3"),
        ([[0, 1]], 0, "the groups must number at least 1 .* got 0"),
        ([[0, 2]], 2, "numbered from 0 to 1, got numbers from 0 to 2"),
        ([[-1, 0]], 1, "numbered from 0 to 0, got numbers from -1 to 0"),
        ([[0, 1, 0], [0, 0, 0]], 2, "every group must have a token, got 1 empty ones among 2"),
    ],
)
def test_what_is_no_partition_is_refused(assignment, count, message):
    with pytest.raises(ValueError, match=message):
        Groups(torch.tensor(assignment), count)


def test_no_batch_entry_is_refused():
    with pytest.raises(ValueError, match="must have a batch entry, got none"):
        Groups(torch.zeros(0, 3, dtype=torch.int64), 1)


def test_tokens_that_were_not_grouped_are_refused(draw):
    groups = Groups(torch.tensor([[0, 1, 0]]), 2)
    with pytest.raises(ValueError, match=r"tokens must number 3 in 1 batch .* \(1, 4, 2\)"):
        groups.merge(draw(1, 4, 2))
    with pytest.raises(ValueError, match=r"tokens must number 3 in 1 batch .* \(2, 3, 2\)"):
        groups.merge(draw(2, 3, 2))
    with pytest.raises(ValueError, match=r"groups must number 2 in 1 batch .* \(1, 3, 2\)"):
        groups.unmerge(draw(1, 3, 2))
    with pytest.raises(ValueError, match="of the 2 groups of 1 batch entries, got"):
        groups.then(Groups.singletons(1, 3))


@pytest.mark.parametrize("weight", [0.0, -1.0, torch.nan])
def test_weights_that_count_for_nothing_are_refused(draw, weight):
    groups, weights = Groups(torch.tensor([[0, 1, 0]]), 2), torch.ones(1, 3, dtype=torch.float64)
    weights[0, 1] = weight
    with pytest.raises(ValueError, match="weights must be positive, got"):
        groups.merge(draw(1, 3, 2), weights=weights)

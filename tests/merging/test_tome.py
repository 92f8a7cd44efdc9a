import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.merging.groups import Groups
from attention_collapse.merging.tome import (
    BipartiteGrouping,
    bipartite_soft_matching,
    every_kth_groups,
    largest_merge,
    merge_schedule,
)
from attention_collapse.tokens import TokenLayout
from tolerances import FLOAT64


def features_of(seed, tokens, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, tokens, 5, dtype=torch.float64, generator=generator)


@given(st.integers(0, 20), st.integers(4, 12), st.booleans(), st.booleans(), st.data())
def test_the_best_pairs_of_even_and_odd_tokens_merge(seed, tokens, class_token, distilled, data):
    special = {"class_token": class_token, "distillation_token": distilled}
    merged = data.draw(st.integers(0, largest_merge(tokens, **special)))
    features = features_of(seed, tokens)
    match = bipartite_soft_matching(features, merged=merged, **special)
    for entry, rows in enumerate(features):
        best = {}
        for even in range(0, tokens, 2):
            odds = range(3 if distilled else 1, tokens, 2)
            cosines = {odd: torch.cosine_similarity(rows[even], rows[odd], dim=0) for odd in odds}
            if not (class_token and even == 0):
                best[even] = max((value, odd) for odd, value in cosines.items())
        pairs = sorted(best.items(), key=lambda pair: -pair[1][0])[:merged]
        expected = {(even // 2, odd // 2) for even, (_, odd) in pairs}
        found = zip(match.merged[entry].tolist(), match.destination[entry].tolist(), strict=True)
        assert set(found) == expected


@given(st.integers(0, 20), st.integers(4, 12), st.booleans(), st.data())
def test_groups_are_a_partition_with_the_special_tokens_first(seed, tokens, distilled, data):
    special = {"class_token": True, "distillation_token": distilled}
    merged = data.draw(st.integers(0, largest_merge(tokens, **special)))
    features = features_of(seed, tokens)
    groups = bipartite_soft_matching(features, merged=merged, **special).groups
    assert groups.count == tokens - merged
    assert (groups.sizes.sum(1) == tokens).all()
    assert (groups.assignment[:, 0] == 0).all()
    assert (groups.sizes[:, 0] == 1).all()
    if distilled:
        assert (groups.assignment[:, 1] == 1).all()
        assert (groups.sizes[:, 1] == 1).all()


def test_a_known_match_in_the_published_order():
    """Tokens on a circle at these degrees: 40 is nearest to 45, 200 to 190, 100 to 120."""
    degrees = torch.tensor([[100.0, 120, 40, 45, 200, 190, 300]], dtype=torch.float64)
    features = torch.stack((degrees.deg2rad().cos(), degrees.deg2rad().sin()), dim=-1)
    match = bipartite_soft_matching(features, merged=2)
    assert match.merged.tolist() == [[1, 2]]
    assert match.destination.tolist() == [[1, 2]]
    assert match.unmerged.tolist() == [[0, 3]]
    assert match.groups.assignment.tolist() == [[0, 2, 3, 3, 4, 4, 1]]


def test_sources_are_tracked_through_layers():
    features = features_of(0, 12)
    groups, tokens = Groups.singletons(2, 12), features
    for merged in (4, 3, 2):
        sizes = groups.sizes.double()
        step = bipartite_soft_matching(tokens, merged=merged).groups
        tokens = step.merge(tokens, weights=sizes)
        groups = groups.then(step)
    assert groups.count == 3
    assert (groups.membership().sum(1) == 1).all()
    torch.testing.assert_close(tokens, groups.merge(features), rtol=0, atol=FLOAT64)


def test_a_batch_entry_is_matched_as_if_alone():
    features = features_of(1, 9, batch=3)
    together = bipartite_soft_matching(features, merged=3).groups.assignment
    for entry in range(3):
        alone = bipartite_soft_matching(features[entry][None], merged=3).groups
        assert torch.equal(alone.assignment[0], together[entry])


def test_a_zero_token_merges_last_and_a_bad_one_is_refused():
    features = features_of(2, 8, batch=1).abs()
    features[0, 2] = 0
    match = bipartite_soft_matching(features, merged=3)
    assert match.unmerged.tolist() == [[1]]
    features[0, 2] = torch.nan
    with pytest.raises(ValueError, match="features must be finite, got 1 tokens of 8"):
        bipartite_soft_matching(features, merged=3)


@pytest.mark.parametrize("merged", [-1, 5])
def test_more_than_half_is_refused(merged):
    with pytest.raises(ValueError, match=f"at most 4 of 9 tokens can merge .* got {merged}"):
        bipartite_soft_matching(features_of(0, 9), merged=merged, class_token=True)
    with pytest.raises(ValueError, match="more tokens than the 2 that never merge, got 2"):
        largest_merge(2, class_token=True, distillation_token=True)


@given(st.integers(0, 20), st.integers(2, 12), st.data())
def test_every_kth_token_collects_the_others(seed, tokens, data):
    k = data.draw(st.integers(2, tokens))
    features = features_of(seed, tokens)
    groups = every_kth_groups(features, k=k)
    whole = tokens // k * k
    kth = range(k - 1, whole, k)
    assert groups.assignment.shape == (2, whole)
    for entry, rows in enumerate(features):
        for token in range(whole):
            cosines = torch.stack(
                [torch.cosine_similarity(rows[token], rows[last], dim=0) for last in kth]
            )
            assert groups.assignment[entry, token] == cosines.argmax()


@pytest.mark.parametrize("k", [1, 9])
def test_a_stride_without_sources_or_destinations_is_refused(k):
    with pytest.raises(ValueError, match=f"at least 2 and at most the 8 tokens, got {k}"):
        every_kth_groups(features_of(0, 8), k=k)


@given(st.integers(0, 30), st.floats(-1, 1), st.integers(2, 30))
def test_a_schedule_runs_from_one_end_to_the_other(merged, inflection, layers):
    schedule = merge_schedule((merged, inflection), layers=layers)
    first = int(merged * (1 - inflection))
    assert len(schedule) == layers
    assert schedule[0] == first
    # The last entry may be one less: the steps are rounded down.
    assert 2 * merged - first - schedule[-1] in (0, 1)
    assert list(schedule) == sorted(schedule, reverse=first > merged)


def test_schedules_of_one_number_and_of_a_list():
    assert merge_schedule(3, layers=4) == (3, 3, 3, 3)
    assert merge_schedule((3, 0.5), layers=1) == (3,)
    assert merge_schedule([2, 1], layers=4) == (2, 1, 0, 0)


@pytest.mark.parametrize(
    ("merged", "layers", "message"),
    [
        (-1, 3, "got -1, 3 layers and 0"),
        ((2, 1.5), 3, "got 2, 3 layers and 1.5"),
        (2, 0, "got 2, 0 layers"),
        ([1, 2], 1, "at most 1 entries, .* got \\[1, 2\\]"),
        ([1, -2], 3, "none negative, got \\[1, -2\\]"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(merged, layers, message):
    with pytest.raises(ValueError, match=message):
        merge_schedule(merged, layers=layers)


LAYOUT = TokenLayout(3, 3, 4)


@pytest.mark.parametrize(("ratio", "merged"), [(0.2, 10), (None, 18)])
def test_grouping_a_scene_is_one_step_among_its_patches(ratio, merged):
    features = features_of(0, LAYOUT.count)
    groups = BipartiteGrouping(ratio)(features, layer=7, layout=LAYOUT)
    assert groups.count == LAYOUT.count - merged
    special = torch.from_numpy(LAYOUT.is_special())
    alone = bipartite_soft_matching(features[:, ~special], merged=merged).groups
    copies = alone.unmerge(alone.merge(features[:, ~special]))
    found = groups.unmerge(groups.merge(features))
    torch.testing.assert_close(found[:, ~special], copies, rtol=0, atol=FLOAT64)
    assert torch.equal(found[:, special], features[:, special])


def test_a_scene_loses_at_most_half_of_its_patches():
    features = features_of(0, LAYOUT.count)
    with pytest.raises(ValueError, match="got 20 of 51 tokens and 18 sources; ask for at most"):
        BipartiteGrouping(0.4)(features, layer=0, layout=LAYOUT)
    assert BipartiteGrouping(0.0)(features, layer=0, layout=LAYOUT).count == LAYOUT.count

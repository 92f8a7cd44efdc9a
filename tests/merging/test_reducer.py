"""Merging inside the network, through the types that the network gives it."""

import math

import pytest
import torch

from attention_collapse.merging.attention import MergeRule, merged_attention
from attention_collapse.merging.fastvggt import SEED, released_match, released_partition
from attention_collapse.merging.grouping import FASTVGGT, GridGrouping, ReusedGrouping
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import mean_over_heads
from attention_collapse.merging.reducer import MergeReducer, ReleasedReducer
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import (
    AdjustedScores,
    Aggregator,
    AggregatorConfig,
    Attention,
    Heads,
    Reducer,
    Reduction,
)
from tolerances import FLOAT64_NETWORK

LAYOUT = TokenLayout(3, 3, 4)
RULES = [
    MergeRule(weighting, queries)
    for weighting in ("none", "size", "second_order")
    for queries in (True, False)
]


def close(computed, expected):
    torch.testing.assert_close(computed, expected, rtol=0, atol=FLOAT64_NETWORK)


@pytest.fixture
def attention(generator):
    return Attention(16, 2, generator=generator).double()


@pytest.fixture
def aggregator(generator):
    config = AggregatorConfig(width=16, depth=3, heads=2, patch_size=2, layer_scale=1.0)
    return Aggregator(config, generator=generator).double()


@pytest.fixture
def images(generator):
    return torch.rand(2, 3, 3, 6, 8, dtype=torch.float64, generator=generator)


def bound(reducer, layer=0, layout=LAYOUT):
    return lambda heads, tokens: reducer(heads, tokens, layer=layer, layout=layout)


@pytest.mark.parametrize("rule", RULES)
def test_a_ratio_of_zero_is_plain_attention(attention, draw, rule):
    tokens = draw(2, LAYOUT.count, 16)
    reducer = MergeReducer(Reduction, GridGrouping(ratio=0.0), rule=rule)
    close(attention(tokens, reduce=bound(reducer)), attention(tokens))


@pytest.mark.parametrize("rule", RULES)
def test_the_network_computes_merged_attention(attention, draw, rule):
    tokens = draw(2, LAYOUT.count, 16)
    grouping = GridGrouping(seed=1)
    output = attention(tokens, reduce=bound(MergeReducer(Reduction, grouping, rule=rule)))
    groups = grouping(tokens, layer=0, layout=LAYOUT)
    mixed = merged_attention(*attention.heads_of(tokens), groups, rule=rule)
    with torch.no_grad():
        close(output, attention.proj(mixed.transpose(1, 2).flatten(2)))


def test_keys_may_be_what_tokens_are_compared_by(attention, draw):
    tokens, seen = draw(1, LAYOUT.count, 16), []

    def grouping(features, *, layer, layout):
        seen.append((features, layer))
        return GridGrouping()(features, layer=layer, layout=layout)

    for features in ("tokens", "keys"):
        reducer = MergeReducer(Reduction, grouping, features=features)
        attention(tokens, reduce=bound(reducer, layer=5))
    assert torch.equal(seen[0][0], tokens)
    assert torch.equal(seen[1][0], mean_over_heads(attention.heads_of(tokens).key))
    assert [layer for _, layer in seen] == [5, 5]
    with pytest.raises(ValueError, match="must be 'tokens' or 'keys', got 'values'"):
        MergeReducer(Reduction, grouping, features="values")


def test_a_network_of_equal_frames_does_not_feel_proportional_merging(aggregator, images):
    """Frames that show the same, but for the first: tokens at one place are equal."""
    scene = images[:, :2].repeat_interleave(torch.tensor([1, 3]), dim=1)
    layout = TokenLayout(4, 3, 4)

    def across_frames(features, *, layer, layout):
        from attention_collapse.merging.groups import Groups

        place = torch.arange(layout.count) % layout.per_frame
        later = (torch.arange(layout.count) >= layout.per_frame).long()
        return Groups((place + later * layout.per_frame).expand(2, -1), 2 * layout.per_frame)

    plain = aggregator(scene).layers[2]
    sized = aggregator(scene, reducer=MergeReducer(Reduction, across_frames)).layers[2]
    close(sized, plain)
    unsized = MergeReducer(Reduction, across_frames, rule=MergeRule("none"))
    assert (aggregator(scene, reducer=unsized).layers[2] - plain).abs().max() > 1e-3
    assert plain.shape[2] == layout.per_frame


@pytest.mark.parametrize(
    "reducer",
    [
        MergeReducer(Reduction, FASTVGGT),
        MergeReducer(Reduction, ReusedGrouping(GridGrouping(), every=2)),
        ReleasedReducer(Reduction),
    ],
    ids=["fastvggt", "reused", "released"],
)
def test_every_reducer_runs_in_the_network_scene_by_scene(aggregator, images, reducer):
    assert isinstance(reducer, Reducer)
    scenes = images[:1].repeat(2, 1, 1, 1, 1)
    both = aggregator(scenes, reducer=reducer).layers[2]
    alone = aggregator(images[:1], reducer=reducer).layers[2]
    close(both, alone.expand_as(both))
    assert (alone - aggregator(images[:1]).layers[2]).abs().max() > 1e-3


def test_scenes_of_one_batch_are_merged_apart(aggregator, images):
    reducer = MergeReducer(Reduction, FASTVGGT)
    both = aggregator(images, reducer=reducer).layers[2]
    for scene in range(2):
        alone = aggregator(images[scene][None], reducer=reducer).layers[2]
        close(both[scene], alone[0])


def test_the_release_drops_the_sizes(draw):
    tokens = draw(1, LAYOUT.count, 16)
    heads = Heads(*(draw(1, 2, LAYOUT.count, 8) for _ in range(3)))
    reduction = ReleasedReducer(Reduction)(heads, tokens, layer=0, layout=LAYOUT)
    generator = torch.Generator().manual_seed(SEED)
    found = released_match(tokens, released_partition(LAYOUT, generator=generator))
    assert reduction.key_bias is None
    assert all(
        torch.equal(reduced, found.merge(tensor))
        for reduced, tensor in zip(reduction.heads, heads, strict=True)
    )
    sized = MergeReducer(Reduction, FASTVGGT)(heads, tokens, layer=0, layout=LAYOUT)
    assert (sized.key_bias > 0).any()


@pytest.mark.claims("prop-merge-bias", "eq-merge-bias")
def test_merging_beside_a_kept_reference_is_the_reference_bias(aggregator, images):
    """Equal later frames, merged three to one without sizes, against a bias of ln 3."""
    scene = images[:, :2].repeat_interleave(torch.tensor([1, 3]), dim=1)
    biased = aggregator(scene, reducer=AdjustedScores(bias=math.log(3))).layers[2]
    for rule, bias in ((MergeRule("none"), 0.0), (MergeRule("size"), math.log(3))):
        reducer = MergeReducer(Reduction, LaterFramesTogether(), rule, reference_bias=bias)
        close(aggregator(scene, reducer=reducer).layers[2], biased)


def test_a_reference_that_merges_shares_its_bias(attention, draw):
    """One group of everything: the bias moves no weight. Singletons: it acts as on all tokens."""
    tokens = draw(1, LAYOUT.count, 16)

    def alone(features, *, layer, layout):
        return Groups.singletons(*features.shape[:2])

    for rule in RULES[:4]:
        reducer = MergeReducer(Reduction, alone, rule, reference_bias=0.8)
        expected = attention(tokens, reduce=bound(AdjustedScores(bias=0.8)))
        close(attention(tokens, reduce=bound(reducer)), expected)
    whole = Groups(torch.zeros(1, LAYOUT.count, dtype=torch.int64), 1)
    reducer = MergeReducer(Reduction, lambda *_, **__: whole, MergeRule("none"), reference_bias=2.0)
    bias = bound(reducer)(attention.heads_of(tokens), tokens).key_bias
    share = LAYOUT.per_frame / LAYOUT.count
    assert bias.item() == pytest.approx(math.log(share * math.exp(2.0) + 1 - share))
    with pytest.raises(ValueError, match="reference_bias must be finite, got inf"):
        MergeReducer(Reduction, alone, reference_bias=math.inf)


class LaterFramesTogether:
    """Tokens at one place of the later frames are one group; the first frame is kept apart."""

    def __call__(self, features, *, layer, layout):
        place = torch.arange(layout.count) % layout.per_frame
        later = (torch.arange(layout.count) >= layout.per_frame).long()
        return Groups((place + later * layout.per_frame).expand(2, -1), 2 * layout.per_frame)

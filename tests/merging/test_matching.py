import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.merging.matching import (
    Match,
    directions,
    group,
    match,
    mean_over_heads,
    nearest,
    random_projection,
)
from attention_collapse.merging.partition import Partition, grid_partition
from attention_collapse.tokens import TokenLayout
from tolerances import FLOAT32_COSINE, FLOAT64, PROJECTED_COSINE

LAYOUT = TokenLayout(3, 3, 4, 2)


@pytest.fixture
def partition():
    return grid_partition(LAYOUT, generator=torch.Generator().manual_seed(2))


def cosines(features, partition):
    """By the definition of the cosine, one pair at a time."""
    return torch.stack(
        [
            torch.nn.functional.cosine_similarity(features[:, source, None], kept, dim=-1)
            for source in partition.sources
            for kept in [features[:, partition.destinations]]
        ],
        dim=1,
    )


@given(st.integers(0, 50), st.integers(1, 9))
def test_the_match_is_the_largest_cosine_in_any_chunk(seed, chunk):
    partition = grid_partition(LAYOUT)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, LAYOUT.count, 5, dtype=torch.float64, generator=generator)
    found = match(features, partition, chunk=chunk)
    expected = cosines(features, partition).max(-1)
    assert torch.equal(found.destination, expected.indices)
    torch.testing.assert_close(found.similarity, expected.values, rtol=0, atol=FLOAT64)


def test_lengths_do_not_change_a_match(draw, partition):
    features = draw(2, LAYOUT.count, 5)
    lengths = draw(2, LAYOUT.count, 1).exp()
    one, other = match(features, partition), match(features * lengths, partition)
    assert torch.equal(one.destination, other.destination)


def test_a_batch_entry_is_matched_as_if_alone(draw, partition):
    features = draw(3, LAYOUT.count, 5)
    together = match(features, partition)
    for entry in range(3):
        alone = match(features[entry][None], partition)
        assert torch.equal(alone.destination[0], together.destination[entry])


def test_an_order_of_the_destinations_permutes_the_match(draw):
    sources, destinations = directions(draw(2, 6, 4)), directions(draw(2, 5, 4))
    order = torch.tensor([3, 1, 4, 0, 2])
    found = nearest(sources, destinations[:, order])
    assert torch.equal(order[found.destination], nearest(sources, destinations).destination)


def test_short_numbers_are_matched_in_float32(draw, partition):
    features = draw(1, LAYOUT.count, 64, dtype=torch.bfloat16)
    found = match(features, partition)
    assert found.similarity.dtype == torch.float32
    exact = match(features.double(), partition)
    torch.testing.assert_close(
        found.similarity.double(), exact.similarity, rtol=0, atol=FLOAT32_COSINE
    )


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_directions_of_very_short_and_very_long_features(draw, size):
    features = draw(1, 4, 5, dtype=torch.float32)
    torch.testing.assert_close(directions(features * size), directions(features))


def test_a_zero_feature_has_cosine_zero_with_all(draw, partition):
    features = draw(1, LAYOUT.count, 5)
    features[0, partition.sources[3]] = 0
    features[0, partition.destinations[1]] = 0
    found = match(features, partition)
    assert found.similarity[0, 3] == 0
    assert found.similarity.isfinite().all()
    assert directions(torch.zeros(1, 1, 3)).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_feature_that_is_no_number_is_refused(draw, partition, bad):
    features = draw(1, LAYOUT.count, 5)
    features[0, 3, 2] = bad
    with pytest.raises(ValueError, match="features must be finite, got 1 tokens of 20 with"):
        match(features, partition)


@pytest.mark.parametrize("window", [0, 1])
def test_a_window_gives_the_largest_cosine_within_it(draw, window):
    partition = grid_partition(LAYOUT, reference="grid")
    features = draw(2, LAYOUT.count, 5)
    frames = [tokens // LAYOUT.per_frame for tokens in (partition.sources, partition.destinations)]
    outside = (frames[0][:, None] - frames[1]).abs() > window
    expected = cosines(features, partition).masked_fill(outside, -torch.inf).argmax(-1)
    found = match(features, partition, window=window)
    assert torch.equal(found.destination, expected)
    assert not torch.equal(found.destination, match(features, partition).destination)


def test_a_window_of_all_frames_is_no_window(draw, partition):
    features = draw(2, LAYOUT.count, 5)
    whole, wide = match(features, partition), match(features, partition, window=2)
    assert torch.equal(whole.destination, wide.destination)
    assert torch.equal(whole.similarity, wide.similarity)


def test_a_window_without_destination_is_refused(draw):
    sources = torch.tensor([LAYOUT.index(2, 0, 0)])
    partition = Partition(LAYOUT, torch.tensor([LAYOUT.index(0, 0, 0)]), sources)
    features = draw(1, LAYOUT.count, 5)
    with pytest.raises(ValueError, match="got none within 1 frames of frame 2; widen"):
        match(features, partition, window=1)
    with pytest.raises(ValueError, match="at least 0 frames, got -1"):
        match(features, partition, window=-1)
    assert match(features, partition, window=2).destination.tolist() == [[0]]


@given(st.integers(0, 20), st.integers(0, 30))
def test_groups_are_the_best_sources_with_their_destinations(seed, merged):
    partition = grid_partition(LAYOUT)
    merged = min(merged, len(partition.sources))
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, LAYOUT.count, 5, dtype=torch.float64, generator=generator)
    found = match(features, partition)
    groups = group(partition, found, merged=merged)
    assert groups.count == LAYOUT.count - merged
    for entry in range(2):
        ranked = found.similarity[entry].argsort(descending=True)
        joined = {
            int(partition.sources[place]): int(
                partition.destinations[found.destination[entry, place]]
            )
            for place in ranked[:merged]
        }
        rows = groups.assignment[entry]
        stands = [token for token in range(LAYOUT.count) if token not in joined]
        assert rows[stands].tolist() == list(range(groups.count))
        assert all(rows[source] == rows[target] for source, target in joined.items())


def test_special_and_kept_tokens_stay_alone(draw, partition):
    features = draw(1, LAYOUT.count, 5)
    groups = group(partition, match(features, partition), merged=len(partition.sources))
    sizes = groups.unmerge(groups.sizes[..., None].double())[0, :, 0]
    assert (sizes[torch.from_numpy(LAYOUT.is_special())] == 1).all()
    assert sizes.max() > 1


def test_more_tokens_than_sources_are_refused(draw, partition):
    found = match(draw(1, LAYOUT.count, 5), partition)
    sources = len(partition.sources)
    with pytest.raises(ValueError, match=f"at most all {sources} sources can join, got 42"):
        group(partition, found, merged=42)
    with pytest.raises(ValueError, match="sources can join, got -1"):
        group(partition, found, merged=-1)
    few = Match(found.destination[:, :2], found.similarity[:, :2])
    with pytest.raises(ValueError, match="got 1 with a match of 2"):
        group(partition, few, merged=1)


def test_what_cannot_be_matched_is_refused(draw, partition):
    with pytest.raises(ValueError, match="must be of the 42 tokens of the layout, got 41"):
        match(draw(1, 41, 5), partition)
    single = grid_partition(TokenLayout(1, 3, 4))
    with pytest.raises(ValueError, match="needs a source, got a partition without one"):
        match(draw(1, 17, 5), single)
    with pytest.raises(ValueError, match="need a destination to join, got none"):
        nearest(draw(1, 2, 5), draw(1, 0, 5))
    with pytest.raises(ValueError, match="at least 1 source, got 0"):
        nearest(draw(1, 2, 5), draw(1, 2, 5), chunk=0)
    with pytest.raises(ValueError, match=r"must have entries, got shape \(1, 4, 0\)"):
        directions(draw(1, 4, 0))


def test_a_projection_on_all_dimensions_keeps_every_cosine(draw, generator, partition):
    features = draw(2, LAYOUT.count, 6)
    turned = random_projection(features, dim=6, generator=generator)
    one, other = match(features, partition), match(turned, partition)
    assert torch.equal(one.destination, other.destination)
    torch.testing.assert_close(one.similarity, other.similarity, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("dim", [16, 64])
def test_a_cosine_of_unrelated_features_moves_by_one_over_the_root(draw, generator, dim):
    """Pairs of orthogonal features of width 1024 in one random subspace."""
    width, pairs = 1024, 4000
    first = directions(draw(1, pairs, width))
    second = draw(1, pairs, width)
    second = second - (second * first).sum(-1, keepdim=True) * first
    both = random_projection(torch.cat((first, second)), dim=dim, generator=generator)
    spread = directions(both).prod(0).sum(-1).std()
    # All of a pair's cosine, 0, is that in the subspace and that in the rest.
    expected = (1 / dim - 1 / width) ** 0.5
    assert abs(spread / expected - 1) < PROJECTED_COSINE


@pytest.mark.parametrize("dim", [0, 6])
def test_a_projection_to_no_or_too_many_dimensions_is_refused(draw, generator, dim):
    with pytest.raises(ValueError, match=f"at most all 5 dimensions, got {dim}"):
        random_projection(draw(1, 3, 5), dim=dim, generator=generator)


def test_keys_are_averaged_over_heads(draw):
    keys = draw(2, 3, 4, 5)
    assert torch.equal(mean_over_heads(keys), (keys[:, 0] + keys[:, 1] + keys[:, 2]) / 3)

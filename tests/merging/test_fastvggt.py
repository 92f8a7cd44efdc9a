"""The faults of the release, each beside the same idea without it."""

import pytest
import torch

from attention_collapse.merging.fastvggt import SEED, released_match, released_partition
from attention_collapse.merging.grouping import FASTVGGT
from attention_collapse.merging.matching import match
from attention_collapse.tokens import TokenLayout
from tolerances import FLOAT64

VGGT_GRID = (28, 37)


def released(layout, *, protect=True, seed=SEED):
    generator = torch.Generator().manual_seed(seed)
    return released_partition(layout, protect=protect, generator=generator)


def patches_of_frame(chosen, layout, frame):
    """Which patches of a frame are chosen, as a grid."""
    roles = torch.zeros(layout.count, dtype=torch.bool)
    roles[chosen] = True
    start = frame * layout.per_frame + layout.special
    return roles[start : start + layout.patches].view(layout.rows, layout.columns)


def chosen_by_cell(grid):
    """Number of chosen patches in every whole cell of 2 x 2."""
    rows, columns = (side // 2 for side in grid.shape)
    return grid[: 2 * rows, : 2 * columns].view(rows, 2, columns, 2).sum((1, 3))


def draw_features(layout, *, batch=1, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, layout.count, width, generator=generator)


@pytest.mark.parametrize(("frames", "rows"), [(2, 1506), (10, 4395)])
def test_the_ratio_does_not_bind(frames, rows):
    """Asked to keep a tenth, the release keeps 72 % of 2 frames and 42 % of 10."""
    layout = TokenLayout(frames, *VGGT_GRID)
    partition = released(layout)
    features = draw_features(layout, width=2)
    found = released_match(features, partition)
    assert found.merge(features).shape[1] == rows
    assert found.unmerged.shape[1] == 0
    with pytest.raises(ValueError, match="ratio 0.9 must not remove more tokens than there are"):
        FASTVGGT.partition(layout).merged_tokens(0.9)


def test_protected_tokens_that_are_destinations_count_twice():
    layout = TokenLayout(10, *VGGT_GRID)
    partition = released(layout)
    twice = torch.isin(partition.protected, partition.destinations)
    assert len(partition.protected) == 1041
    assert twice.sum() == 335
    roles = FASTVGGT.partition(layout)
    assert len(roles.destinations) + len(roles.sources) + len(roles.kept) == layout.count


def test_protected_tokens_stay_as_they_are():
    layout = TokenLayout(3, 6, 7)
    features = draw_features(layout)
    found = released_match(features, released(layout))
    protected = found.partition.protected
    assert torch.isin(protected, found.partition.sources).any()
    assert not torch.isin(found.partition.sources[found.merged], protected).any()
    after = found.unmerge(found.merge(features))
    assert torch.equal(after[:, protected], features[:, protected])


def test_merging_and_its_way_back_are_no_projection():
    layout = TokenLayout(3, 6, 7)
    features = draw_features(layout).double()
    found = released_match(features, released(layout))
    once = found.unmerge(found.merge(features))
    assert (found.unmerge(found.merge(once)) - once).abs().max() > 0.1
    groups = FASTVGGT(features, layer=0, layout=layout)
    ours = groups.unmerge(groups.merge(features))
    twice = groups.unmerge(groups.merge(ours))
    torch.testing.assert_close(twice, ours, rtol=0, atol=FLOAT64)


def test_cells_shear_on_an_odd_grid():
    layout = TokenLayout(2, *VGGT_GRID)
    sheared = patches_of_frame(released(layout).destinations, layout, 1)
    counts = chosen_by_cell(sheared).flatten().bincount(minlength=4).tolist()
    assert (counts[0], counts[1], sum(counts[2:])) == (59, 146, 47)
    assert not sheared.flatten()[-28:].any()
    even = TokenLayout(2, 28, 36)
    straight = patches_of_frame(released(even).destinations, even, 1)
    assert (chosen_by_cell(straight) == 1).all()


def test_without_a_draw_no_patch_is_a_destination():
    layout = TokenLayout(3, 4, 6)
    partition = released_partition(layout, generator=None)
    assert not patches_of_frame(partition.destinations, layout, 1).any()
    assert patches_of_frame(partition.destinations, layout, 0).all()


def test_protection_uses_the_match_of_the_first_batch_entry_for_all():
    layout = TokenLayout(3, 4, 6)
    features = draw_features(layout, batch=2)
    alone = released_match(features[1:], released(layout))
    together = released_match(features, released(layout))
    first = released_match(features[:1], released(layout))
    assert not torch.equal(together.merge(features)[1], alone.merge(features[1:])[0])
    assert torch.equal(together.merge(features)[1], first.merge(features[1:])[0])
    unprotected = released_match(features, released(layout, protect=False))
    single = released_match(features[1:], released(layout, protect=False))
    assert torch.equal(unprotected.merge(features)[1], single.merge(features[1:])[0])


def test_special_tokens_absorb_patches():
    """A patch like a camera token is averaged into it."""
    layout = TokenLayout(3, 4, 6)
    features = draw_features(layout)
    partition = released(layout, protect=False)
    source = int(partition.sources[5])
    camera = layout.special_index(1, 0)
    features[0, source] = features[0, camera] * 2
    found = released_match(features, partition)
    after = found.unmerge(found.merge(features))
    torch.testing.assert_close(after[0, camera], after[0, source])
    assert not torch.equal(after[0, camera], features[0, camera])
    groups = FASTVGGT(features, layer=0, layout=layout)
    ours = groups.unmerge(groups.merge(features))
    special = torch.from_numpy(layout.is_special())
    assert torch.equal(ours[:, special], features[:, special])


def test_cosines_are_rounded_so_that_other_destinations_win():
    layout = TokenLayout(4, 12, 12)
    features = draw_features(layout, width=3)
    rounded = released_match(features, released(layout, protect=False))
    assert torch.equal(rounded.similarity, rounded.similarity.bfloat16().float())
    exact = match(features, FASTVGGT.partition(layout))
    assert not torch.equal(exact.similarity, exact.similarity.bfloat16().float())
    units = torch.nn.functional.normalize(features, dim=-1)
    scores = units[:, rounded.partition.sources] @ units[:, rounded.partition.destinations].mT
    assert (scores.argmax(-1) != rounded.destination).double().mean() > 0.05


def test_every_source_is_put_back_as_its_destination():
    layout = TokenLayout(3, 4, 6)
    features = draw_features(layout, batch=2)
    found = released_match(features, released(layout, protect=False), merged=9)
    rows = torch.arange(layout.count - 9.0).view(1, -1, 1).expand(2, -1, 3)
    back = found.unmerge(rows)
    sources, destinations = found.partition.sources, found.partition.destinations
    for entry in range(2):
        joined = sources[found.merged[entry]]
        targets = destinations[found.joined[entry]]
        assert torch.equal(back[entry, joined], back[entry, targets])
        stay = back[entry, sources[found.unmerged[entry]], 0]
        assert stay.tolist() == list(range(found.unmerged.shape[1]))


def test_axes_between_batch_and_tokens_are_merged_alike():
    layout = TokenLayout(2, 4, 6)
    features = draw_features(layout, batch=2)
    found = released_match(features, released(layout))
    heads = features.unflatten(-1, (2, 4)).transpose(1, 2)
    for head in range(2):
        assert torch.equal(found.merge(heads)[:, head], found.merge(heads[:, head]))
        merged = found.merge(heads)
        assert torch.equal(found.unmerge(merged)[:, head], found.unmerge(merged[:, head]))


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        (TokenLayout(1, 4, 6), {}, r"at least 2 frames and a cell of .* got 5, 1 and \(2, 2\)"),
        (TokenLayout(2, 4, 6, 4), {}, r"needs 5 special tokens, .* got 4, 2 and \(2, 2\)"),
        (TokenLayout(2, 4, 6), {"cell": (0, 2)}, r"got 5, 2 and \(0, 2\)"),
    ],
)
def test_what_the_release_cannot_partition_is_refused(layout, options, message):
    with pytest.raises(ValueError, match=message):
        released_partition(layout, generator=None, **options)


def test_what_the_release_cannot_match_is_refused():
    layout = TokenLayout(2, 4, 6)
    features, partition = draw_features(layout), released(layout)
    with pytest.raises(ValueError, match="matches 58 tokens and removes at least 1, got 57 and"):
        released_match(features[:, 1:], partition)
    with pytest.raises(ValueError, match="removes at least 1, got 58 and 0"):
        released_match(features, partition, merged=0)
    with pytest.raises(ValueError, match="tokens must number 58, got 57"):
        released_match(features, partition).merge(features[:, 1:])
    with pytest.raises(ValueError, match="put back what was merged"):
        released_match(features, partition).unmerge(features)
    for bad in (0.0, torch.nan):
        features[0, 3] = bad
        with pytest.raises(ValueError, match="must be finite and not zero, got norms from"):
            released_match(features, partition)

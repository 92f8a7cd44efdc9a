import pytest
import torch

from attention_collapse.merging.grouping import FASTVGGT, GridGrouping, ReusedGrouping
from attention_collapse.tokens import TokenLayout

LAYOUT = TokenLayout(4, 5, 6)


def same(one, other):
    return torch.equal(one.assignment, other.assignment)


@pytest.mark.parametrize(("ratio", "count"), [(0.0, 140), (0.25, 105), (None, 77)])
def test_the_ratio_is_the_share_of_tokens_removed(draw, ratio, count):
    """140 tokens, 63 of them sources: three frames of 30 patches in 3 x 3 cells."""
    groups = GridGrouping(ratio=ratio)(draw(2, LAYOUT.count, 8), layer=0, layout=LAYOUT)
    assert groups.count == count
    assert (groups.sizes.sum(1) == LAYOUT.count).all()


def test_balanced_cells_leave_fewer_groups(draw):
    """Five rows and six columns in cells of three by two: one row of cells, or two with a cut."""
    options = {"cell": (3, 2), "reference": "grid"}
    features = draw(2, LAYOUT.count, 8)
    cut, even = (
        GridGrouping(balanced=balanced, **options)(features, layer=0, layout=LAYOUT)
        for balanced in (False, True)
    )
    assert (cut.count, even.count) == (4 * (5 + 6), 4 * (5 + 3))


def test_a_ratio_beyond_the_sources_is_refused(draw):
    with pytest.raises(ValueError, match=r"got 126 of 140 tokens and 63 sources; ask for at most"):
        GridGrouping(ratio=0.9)(draw(1, LAYOUT.count, 8), layer=0, layout=LAYOUT)


def test_one_frame_and_one_patch_merge_what_there_is(draw):
    single = TokenLayout(1, 2, 3)
    groups = GridGrouping(reference="grid")(draw(2, 11, 4), layer=0, layout=single)
    assert groups.count == 11 - 4
    assert GridGrouping()(draw(2, 11, 4), layer=0, layout=single).count == 11
    assert GridGrouping()(draw(1, 2, 4), layer=0, layout=TokenLayout(2, 1, 1, 0)).count == 2


def test_fastvggt_without_faults_protects_a_tenth_of_the_patches(draw):
    groups = FASTVGGT(draw(1, LAYOUT.count, 8), layer=0, layout=LAYOUT)
    kept = FASTVGGT.partition(LAYOUT).kept
    assert len(kept) == 4 * 5 + 12
    assert (groups.unmerge(groups.sizes[..., None].double())[0, kept] == 1).all()


def test_layers_share_the_draw_unless_it_is_redrawn():
    fixed, redrawn = GridGrouping(seed=3), GridGrouping(seed=3, redraw=True)
    parts = [
        [grouping.partition(LAYOUT, layer=layer).destinations for layer in (0, 7)]
        for grouping in (fixed, redrawn)
    ]
    assert torch.equal(*parts[0])
    assert not torch.equal(*parts[1])
    assert torch.equal(parts[0][0], parts[1][0])


def test_a_projection_on_all_dimensions_changes_no_group(draw):
    features = draw(2, LAYOUT.count, 8)
    whole = GridGrouping(seed=0)(features, layer=0, layout=LAYOUT)
    turned = GridGrouping(seed=0, dimensions=8)(features, layer=0, layout=LAYOUT)
    short = GridGrouping(seed=0, dimensions=2)(features, layer=0, layout=LAYOUT)
    assert same(whole, turned)
    assert not same(whole, short)


def test_a_window_keeps_tokens_in_their_frame(draw):
    grouping = GridGrouping(reference="grid", window=0)
    groups = grouping(draw(1, LAYOUT.count, 8), layer=0, layout=LAYOUT)
    frames = torch.arange(LAYOUT.count).view(1, -1, 1) // LAYOUT.per_frame
    assert torch.equal(groups.unmerge(groups.merge(frames.double())), frames.double())


@pytest.mark.parametrize("options", [{"redraw": True}, {"dimensions": 2}])
def test_draws_need_a_seed(options):
    with pytest.raises(ValueError, match="redraw and dimensions need a seed, got none"):
        GridGrouping(**options)


def test_groups_are_used_again_between_the_layers_that_make_them(draw):
    calls = []

    def make(features, *, layer, layout):
        calls.append(layer)
        return GridGrouping()(features, layer=layer, layout=layout)

    reused = ReusedGrouping(make, every=3).for_forward()
    features = [draw(1, LAYOUT.count, 8) for _ in range(7)]
    groups = [reused(part, layer=layer, layout=LAYOUT) for layer, part in enumerate(features)]
    assert calls == [0, 3, 6]
    for layer, part in enumerate(groups):
        made = GridGrouping()(features[layer - layer % 3], layer=0, layout=LAYOUT)
        assert same(part, made)
    assert not same(groups[0], groups[3])


def test_groups_of_another_forward_are_refused(draw):
    reused = ReusedGrouping(GridGrouping(), every=2).for_forward()
    features = draw(1, LAYOUT.count, 8)
    with pytest.raises(ValueError, match="layer 1 uses the groups of layer 0 .* got nothing"):
        reused(features, layer=1, layout=LAYOUT)
    reused(features, layer=0, layout=LAYOUT)
    with pytest.raises(ValueError, match="layer 3 uses the groups of layer 2 .* got layer 0"):
        reused(features, layer=3, layout=LAYOUT)
    with pytest.raises(ValueError, match="got layer 0, TokenLayout"):
        reused(draw(1, 11, 8), layer=1, layout=TokenLayout(1, 2, 3))
    with pytest.raises(ValueError, match=r"are of shape \(1, 140\), got features of \(2, 140\)"):
        reused(draw(2, LAYOUT.count, 8), layer=1, layout=LAYOUT)
    with pytest.raises(ValueError, match="layer 3 uses the groups of layer 2, got no forward"):
        ReusedGrouping(GridGrouping(), every=2)(features, layer=3, layout=LAYOUT)
    with pytest.raises(ValueError, match="at least 1 layer, got 0"):
        ReusedGrouping(GridGrouping(), every=0)


def test_two_forwards_of_one_grouping_do_not_meet(draw):
    reused = ReusedGrouping(GridGrouping(), every=2)
    features = [draw(1, LAYOUT.count, 8) for _ in range(2)]
    forwards = [reused.for_forward() for _ in features]
    first = [
        forward(part, layer=0, layout=LAYOUT)
        for forward, part in zip(forwards, features, strict=True)
    ]
    for forward, part, groups in zip(forwards, features, first, strict=True):
        assert forward(part, layer=1, layout=LAYOUT) is groups
    assert not same(*first)


def test_a_partition_is_drawn_once_for_all_layers(draw):
    fixed, redrawn = GridGrouping(seed=3), GridGrouping(seed=3, redraw=True)
    assert fixed.partition(LAYOUT, layer=5) is GridGrouping(seed=3).partition(LAYOUT, layer=0)
    assert redrawn.partition(LAYOUT, layer=5) is not redrawn.partition(LAYOUT, layer=4)
    assert fixed.partition(TokenLayout(3, 5, 6)) is not fixed.partition(LAYOUT)

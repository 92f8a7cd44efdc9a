import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.merging.partition import Partition, grid_partition, protected_patches
from attention_collapse.tokens import TokenLayout

LAYOUTS = st.builds(
    TokenLayout, st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(0, 5)
)
CELLS = st.tuples(st.integers(1, 4), st.integers(1, 4))


def seeded(seed):
    return None if seed is None else torch.Generator().manual_seed(seed)


def chosen_by_frame(partition):
    """Destinations as a grid of booleans for every frame."""
    layout = partition.layout
    chosen = torch.zeros(layout.count, dtype=torch.bool)
    chosen[partition.destinations] = True
    patches = chosen.view(layout.frames, layout.per_frame)[:, layout.special :]
    return patches.view(layout.frames, layout.rows, layout.columns)


@given(
    LAYOUTS,
    CELLS,
    st.sampled_from(["destination", "protected", "grid"]),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([0.0, 0.3]),
)
def test_every_token_has_one_role_and_special_tokens_are_kept(layout, cell, role, seed, share):
    if role == "protected" and layout.frames == 1:
        return
    protected = protected_patches(layout, share=share, generator=seeded(seed))
    partition = grid_partition(
        layout, cell=cell, reference=role, protected=protected, generator=seeded(seed)
    )
    roles = torch.cat((partition.destinations, partition.sources, partition.kept))
    assert torch.equal(roles.sort().values, torch.arange(layout.count))
    special = torch.from_numpy(layout.is_special())
    assert special[partition.kept].sum() == special.sum()
    assert torch.isin(protected, partition.kept).all()


@given(LAYOUTS, CELLS, st.sampled_from([None, 0, 1]))
def test_every_cell_has_one_destination_on_any_grid(layout, cell, seed):
    partition = grid_partition(layout, cell=cell, reference="grid", generator=seeded(seed))
    for frame in chosen_by_frame(partition):
        for rows in frame.split(cell[0]):
            for patches in rows.split(cell[1], dim=1):
                assert patches.sum() == 1
                assert seed is not None or patches[0, 0]


def stripes(lines, side):
    """Sides of balanced cells along one axis: the longer ones are spread among the shorter."""
    count = max(1, lines // side)
    ends = [-(-lines * (cell + 1) // count) for cell in range(count)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


@given(LAYOUTS, CELLS, st.sampled_from([None, 0, 1]))
def test_balanced_cells_tile_any_grid_and_differ_by_one_line(layout, cell, seed):
    """One destination in each of the rectangles that the sides cut; none is below the cell."""
    options = {"balanced": True, "reference": "grid", "generator": seeded(seed)}
    partition = grid_partition(layout, cell=cell, **options)
    sides = stripes(layout.rows, cell[0]), stripes(layout.columns, cell[1])
    for lines, least, found in zip((layout.rows, layout.columns), cell, sides, strict=True):
        assert sum(found) == lines
        assert max(found) - min(found) <= 1
        assert min(found) >= min(least, lines)
        assert len(found) == max(1, lines // least)
    for frame in chosen_by_frame(partition):
        for rows in frame.split(sides[0]):
            for patches in rows.split(sides[1], dim=1):
                assert patches.sum() == 1
                assert seed is not None or patches[0, 0]


@given(LAYOUTS, CELLS)
def test_balanced_cells_are_the_same_where_the_cell_fits(layout, cell):
    whole = TokenLayout(layout.frames, layout.rows * cell[0], layout.columns * cell[1])
    cut, even = (grid_partition(whole, cell=cell, balanced=balanced) for balanced in (False, True))
    assert torch.equal(cut.destinations, even.destinations)
    assert torch.equal(cut.sources, even.sources)


def test_the_grid_of_vggt_in_balanced_cells_keeps_108_patches():
    """28 x 37 patches: nine rows and twelve columns of cells, one of each being four long."""
    layout = TokenLayout(2, 28, 37)
    options = {"cell": (3, 3), "reference": "grid"}
    even = grid_partition(layout, balanced=True, **options)
    assert len(even.destinations) == 2 * 9 * 12
    assert len(grid_partition(layout, **options).destinations) == 2 * 10 * 13
    assert sorted(stripes(28, 3)) == [3] * 8 + [4]
    assert sorted(stripes(37, 3)) == [3] * 11 + [4]


def test_a_grid_smaller_than_a_balanced_cell_is_one_cell():
    partition = grid_partition(TokenLayout(2, 2, 7), cell=(3, 4), balanced=True, reference="grid")
    assert [int(frame.sum()) for frame in chosen_by_frame(partition)] == [1, 1]


def test_the_grid_of_vggt_has_no_sheared_cell():
    """28 x 37 patches: 14 x 19 cells, the last column of them half as wide."""
    layout = TokenLayout(2, 28, 37)
    partition = grid_partition(layout, generator=torch.Generator().manual_seed(33))
    first, second = chosen_by_frame(partition)
    assert first.all()
    assert second.sum() == 14 * 19
    assert all(patches.sum() == 1 for rows in second.split(2) for patches in rows.split(2, dim=1))


def test_the_draw_takes_every_patch_of_a_cell_alike():
    layout = TokenLayout(1, 80, 80, 0)
    generator = torch.Generator().manual_seed(0)
    chosen = chosen_by_frame(grid_partition(layout, reference="grid", generator=generator))[0]
    shares = chosen.view(40, 2, 40, 2).double().mean((0, 2))
    # 1600 draws with probability 1/4 have a standard deviation of .011: five times that.
    assert (shares - 0.25).abs().max() < 0.055


def test_another_patch_of_a_cell_stands_in_for_a_protected_one():
    layout = TokenLayout(1, 2, 4, 1)
    protected = torch.tensor([layout.index(0, 0, 0), *(layout.index(0, 0, 2),)])
    everything = torch.tensor([layout.index(0, row, column) for row in (0, 1) for column in (0, 1)])
    partition = grid_partition(layout, reference="grid", protected=protected)
    assert partition.destinations.tolist() == [layout.index(0, 0, 1), layout.index(0, 0, 3)]
    partition = grid_partition(layout, reference="grid", protected=everything)
    assert partition.destinations.tolist() == [layout.index(0, 0, 2)]
    assert len(partition.sources) == 3


@pytest.mark.parametrize(
    ("role", "destinations", "sources"), [("destination", 12 + 4, 8), ("protected", 4, 8)]
)
def test_the_role_of_the_reference_frame(role, destinations, sources):
    partition = grid_partition(TokenLayout(2, 3, 4), reference=role)
    assert len(partition.destinations) == destinations
    assert len(partition.sources) == sources
    assert (partition.sources >= 17).all()


def test_the_same_seed_gives_the_same_partition():
    layout = TokenLayout(3, 5, 6)
    one, same, other = (grid_partition(layout, generator=seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.destinations, same.destinations)
    assert not torch.equal(one.destinations, other.destinations)


def test_protected_patches_are_a_share_of_all_and_reach_every_column():
    layout = TokenLayout(10, 28, 37)
    assert protected_patches(layout, share=0.0).tolist() == []
    for generator in (None, torch.Generator().manual_seed(0)):
        protected = protected_patches(layout, share=0.1, generator=generator)
        assert len(protected) == 1036
        assert not torch.from_numpy(layout.is_special())[protected].any()
    assert len((protected % layout.per_frame).unique()) > 500


@pytest.mark.parametrize(("ratio", "merged"), [(None, 8), (0.0, 0), (0.1, 3), (8 / 34, 8)])
def test_the_ratio_is_honoured(ratio, merged):
    partition = grid_partition(TokenLayout(2, 3, 4))
    assert partition.merged_tokens(ratio) == merged


@pytest.mark.parametrize("ratio", [-0.1, 1.0, torch.nan])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ValueError, match=f"at least 0 and less than 1, got {ratio}"):
        grid_partition(TokenLayout(2, 3, 4)).merged_tokens(ratio)


def test_a_ratio_that_cannot_be_honoured_is_refused():
    message = "got 30 of 34 tokens and 8 sources; ask for at most 0.2353"
    with pytest.raises(ValueError, match=message):
        grid_partition(TokenLayout(2, 3, 4)).merged_tokens(0.9)


def test_protecting_all_patches_is_refused():
    layout = TokenLayout(2, 3, 4)
    everything = torch.arange(layout.count)
    with pytest.raises(ValueError, match="must leave a patch to merge into, got all 24 patches"):
        grid_partition(layout, protected=everything)
    with pytest.raises(ValueError, match="must leave a patch to merge into"):
        grid_partition(TokenLayout(1, 3, 4), reference="protected")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "first"}, "'destination', 'protected' or 'grid', got 'first'"),
        ({"cell": (0, 2), "balanced": True}, r"at least 1 row and 1 column, got \(0, 2\)"),
        ({"cell": (0, 2)}, r"at least 1 row and 1 column, got \(0, 2\)"),
        ({"protected": torch.tensor([34])}, "protected must be at least 0 and less than 34, got"),
        ({"protected": torch.tensor([-1])}, "protected must be at least 0 and less than 34, got"),
    ],
)
def test_a_partition_that_does_not_fit_the_grid_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        grid_partition(TokenLayout(2, 3, 4), **options)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match=f"at least 0 and less than 1, got {share}"):
        protected_patches(TokenLayout(2, 3, 4), share=share)


@pytest.mark.parametrize(
    ("destinations", "sources", "message"),
    [
        ([6, 7], [7, 8], "one role, got 1 tokens that are source and destination, such as 7"),
        ([0], [6], "destinations must be patches, got 1 special tokens, such as 0"),
        ([6], [18], "sources must be patches, got 1 special tokens, such as 18"),
        ([7, 6], [], "destinations must be ascending and different"),
        ([6, 6], [], "destinations must be ascending and different"),
        ([], [6], "sources need a destination, got 1 sources and none"),
        ([34], [], "destinations must be at least 0 and less than 34, got 34 to 34"),
    ],
)
def test_roles_that_overlap_or_do_not_exist_are_refused(destinations, sources, message):
    roles = (torch.tensor(tokens, dtype=torch.int64) for tokens in (destinations, sources))
    with pytest.raises(ValueError, match=re.escape(message)):
        Partition(TokenLayout(2, 3, 4), *roles)

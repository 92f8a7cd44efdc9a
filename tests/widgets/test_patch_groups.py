"""Groups of patches in numpy are those of ``merging``, which pages cannot load."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.merging.grouping import GridGrouping
from attention_collapse.tokens import TokenLayout
from attention_collapse.widgets.patch_groups import (
    REFERENCES,
    destination_patches,
    patch_groups,
)

layouts = st.builds(
    TokenLayout, st.integers(2, 4), st.integers(1, 6), st.integers(2, 6), special=st.just(0)
)


@given(
    layout=layouts,
    cell=st.sampled_from([2, 3, 4]),
    reference=st.sampled_from(REFERENCES),
    share=st.floats(0, 1),
)
def test_groups_are_those_of_merging(layout, cell, reference, share):
    tokens = np.random.default_rng(0).standard_normal((layout.count, 3))
    partition = GridGrouping(cell=(cell, cell), reference=reference).partition(layout)
    free, joining = destination_patches(layout, cell=cell, reference=reference)
    assert np.flatnonzero(free).tolist() == partition.destinations.tolist()
    assert np.flatnonzero(joining).tolist() == partition.sources.tolist()
    ratio = share * len(partition.sources) / layout.count
    grouping = GridGrouping(cell=(cell, cell), ratio=ratio, reference=reference)
    expected = grouping(torch.from_numpy(tokens)[None], layer=0, layout=layout).assignment[0]
    found = patch_groups(tokens, layout, cell=cell, ratio=ratio, reference=reference)
    pairs = set(zip(found.tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(set(found)) == len(expected.unique())
    assert all(free[home] for token, home in enumerate(found) if home != token)


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_ratio_above_what_may_merge_takes_all_that_may(reference):
    layout = TokenLayout(3, 4, 4, special=0)
    tokens = np.random.default_rng(0).standard_normal((48, 3))
    _, joining = destination_patches(layout, cell=2, reference=reference)
    found = patch_groups(tokens, layout, cell=2, ratio=0.9, reference=reference)
    assert np.array_equal(found != np.arange(48), joining)


def test_a_zero_token_joins_the_first_destination():
    layout = TokenLayout(1, 2, 4, special=0)
    tokens = np.random.default_rng(0).standard_normal((8, 3))
    tokens[5] = 0
    assert patch_groups(tokens, layout, cell=2, ratio=0.9, reference="grid")[5] == 0

"""Groups of tokens for property tests."""

import torch
from hypothesis import strategies as st

from attention_collapse.merging.groups import Groups


@st.composite
def groupings(draw, *, largest=9):
    """Groups of up to three batch entries, each entry another partition into as many groups."""
    batch = draw(st.integers(1, 3))
    tokens = draw(st.integers(1, largest))
    count = draw(st.integers(1, tokens))
    extra = st.lists(st.integers(0, count - 1), min_size=tokens - count, max_size=tokens - count)
    rows = [draw(st.permutations([*range(count), *draw(extra)])) for _ in range(batch)]
    return Groups(torch.tensor(rows), count)


def normal_like(groups, *axes, width=3, seed=0):
    """Tokens of the groups, with further axes between batch and tokens."""
    batch, tokens = groups.assignment.shape
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, *axes, tokens, width, dtype=torch.float64, generator=generator)

"""The kernels of merging against the portable backend in float64.

``pytest -m gpu`` on a CUDA device; ``TRITON_INTERPRET=1`` runs them on the CPU.
"""

import pytest
import torch

from attention_collapse.merging.groups import Groups
from attention_collapse.merging.members import Members
from attention_collapse.merging.portable import PortableBackend
from kernel_device import DEVICE, MARKS, STORAGES, skip_without_kernels
from tolerances import HALF_COSINE, HALF_DIRECTION, MERGED_ATTENTION, ROUNDED_MEAN

skip_without_kernels()

from attention_collapse.merging.kernels import TILES, Tiles, TritonBackend  # noqa: E402
from attention_collapse.merging.kernels import attention as attention_kernel  # noqa: E402

pytestmark = MARKS
each_storage = pytest.mark.parametrize("storage", STORAGES, ids=str)
TRITON, PORTABLE = TritonBackend(), PortableBackend()


def normal(*shape, seed=0, storage=torch.float16):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(DEVICE, storage)


def draw_members(batch, tokens, groups, seed=0):
    """A partition for every entry, with groups of one and at least one of many tokens."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(batch):
        weight = torch.rand(groups, generator=generator) ** 4 + 1e-3
        drawn = torch.multinomial(weight, tokens, replacement=True, generator=generator)
        row = torch.cat((torch.arange(groups), drawn[groups:]))
        rows.append(row[torch.randperm(tokens, generator=generator)])
    return Groups(torch.stack(rows).to(DEVICE), groups).members


def units(*shape, seed):
    tokens = normal(*shape, seed=seed, storage=torch.float32)
    return (tokens / tokens.norm(dim=-1, keepdim=True)).half()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("sources", "destinations", "width"),
    [(1, 1, 64), (130, 1, 192), (5, 300, 40), (140, 257, 300), (129, 513, 16), (64, 256, 128)],
)
def test_the_nearest_is_that_of_float64(sources, destinations, width, batch):
    one, other = units(batch, sources, width, seed=1), units(batch, destinations, width, seed=2)
    found = TRITON.nearest(one, other)
    exact = PORTABLE.nearest(one.double(), other.double())
    assert torch.equal(found.position, exact.position)
    torch.testing.assert_close(found.product.double(), exact.product, rtol=0, atol=HALF_COSINE)


@pytest.mark.parametrize("width", [64, 256])
def test_of_equal_products_the_first_destination_wins(width):
    """Each destination comes four times, in one tile and in several, and products are negative."""
    other = -units(2, 150, width, seed=2).abs().repeat(1, 4, 1)
    one = units(2, 140, width, seed=1).abs()
    found = TRITON.nearest(one, other)
    assert found.product.max() < 0
    exact = PORTABLE.nearest(one.double(), other.double())
    assert torch.equal(found.position, exact.position)
    assert found.position.max() < 150


def test_neighbours_in_the_last_digit_of_float32_are_told_apart():
    """Products 1 - 2^-22 and 1 - 2^-23, which a packed index would take for the same."""
    one = torch.zeros(1, 3, 256, device=DEVICE, dtype=torch.float16)
    one[..., :2] = torch.tensor([1.0, 2.0**-12], device=DEVICE)
    other = torch.zeros(1, 600, 256, device=DEVICE, dtype=torch.float16)
    other[..., 0] = 1
    other[..., 1] = -(2.0**-10)
    other[:, 417, 1] = -(2.0**-11)
    assert (TRITON.nearest(one, other).position == 417).all()


@pytest.mark.parametrize("storage", [torch.float16, torch.float32])
def test_directions_are_those_of_float64(storage):
    features = normal(2, 9, 70, storage=storage)
    features[0, 3] = 0
    features[1, 2] *= 1e4 if storage == torch.float16 else 1e30
    rows = torch.tensor([8, 3, 2, 0], device=DEVICE)
    found = TRITON.directions(features, rows)
    exact = PORTABLE.directions(features.double(), rows)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=HALF_DIRECTION)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_directions_of_what_is_no_number_are_refused(bad):
    features = normal(2, 9, 70)
    features[1, 4, 69] = bad
    rows = torch.tensor([8, 4], device=DEVICE)
    with pytest.raises(ValueError, match="must be finite, got 1 tokens of 4 with"):
        TRITON.directions(features, rows)
    TRITON.directions(features, rows[:1])


@each_storage
@pytest.mark.parametrize(
    ("batch", "tokens", "groups", "axes", "width"),
    [(1, 1, 1, (), 8), (2, 301, 40, (3,), 64), (2, 50, 50, (), 37), (1, 400, 1, (2,), 16)],
)
def test_means_and_copies_are_those_of_float64(batch, tokens, groups, axes, width, storage):
    members = draw_members(batch, tokens, groups)
    rows = normal(batch, *axes, tokens, width, storage=storage)
    [means] = TRITON.means([rows], members)
    [exact] = PORTABLE.means([rows.double()], members)
    assert means.dtype == storage
    torch.testing.assert_close(means.double(), exact, **ROUNDED_MEAN[str(storage)])
    assert torch.equal(TRITON.copies(means, members), PORTABLE.copies(means, members))


def test_heads_may_lie_side_by_side_in_memory():
    """Query, key and value as one linear map gives them."""
    members = draw_members(2, 60, 7)
    parts = normal(2, 60, 3, 4, 16).permute(2, 0, 3, 1, 4)
    for part in parts:
        expected = TRITON.means([part.contiguous()], members)[0]
        assert torch.equal(TRITON.means([part], members)[0], expected)
    rows = TRITON.means([parts[2]], members)[0].transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(TRITON.copies(rows, members), PORTABLE.copies(rows, members))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_several_tensors_have_the_means_that_each_has_alone(count):
    members = draw_members(2, 60, 7)
    several = [normal(2, 4, 60, 16, seed=seed) for seed in range(count)]
    # Another stride and another shape cannot go with the others.
    for odd in (several[-1].transpose(1, 2).contiguous().transpose(1, 2), normal(2, 60, 24)):
        rows = [*several[:-1], odd]
        for each, found in zip(rows, TRITON.means(rows, members), strict=True):
            assert torch.equal(found, TRITON.means([each], members)[0])


def test_rows_of_another_tile_are_the_same():
    members, rows = draw_members(2, 301, 40), normal(2, 3, 301, 64)
    narrow = dict(TILES) | {"means": Tiles(1, 1, 64, 1, 1), "copies": Tiles(4, 1, 128, 1, 1)}
    [means] = TRITON.means([rows], members)
    other = TritonBackend(tiles=narrow)
    [found] = other.means([rows], members)
    torch.testing.assert_close(found, means, **ROUNDED_MEAN["torch.float16"])
    assert torch.equal(other.copies(means, members), TRITON.copies(means, members))


def heads(batch, queries, keys, dim, width, storage, gain=1.0):
    query = gain * normal(batch, 3, queries, dim, seed=1, storage=storage)
    key = normal(batch, 3, keys, dim, seed=2, storage=storage)
    return query, key, normal(batch, 3, keys, width, seed=3, storage=storage)


@each_storage
@pytest.mark.parametrize(("gain", "spread"), [(0.1, 2.0), (1.0, 9.0), (8.0, 9.0)])
@pytest.mark.parametrize(
    ("batch", "queries", "keys", "dim", "width"),
    [(1, 1, 1, 64, 64), (2, 131, 77, 64, 64), (2, 64, 300, 32, 16), (1, 5, 128, 128, 64)],
)
def test_biased_attention_is_that_of_float64(
    batch, queries, keys, dim, width, gain, spread, storage
):
    query, key, value = heads(batch, queries, keys, dim, width, storage, gain)
    bias = torch.rand(batch, keys, generator=torch.Generator().manual_seed(4)) * spread
    bias = bias.to(DEVICE)
    widest = 0.1 if storage == torch.float16 else 1.0
    assert attention_kernel._exponents(query, key, bias)[1] == (gain <= widest)
    for added in (bias, None):
        found = TRITON.attend(query, key, value, added)
        exact = PORTABLE.attend(query.double(), key.double(), value.double(), added)
        error = (found.double() - exact).norm() / exact.norm()
        assert error <= MERGED_ATTENTION[str(storage)]
        assert found.shape == exact.shape


@each_storage
def test_both_shifts_give_the_same(storage, monkeypatch):
    inputs = heads(2, 70, 90, 64, 64, storage, gain=0.1)
    bias = normal(2, 90, storage=torch.float32).mul(0.5)
    shifted = TRITON.attend(*inputs, bias)
    monkeypatch.setattr(attention_kernel, "BANDS", {storage: (0.0, 0.0)})
    running = TRITON.attend(*inputs, bias)
    error = (shifted.double() - running.double()).norm() / running.double().norm()
    assert error <= MERGED_ATTENTION[str(storage)]


def test_a_bias_of_many_sizes_keeps_its_digits():
    """Sizes 1 and 30000 of equal keys: in 11 bits the logarithm of the latter is off by 1/256."""
    sizes = torch.tensor([1.0, 30011.0]).repeat(40).to(DEVICE)
    query, value = normal(1, 1, 20, 64), normal(1, 1, 80, 64, seed=3)
    key = torch.zeros_like(value)
    value[:, :, ::2] = 0
    value[:, :, 0] = 30011.0
    found = TRITON.attend(query, key, value, sizes.log()[None])
    exact = PORTABLE.attend(query.double(), key.double(), value.double(), sizes.log()[None])
    error = (found.double() - exact).norm() / exact.norm()
    assert error <= MERGED_ATTENTION["torch.float16"]


@pytest.mark.parametrize("dim", [24, 64])
def test_what_the_kernels_do_not_take_goes_to_the_portable_backend(dim):
    query, key, value = heads(1, 5, 7, dim, dim, torch.float16 if dim == 24 else torch.float32)
    expected = PORTABLE.attend(query, key, value, None)
    assert torch.equal(TRITON.attend(query, key, value, None), expected)
    members = Members(torch.zeros(1, 5, dtype=torch.int64, device=DEVICE), 1)
    # Whole numbers: a GPU adds in an order of its own.
    wide = query.float().round()
    assert torch.equal(TRITON.means([wide], members)[0], PORTABLE.means([wide], members)[0])


def test_missing_tiles_are_refused():
    with pytest.raises(ValueError, match=r"got none for \['attend', 'attend_running', 'copies'"):
        TritonBackend(tiles={})

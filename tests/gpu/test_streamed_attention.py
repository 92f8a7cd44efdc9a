"""Streamed attention on the Triton kernels, statistic by statistic, against dense float64.

``pytest -m gpu`` on a CUDA device, at two frames of VGGT; ``TRITON_INTERPRET=1`` runs the same on
the CPU at a tenth of the tokens.
"""

import pytest
import torch

from attention_collapse.measure.attention_summary import summarise_attention
from attention_collapse.measure.streaming import (
    DenseBackend,
    StreamedAttention,
    energy_ranks,
    streamed_singular_values,
)
from attention_collapse.tokens import TokenLayout
from kernel_device import DEVICE, INTERPRETED, MARKS, STORAGES, skip_without_kernels
from streaming_cases import whole_matrix
from tolerances import (
    KERNEL_COLUMN,
    KERNEL_DISTANCE,
    KERNEL_ENERGY,
    KERNEL_ENTROPY,
    KERNEL_EXTREME,
    KERNEL_PRODUCT,
    NO_WEIGHT,
    STATED_ERRORS,
)

skip_without_kernels()

from attention_collapse.measure.kernels import TritonBackend  # noqa: E402

pytestmark = MARKS
# Two frames of VGGT, 2082 tokens, or 162 that are no multiple of a tile either.
LAYOUT = TokenLayout(2, 4, 19) if INTERPRETED else TokenLayout.from_image(2, 392, 518)
HEADS, DIM, VALUES = 2, 64, 16


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(kind):
    tokens = LAYOUT.count
    query, key = normal(HEADS, tokens, DIM), normal(HEADS, tokens, DIM, seed=1)
    number = torch.arange(tokens)
    if kind == "clustered":
        centres = 2 * normal(HEADS, 24, DIM, seed=2)[:, number % 24]
        query, key = query + centres, 0.5 * key + 0.5 * centres
    elif kind == "sinks":
        key[:, :5] = query.mean(1, keepdim=True) * 40
    elif kind == "duplicates":
        key = key[:, number % 40]
    elif kind == "constant":
        key = key[:, :1].expand_as(key)
    elif kind == "near rank one":
        query = query / 20
    elif kind == "extreme":
        query = torch.sign(query)
        key = 10 * torch.sign(query) * torch.where(number % 2 == 0, 1.0, -1.0)[:, None]
    return query, key


KINDS = ["random", "clustered", "sinks", "duplicates", "constant", "near rank one", "extreme"]


@pytest.fixture(params=[(kind, storage) for kind in KINDS for storage in STORAGES], ids=str)
def pair(request):
    """The same attention on the kernels and dense in float64, and what scores of 80 cost."""
    kind, storage = request.param
    query, key = (tensor.to(DEVICE, storage) for tensor in inputs(kind))
    kernels, dense = (
        StreamedAttention(query, key, backend=backend, layout=LAYOUT)
        for backend in (TritonBackend(chunk=128 if INTERPRETED else 1024), DenseBackend())
    )
    return kernels, dense, KERNEL_EXTREME if kind == "extreme" else 0.0


def largest(difference):
    return float(difference.abs().max())


def test_rows(pair):
    kernels, dense, extreme = pair
    allowed = KERNEL_ENTROPY + extreme
    assert largest(kernels.rows.log_sum_exp - dense.rows.log_sum_exp) <= allowed
    assert largest(kernels.row_entropy - dense.row_entropy) <= allowed
    assert largest(kernels.row_energy / dense.row_energy - 1) <= 2 * KERNEL_ENERGY + 2 * extreme


def test_every_column(pair):
    kernels, dense, extreme = pair
    seen = dense.column_sums > NO_WEIGHT
    error = (kernels.column_sums[seen] / dense.column_sums[seen] - 1).abs().max()
    assert error <= KERNEL_COLUMN + extreme


def test_norms_and_the_distance_from_rank_one(pair):
    kernels, dense, extreme = pair
    norms = kernels.frobenius_squared / dense.frobenius_squared
    assert largest(norms - 1) <= KERNEL_DISTANCE + 2 * extreme
    distances = kernels.distance_from_rank_one - dense.distance_from_rank_one
    assert largest(distances) <= KERNEL_DISTANCE + 2 * extreme


def test_mass_from_frame_to_frame(pair):
    kernels, dense, extreme = pair
    exact = dense.frame_mass
    assert largest(kernels.frame_mass - exact) <= KERNEL_COLUMN + extreme
    assert largest(kernels.reference_mass - exact[..., 0]) <= KERNEL_COLUMN + extreme
    ones = torch.ones_like(exact[..., 0])
    torch.testing.assert_close(
        kernels.frame_mass.sum(-1), ones, rtol=0, atol=KERNEL_COLUMN + extreme
    )


def test_every_number_of_a_summary(pair):
    kernels, dense, extreme = pair
    found, exact = summarise_attention(kernels), summarise_attention(dense)
    assert set(found) == set(exact)
    for name, numbers in exact.items():
        relative = largest(found[name] - numbers) / max(1.0, largest(numbers))
        assert relative <= KERNEL_ENTROPY + 2 * extreme, name


def test_products_of_both_sides(pair):
    kernels, dense, extreme = pair
    columns = normal(HEADS, LAYOUT.count, 70, seed=3).to(DEVICE)
    for name in ("apply", "apply_transposed"):
        exact = getattr(dense, name)(columns)
        error = (getattr(kernels, name)(columns) - exact).norm() / exact.norm()
        assert error <= KERNEL_PRODUCT + extreme


def test_sixteen_singular_values(pair):
    """Off by no more than what the last product moved them and the floor of the backend."""
    kernels, _, extreme = pair
    generator = torch.Generator(DEVICE).manual_seed(0)
    found = streamed_singular_values(kernels, count=VALUES, generator=generator)
    exact = torch.linalg.svdvals(whole_matrix(kernels.query, kernels.key))[:, :VALUES]
    allowed = found.errors + found.floor[:, None] + extreme * exact[:, :1]
    assert ((found.values - exact).abs() <= allowed).all()
    assert (found.floor == TritonBackend.rounding * found.values[:, 0]).all()


def test_ranks_that_count_energy(pair):
    kernels, _, extreme = pair
    generator = torch.Generator(DEVICE).manual_seed(0)
    found = energy_ranks(kernels, count=VALUES, generator=generator)
    energies = torch.linalg.svdvals(whole_matrix(kernels.query, kernels.key)).square()
    shares = energies / energies.sum(-1, keepdim=True)
    participation = 1 / shares.square().sum(-1)
    effective = torch.special.entr(shares).sum(-1).exp()
    for exact, value, error in (
        (participation, found.participation_ratio, found.participation_error),
        (effective, found.effective_rank, found.effective_rank_error),
    ):
        slack = (KERNEL_PRODUCT + extreme) * exact
        assert ((value - exact).abs() <= STATED_ERRORS * error + 10 * slack).all()

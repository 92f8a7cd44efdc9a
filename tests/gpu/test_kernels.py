"""The Triton kernels against dense float64.

``pytest -m gpu`` on a CUDA device; ``TRITON_INTERPRET=1`` runs all but the assembly on the CPU.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch

from attention_collapse.experiments.attention_problem import clustered
from attention_collapse.measure.streaming.dense import DenseBackend
from kernel_device import DEVICE, INTERPRETED, MARKS, STORAGES, skip_without_kernels
from tolerances import (
    KERNEL_ENERGY,
    KERNEL_ENTROPY,
    KERNEL_EXTREME,
    KERNEL_PRODUCT,
    KERNEL_SUMS,
    KERNEL_TOTAL,
)

skip_without_kernels()

from attention_collapse.measure.kernels import TILES, TritonBackend, backend  # noqa: E402
from attention_collapse.measure.kernels.exponential import COEFFICIENTS, instructions  # noqa: E402
from attention_collapse.measure.kernels.row_statistics import (  # noqa: E402
    LARGEST_EXCESS,
    LARGEST_SHORTFALL,
    fixed_shift,
)

pytestmark = MARKS
device_only = pytest.mark.skipif(INTERPRETED, reason="the interpreter runs no assembly")

HEADS, DIM = 2, 64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(kind, queries=201, keys=330):
    query, key = normal(HEADS, queries, DIM), normal(HEADS, keys, DIM, seed=1)
    if kind == "clustered":
        centres = 2 * normal(HEADS, 4, DIM, seed=2)
        query += centres[:, torch.arange(queries) % 4]
        key = 0.5 * key + 0.5 * centres[:, torch.arange(keys) % 4]
    elif kind == "sinks":
        key[:, :5] = query.mean(1, keepdim=True) * 40
    elif kind == "duplicates":
        key = key[:, torch.arange(keys) % 3]
    elif kind == "constant":
        key = key[:, :1].expand(HEADS, keys, DIM)
    elif kind == "extreme":
        query = torch.sign(query)
        key = 10 * torch.sign(query[:, torch.arange(keys) % queries])
        key *= torch.where(torch.arange(keys) % 2 == 0, 1.0, -1.0)[:, None]
    elif kind == "extreme, parallel":
        query = torch.sign(query[:, :1]).expand(HEADS, queries, DIM)
        key = 10 * query[:, :1] * torch.where(torch.arange(keys) % 2 == 0, 1.0, -1.0)[:, None]
    return query, key


def stored(kind, storage, **sizes):
    return [tensor.to(DEVICE, storage) for tensor in inputs(kind, **sizes)]


def relative(found, exact):
    return float(((found - exact).abs() / exact.abs()).max())


def distance(found, exact):
    return float((found - exact).norm() / exact.norm())


SIZES = [(201, 330), (1, 130), (300, 1), (128, 256)]
KINDS = ["random", "clustered", "sinks", "duplicates", "constant"]
each_storage = pytest.mark.parametrize("storage", STORAGES, ids=str)
each_kind = pytest.mark.parametrize(
    ("kind", "queries", "keys"),
    [(kind, *SIZES[0]) for kind in KINDS] + [("random", *size) for size in SIZES[1:]],
)


@each_storage
@each_kind
def test_statistics_are_those_of_the_dense_matrix(kind, queries, keys, storage):
    query, key = stored(kind, storage, queries=queries, keys=keys)
    backend, dense = TritonBackend(chunk=128), DenseBackend()
    rows, exact = backend.rows(query, key), dense.rows(query, key)
    assert (rows.log_sum_exp - exact.log_sum_exp).abs().max() <= KERNEL_ENTROPY
    assert (rows.entropy - exact.entropy).abs().max() <= KERNEL_ENTROPY
    assert relative(rows.energy, exact.energy) <= KERNEL_ENERGY
    # The matrix units round scores towards zero: in the normaliser as in the sums, so that it goes.
    sums = backend.columns(query, key, rows.log_sum_exp).sums
    expected = dense.columns(query, key, exact.log_sum_exp).sums
    assert distance(sums, expected) <= KERNEL_SUMS


@each_storage
@pytest.mark.parametrize("chunk", [128, 65_536])
@pytest.mark.parametrize(("kind", "fixed"), [("extreme", False), ("extreme, parallel", True)])
def test_scores_of_eighty_lose_only_digits_of_the_scores(kind, fixed, chunk, storage):
    query, key = stored(kind, storage)
    assert (fixed_shift(query, key) is not None) == fixed
    backend, dense = TritonBackend(chunk=chunk), DenseBackend()
    rows, exact = backend.rows(query, key), dense.rows(query, key)
    assert exact.log_sum_exp.max() > 79
    assert (rows.log_sum_exp - exact.log_sum_exp).abs().max() <= KERNEL_EXTREME
    assert (rows.entropy - exact.entropy).abs().max() <= KERNEL_EXTREME
    columns = backend.columns(query, key, exact.log_sum_exp).sums
    expected = dense.columns(query, key, exact.log_sum_exp).sums
    assert distance(columns, expected) <= KERNEL_EXTREME


def base_two_scores(query, key):
    return query.double() @ key.double().mT / math.sqrt(DIM) * math.log2(math.e)


def assert_rows_are_exact(query, key):
    rows, exact = TritonBackend(chunk=256).rows(query, key), DenseBackend().rows(query, key)
    assert (rows.log_sum_exp - exact.log_sum_exp).abs().max() <= KERNEL_ENTROPY
    assert (rows.entropy - exact.entropy).abs().max() <= KERNEL_ENTROPY
    assert relative(rows.energy, exact.energy) <= KERNEL_ENERGY


def test_the_fixed_shift_and_the_running_maximum_agree(monkeypatch):
    query, key = stored("random", torch.float16)
    assert fixed_shift(query, key) is not None
    fixed = TritonBackend(chunk=256).rows(query, key)
    module = "attention_collapse.measure.kernels.row_statistics"
    monkeypatch.setattr(f"{module}.fixed_shift", lambda query, key: None)
    running = TritonBackend(chunk=256).rows(query, key)
    torch.testing.assert_close(fixed.entropy, running.entropy, rtol=0, atol=KERNEL_ENTROPY)
    torch.testing.assert_close(fixed.energy, running.energy, rtol=KERNEL_ENERGY, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fixed_shift_is_near_the_largest_score_of_every_row(kind):
    query, key = stored(kind, torch.float16)
    excess = base_two_scores(query, key).amax(-1) - fixed_shift(query, key)
    assert excess.min() >= -LARGEST_SHORTFALL
    assert excess.max() <= LARGEST_EXCESS


@each_storage
@pytest.mark.parametrize("length", [1.0, 3.0])
def test_sink_keys_keep_the_fixed_shift(length, storage):
    generator = torch.Generator().manual_seed(0)
    query, key = clustered(330, heads=HEADS, dim=DIM, generator=generator, dtype=storage)
    key[:, :5] *= length
    query, key = query.to(DEVICE), key.to(DEVICE)
    # Cauchy and Schwarz for the sinks alone would lie further above the largest scores.
    bound = query.double().norm(dim=-1) * key.double().norm(dim=-1).amax(-1, keepdim=True)
    gap = bound / math.sqrt(DIM) * math.log2(math.e) - base_two_scores(query, key).amax(-1)
    assert gap.max() > length * 30
    assert fixed_shift(query, key) is not None
    assert_rows_are_exact(query, key)


def across(length, *, hidden=False):
    """Queries at right angles to long keys: the bound of their scores is 81 times the length.

    A hidden key, which is none of the longest and at no equal distance, is parallel to them.
    """
    half = DIM // 2
    query, key = torch.zeros(HEADS, 201, DIM), normal(HEADS, 330, DIM) / 10
    query[..., :half] = 3.5 * length
    key[..., half:] = 4 * torch.sign(key[..., half:])
    if hidden:
        key[:, 7] = 0.0
        key[:, 7, :half] = 3.9
    return query.to(DEVICE, torch.float16), key.to(DEVICE, torch.float16)


def test_a_shift_far_above_every_score_keeps_the_energy():
    query, key = across(1.06)
    above = fixed_shift(query, key) - base_two_scores(query, key).amax(-1)
    assert above.min() > LARGEST_SHORTFALL - 5
    assert_rows_are_exact(query, key)


def test_a_score_far_above_the_shift_does_not_overflow():
    query, key = across(1.0, hidden=True)
    below = base_two_scores(query, key).amax(-1) - fixed_shift(query, key)
    assert below.min() > LARGEST_EXCESS - 5
    assert_rows_are_exact(query, key)


@pytest.mark.parametrize("hidden", [False, True])
def test_rows_far_below_their_bound_take_the_running_maximum(hidden):
    query, key = across(1.2, hidden=hidden)
    assert fixed_shift(query, key) is None
    assert_rows_are_exact(query, key)


def test_column_sums_of_large_scores_do_not_feel_the_rounding_of_the_scale():
    # One key has all the attention. Its scores of 96 to 171 are exact in single precision; their
    # powers of two are rounded at random, but all are off by the same share if the scale is.
    query = torch.arange(256, 457)[:, None].expand(HEADS, -1, DIM) / 128
    query = query.to(DEVICE, torch.float16)
    key = torch.full_like(query[:, :1], 6)
    exact = DenseBackend().rows(query, key).log_sum_exp
    sums = TritonBackend().columns(query, key, exact).sums
    assert relative(sums, DenseBackend().columns(query, key, exact).sums) <= KERNEL_SUMS


@pytest.mark.parametrize("per_frame", [110, 64, 33])
def test_mass_between_frames_is_that_of_the_dense_matrix(per_frame):
    query, key = stored("clustered", torch.float16, queries=2 * per_frame, keys=3 * per_frame)
    found, dense = (
        backend.columns(
            query, key, backend.rows(query, key).log_sum_exp, tokens_per_frame=per_frame
        )
        for backend in (TritonBackend(), DenseBackend())
    )
    assert relative(found.frame_sums, dense.frame_sums) <= KERNEL_SUMS
    assert distance(found.sums, dense.sums) <= KERNEL_SUMS


@each_storage
@pytest.mark.parametrize(("kind", "width"), [("random", 64), ("sinks", 5), ("clustered", 70)])
def test_products_are_those_of_the_dense_matrix(kind, width, storage):
    query, key = stored(kind, storage)
    backend, dense = TritonBackend(chunk=128), DenseBackend()
    exact = dense.rows(query, key).log_sum_exp
    for name, count in (("apply", key.shape[1]), ("apply_transposed", query.shape[1])):
        columns = normal(HEADS, count, width, seed=3).to(DEVICE)
        found = getattr(backend, name)(query, key, exact, columns)
        expected = getattr(dense, name)(query, key, exact, columns)
        assert found.shape == expected.shape
        assert distance(found, expected) <= KERNEL_PRODUCT


def test_columns_of_any_size_keep_their_digits():
    query, key = stored("random", torch.float16)
    exact = DenseBackend().rows(query, key).log_sum_exp
    columns = normal(HEADS, key.shape[1], 3).to(DEVICE)
    columns *= torch.tensor([1e-12, 0.0, 1e12], device=DEVICE)
    found = TritonBackend().apply(query, key, exact, columns)
    expected = DenseBackend().apply(query, key, exact, columns)
    for column in (0, 2):
        assert distance(found[..., column], expected[..., column]) <= KERNEL_PRODUCT
    assert not found[..., 1].any()


@device_only
@pytest.mark.parametrize("polynomials", [1, 3, 8])
def test_exponentials_on_multiply_add_units_keep_the_errors(polynomials):
    tiles = {k: dataclasses.replace(t, polynomials=polynomials) for k, t in TILES.items()}
    backend, dense = TritonBackend(tiles=tiles), DenseBackend()
    query, key = stored("random", torch.bfloat16, queries=1000, keys=1100)
    rows, exact = backend.rows(query, key), dense.rows(query, key)
    assert (rows.entropy - exact.entropy).abs().max() <= KERNEL_ENTROPY
    sums = backend.columns(query, key, exact.log_sum_exp).sums
    assert relative(sums, dense.columns(query, key, exact.log_sum_exp).sums) <= KERNEL_SUMS
    columns = normal(HEADS, 1100, 64, seed=3).to(DEVICE)
    found = backend.apply(query, key, exact.log_sum_exp, columns)
    expected = dense.apply(query, key, exact.log_sum_exp, columns)
    assert distance(found, expected) <= KERNEL_PRODUCT


@device_only
def test_more_elements_than_a_32_bit_offset_reaches():
    heads, keys = 17, 2**21
    key = torch.zeros(heads, keys, DIM, dtype=torch.bfloat16, device=DEVICE)
    key[-1] = normal(1024, DIM).to(DEVICE, torch.bfloat16).repeat(keys // 1024, 1)
    query = normal(heads, 128, DIM, seed=1).to(DEVICE, torch.bfloat16)
    backend = TritonBackend()
    rows, last = backend.rows(query, key), backend.rows(query[-1:], key[-1:])
    torch.testing.assert_close(rows.entropy[-1:], last.entropy, rtol=0, atol=KERNEL_ENTROPY)
    sums = backend.columns(query, key, rows.log_sum_exp).sums
    torch.testing.assert_close(
        sums.sum(-1), torch.full_like(sums[:, 0], 128), rtol=KERNEL_TOTAL, atol=0
    )


@pytest.mark.parametrize(("degree", "error"), [(3, 7.6e-5), (5, 8e-8)])
def test_the_polynomials_have_the_stated_errors(degree, error):
    part = np.linspace(-0.5, 0.5, 10001)
    found = np.polynomial.polynomial.polyval(part, COEFFICIENTS[degree])
    assert np.abs(found / 2**part - 1).max() <= error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((9, 5), "0 to 8"), ((1, 4), r"one of \[3, 5\], got 1 of degree 4")],
)
def test_unknown_polynomials_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        instructions(*arguments)


@pytest.mark.parametrize(
    ("called", "message"),
    [
        ("row_statistics", "sums of every row, 0 MiB.*fewer heads at once"),
        ("column_statistics", "4 sums of every key.*frames_at_once=1"),
        ("apply_attention", "6 columns in half precision.*take 3 columns at a time"),
        ("apply_attention_transposed", "6 columns in half precision.*take 3 columns at a time"),
    ],
)
def test_an_exhausted_device_names_the_size_and_what_to_choose(called, message, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(backend, called, exhausted)
    query, key = stored("random", torch.float16)
    normaliser, kernels = torch.zeros(HEADS, 201, device=DEVICE), TritonBackend()
    passes = {
        "row_statistics": lambda: kernels.rows(query, key),
        "column_statistics": lambda: kernels.columns(query, key, normaliser),
        "apply_attention": lambda: kernels.apply(query, key, normaliser, key[..., :6].float()),
        "apply_attention_transposed": lambda: kernels.apply_transposed(
            query, key, normaliser, query[..., :6].float()
        ),
    }
    with pytest.raises(MemoryError, match=message):
        passes[called]()


@pytest.mark.parametrize("frames_at_once", [1, 3, 64])
def test_frames_held_at_a_time_do_not_change_the_mass(frames_at_once):
    query, key = stored("random", torch.float16, queries=140, keys=140)
    normaliser = DenseBackend().rows(query, key).log_sum_exp
    exact = DenseBackend().columns(query, key, normaliser, tokens_per_frame=20)
    kernels = TritonBackend(frames_at_once=frames_at_once)
    found = kernels.columns(query, key, normaliser, tokens_per_frame=20)
    assert distance(found.frame_sums, exact.frame_sums) <= KERNEL_SUMS
    assert distance(found.sums, exact.sums) <= KERNEL_SUMS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames_at_once": 0}, "frames_at_once must be at least 1, got 0: 64 is fast"),
        ({"storage": torch.float32}, "got torch.float32: the tensor cores take 16 bits"),
        ({"chunk": 100}, "multiple of 128, got 100: 65536"),
        ({"tiles": {}}, r"got none for \['apply', 'apply_transposed', 'columns', 'rows'\]"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TritonBackend(**settings)


@pytest.mark.parametrize(
    ("query", "key", "message"),
    [
        ((2, 5, 64, torch.float32), (2, 5, 64, torch.float32), "got torch.float32 and"),
        ((2, 5, 64, torch.float16), (2, 5, 64, torch.bfloat16), "torch.float16 and torch.bfloat16"),
        ((2, 5, 24, torch.float16), (2, 5, 24, torch.float16), r"\(16, 32, 64, 128\), got 24"),
        ((2, 0, 64, torch.float16), (2, 5, 64, torch.float16), "2 heads, 0 queries and 5 keys"),
    ],
)
def test_inputs_that_the_kernels_cannot_take_are_refused(query, key, message):
    tensors = [torch.zeros(*shape, dtype=dtype) for *shape, dtype in (query, key)]
    with pytest.raises(ValueError, match=message):
        TritonBackend().rows(*tensors)


def test_storage_rounds_what_has_more_bits():
    query, key = (tensor.to(DEVICE) for tensor in inputs("random"))
    found = TritonBackend(storage=torch.float16).rows(query, key).entropy
    expected = TritonBackend().rows(query.half(), key.half()).entropy
    assert torch.equal(found, expected)

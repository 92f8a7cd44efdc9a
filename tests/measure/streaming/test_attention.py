import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.measure import attention_maps, spectrum
from attention_collapse.measure.streaming import DenseBackend, PortableBackend, StreamedAttention
from attention_collapse.tokens import TokenLayout
from streaming_cases import CASES, DIM, HEADS, independent, normal, whole_matrix
from tolerances import (
    FLOAT64,
    NO_WEIGHT,
    STREAMED_DISTANCE,
    STREAMED_ENTROPY,
    STREAMED_PRODUCTS,
    STREAMED_SCORE,
    STREAMED_SUMS,
)

# 83 keys and 70 queries end inside a chunk.
CHUNKS = {"query_chunk": 16, "key_chunk": 24}
BACKENDS = {
    "dense": DenseBackend(),
    "float64": PortableBackend(**CHUNKS, dtype=torch.float64),
    "float32": PortableBackend(**CHUNKS),
}
LAYOUT = TokenLayout(4, 3, 3)


def streamed(case, backend):
    query, key = CASES[case]()
    if backend == "float32":
        query, key = query.float(), key.float()
    return StreamedAttention(query, key, backend=BACKENDS[backend]), whole_matrix(query, key)


def tolerance(float32, attention):
    if attention.query.dtype == torch.float64:
        return 10 * FLOAT64
    scores = attention.query @ attention.key.mT / attention.query.shape[-1] ** 0.5
    return float32 + STREAMED_SCORE * max(0.0, float(scores.abs().max()) - 8)


def close(found, exact, *, rtol=0.0, atol=0.0):
    torch.testing.assert_close(found.double(), exact, rtol=rtol, atol=atol)


every_case = pytest.mark.parametrize("case", CASES)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


@every_case
@every_backend
def test_rows_are_those_of_the_whole_matrix(case, backend):
    attention, exact = streamed(case, backend)
    entropy = -torch.xlogy(exact, exact).sum(-1)
    close(attention.row_entropy, entropy, atol=tolerance(STREAMED_ENTROPY, attention))
    relative = tolerance(STREAMED_SUMS, attention)
    close(attention.row_energy, (exact**2).sum(-1), rtol=relative)
    close(attention.frobenius_squared, (exact**2).sum((-2, -1)), rtol=relative)
    query, key = attention.query.double(), attention.key.double()
    normaliser = (query @ key.mT / query.shape[-1] ** 0.5).logsumexp(-1)
    close(attention.rows.log_sum_exp, normaliser, atol=relative, rtol=relative)


@every_case
@every_backend
def test_columns_are_those_of_the_whole_matrix(case, backend):
    attention, exact = streamed(case, backend)
    relative = tolerance(STREAMED_SUMS, attention)
    close(attention.column_sums, exact.sum(-2), rtol=relative, atol=NO_WEIGHT)
    distance = spectrum.distance_from_rank_one(exact)
    close(
        attention.distance_from_rank_one,
        distance,
        atol=tolerance(STREAMED_DISTANCE, attention),
    )


@every_case
@every_backend
def test_products_are_those_of_the_whole_matrix(case, backend):
    attention, exact = streamed(case, backend)
    keys, queries = exact.shape[-1], exact.shape[-2]
    right = normal(HEADS, keys, 5, seed=3, dtype=attention.query.dtype)
    left = normal(HEADS, queries, 5, seed=4, dtype=attention.query.dtype)
    relative = tolerance(STREAMED_PRODUCTS, attention)
    for found, product in (
        (attention.apply(right), exact @ right.double()),
        (attention.apply_transposed(left), exact.mT @ left.double()),
    ):
        close(found, product, atol=relative * float(product.abs().max()))


@every_backend
def test_products_of_one_head_are_its_rows_of_all(backend):
    attention, exact = streamed("independent", backend)
    columns = normal(1, exact.shape[-1], 3, dtype=attention.query.dtype)
    found = attention.apply(columns, heads=slice(1, 2))
    close(found, exact[1:] @ columns.double(), atol=STREAMED_PRODUCTS)


@every_backend
@pytest.mark.parametrize("layout", [LAYOUT, TokenLayout(9, 1, 1, special=2), TokenLayout(1, 5, 5)])
def test_frame_mass_is_that_of_the_whole_matrix(backend, layout):
    """Frames smaller and larger than a chunk of queries."""
    dtype = torch.float32 if backend == "float32" else torch.float64
    query, key = normal(2, HEADS, layout.count, DIM, dtype=dtype)
    attention = StreamedAttention(query, key, backend=BACKENDS[backend], layout=layout)
    exact = attention_maps.frame_mass(whole_matrix(query, key), layout)
    relative = tolerance(STREAMED_SUMS, attention)
    close(attention.frame_mass, exact, rtol=relative)
    close(attention.reference_mass, exact[..., 0], rtol=relative)
    close(attention.column_sums, whole_matrix(query, key).sum(-2), rtol=relative)


def test_the_errors_stay_below_the_promise_at_two_thousand_tokens():
    query, key = normal(2, 1, 2082, 64, dtype=torch.float32)
    attention = StreamedAttention(query, key)
    exact = whole_matrix(query, key)
    entropy = -torch.xlogy(exact, exact).sum(-1)
    close(attention.row_entropy, entropy, atol=STREAMED_ENTROPY)
    close(attention.column_sums, exact.sum(-2), rtol=STREAMED_SUMS)


@given(st.permutations(range(12)))
def test_the_order_of_the_keys_does_not_matter(order):
    query, key = normal(1, 7, DIM), normal(1, 12, DIM, seed=1)
    order = torch.tensor(order)
    backend = PortableBackend(query_chunk=3, key_chunk=5, dtype=torch.float64)
    one, other = (StreamedAttention(query, keys, backend=backend) for keys in (key, key[:, order]))
    close(one.row_entropy, other.row_entropy, atol=FLOAT64)
    close(one.row_energy, other.row_energy, atol=FLOAT64)
    close(one.column_sums[:, order], other.column_sums, atol=FLOAT64)


@given(st.floats(-60, 60))
def test_a_shift_of_all_scores_of_a_row_does_not_matter(shift):
    """One more dimension, constant over the keys, adds a constant to the scores."""
    query, key = normal(1, 7, DIM), normal(1, 12, DIM, seed=1)
    shifts = shift * torch.linspace(-1, 1, 7, dtype=torch.float64)[None, :, None]
    wider = ((DIM + 1) / DIM) ** 0.5
    moved = torch.cat((query * wider, shifts), -1)
    backend = PortableBackend(query_chunk=3, key_chunk=5, dtype=torch.float64)
    one = StreamedAttention(query, key, backend=backend)
    other = StreamedAttention(
        moved, torch.cat((key, torch.ones_like(key[..., :1])), -1), backend=backend
    )
    close(one.row_entropy, other.row_entropy, atol=10 * FLOAT64)
    close(one.column_sums, other.column_sums, atol=10 * FLOAT64)


def test_each_pass_runs_once_and_reports_its_heads():
    seen = []
    query, key = independent()
    attention = StreamedAttention(query, key, report=lambda *step: seen.append(step))
    assert seen == []
    for _ in range(2):
        assert attention.row_entropy.shape == query.shape[:2]
        assert attention.distance_from_rank_one.shape == (HEADS,)
    assert seen == [("rows", 1, 2), ("rows", 2, 2), ("columns", 1, 2), ("columns", 2, 2)]


@pytest.mark.parametrize(
    ("query", "key", "message"),
    [
        (torch.ones(3, 4), torch.ones(1, 3, 4), r"query must have the axes .*flatten"),
        (torch.ones(1, 3, 4), torch.ones(1, 3, 5), "same heads and dimension"),
        (torch.ones(1, 3, 4), torch.ones(2, 3, 4), "same heads and dimension"),
        (torch.ones(1, 3, 4), torch.ones(1, 3, 4).double(), "same dtype"),
        (torch.ones(1, 0, 4), torch.ones(1, 3, 4), "query must have entries"),
        (torch.ones(1, 3, 4), torch.full((1, 3, 4), torch.nan), "key must be finite"),
    ],
)
def test_bad_tensors_are_refused(query, key, message):
    with pytest.raises(ValueError, match=message):
        StreamedAttention(query, key)


def test_a_layout_of_other_tokens_is_refused():
    query, key = independent()
    with pytest.raises(ValueError, match="keys must be the 56 tokens of the layout; got 83"):
        StreamedAttention(query, key, layout=LAYOUT)


def test_frame_mass_needs_a_layout():
    with pytest.raises(ValueError, match="needs the layout"):
        _ = StreamedAttention(*independent()).frame_mass

"""The statements, verdicts and exercises of *Measuring collapse*."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.measure import attention_maps, spectrum, spread
from attention_collapse.measure.streaming import (
    DenseBackend,
    PortableBackend,
    StreamedAttention,
    bidiagonal,
    energy_ranks,
    quadrature,
)
from attention_collapse.measure.streaming.tiles import merge_row_parts
from attention_collapse.theory.rounding import rounded_square
from attention_collapse.tokens import TokenLayout
from tolerances import (
    FITTED_SLOPE,
    FLOAT64,
    GRID_PLACES,
    INDEPENDENT_SCORES,
    MANY_KEYS,
    SETTLED,
    STATED_ERRORS,
    STREAMED_ENTROPY,
    STREAMED_SUMS,
    quoted,
)

PORTABLE = PortableBackend(query_chunk=13, key_chunk=7, dtype=torch.float64)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def attention_of(scores):
    """Streamed attention whose scores are these."""
    keys = scores.shape[-1]
    identity = torch.eye(keys, dtype=torch.float64)
    return StreamedAttention(scores[None] * keys**0.5, identity[None])


def head_products(scores):
    return bidiagonal.HeadProducts(attention_of(scores), 0, task="test", total=1)


def distance(matrix):
    return spectrum.distance_from_rank_one(matrix).item()


def by_frame(count, frames):
    """Attention of every token on the tokens of its own frame alone, all alike."""
    frame = torch.arange(count) * frames // count
    return (frame[:, None] == frame).double() * frames / count


# Two distances, a sink, independent tokens

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.mark.claims("prop-bounds", "eq-bounds", "eq-pythagoras")
@given(shape=shapes, seed=st.integers(0, 2**31), scale=st.floats(0, 30))
def test_the_distance_lies_between_its_bounds(shape, seed, scale):
    matrix = (scale * normal(*shape, seed=seed)).softmax(-1)
    queries, keys = shape
    energy = matrix.square().sum().item()
    rank = spectrum.stable_rank(spectrum.singular_values(matrix)).item()
    found = distance(matrix)
    mean = matrix.mean(0).square().sum().item()
    assert found == pytest.approx(1 - queries * mean / energy, abs=FLOAT64)
    assert 1 - 1 / rank <= found + FLOAT64
    assert found <= 1 - queries / keys / energy + FLOAT64


@pytest.mark.claims("prop-bounds")
def test_a_stable_rank_near_one_does_not_make_rows_equal():
    one_key = torch.eye(2000, dtype=torch.float64)[:1].expand(20, -1)
    matrix = torch.cat((one_key, torch.full_like(one_key, 1 / 2000)))
    rank = spectrum.stable_rank(spectrum.singular_values(matrix)).item()
    assert rank == pytest.approx(1, abs=MANY_KEYS)
    assert distance(matrix) == pytest.approx(1 / 2, abs=MANY_KEYS)


@pytest.mark.claims("eq-pythagoras")
def test_no_row_is_nearer_than_the_mean_row():
    matrix, rows = normal(6, 8).softmax(-1), normal(200, 8, seed=1)
    apart = (matrix - rows[:, None]).square().sum((-2, -1))
    from_mean = (rows - matrix.mean(0)).square().sum(-1)
    expected = distance(matrix) * matrix.square().sum() + 6 * from_mean
    torch.testing.assert_close(apart, expected, rtol=FLOAT64, atol=0)


@pytest.mark.claims("prop-sink", "eq-sink")
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_sink_hides_the_distance_of_the_rest(share):
    scores = 2 * normal(40, 40)
    rest = scores[:, 1:].softmax(-1)
    logit = math.log(share / (1 - share))
    first = scores[:, 1:].logsumexp(-1, keepdim=True) + logit
    whole = attention_of(torch.cat((first, scores[:, 1:]), dim=1))
    energy = (1 - share) ** 2 * rest.square().sum().item()
    expected = energy * distance(rest) / (40 * share**2 + energy)
    assert whole.distance_from_rank_one.item() == pytest.approx(expected, rel=1e3 * FLOAT64)


@pytest.mark.claims("eq-independent")
def test_independent_scores_keep_their_distance_and_lose_their_ratio():
    deviation, ratios = 0.5, {}
    for count, draws in ((64, 32), (256, 8), (1024, 2)):
        matrices = (deviation * normal(draws, count, count)).softmax(-1)
        values = spectrum.singular_values(matrices)
        ratios[count] = spectrum.singular_ratio(values).mean().item()
    slope = np.polyfit(np.log(list(ratios)), np.log(list(ratios.values())), 1)[0]
    assert slope == pytest.approx(-0.5, abs=FITTED_SLOPE)
    matrix = (deviation * normal(2048, 2048)).softmax(-1)
    assert distance(matrix) == pytest.approx(1 - math.exp(-(deviation**2)), abs=INDEPENDENT_SCORES)


def test_equal_rows_have_any_deficit_and_no_distance():
    for scale in (0.0, 1.0, 5.0):
        matrix = (scale * normal(1, 64)).expand(64, 64).softmax(-1)
        assert distance(matrix) == pytest.approx(0, abs=FLOAT64)
        deficit = math.log(64) - attention_maps.row_entropy(matrix)[0].item()
        assert (deficit > 0.3) == (scale > 0)


# Passes


@pytest.mark.claims("eq-softmax", "eq-entropy-pass", "eq-energy-pass")
def test_rows_come_from_sums_over_the_keys():
    query, key = normal(2, 11, 8), normal(2, 13, 8, seed=1)
    rows = PORTABLE.rows(query, key)
    scores = query @ key.mT / 8**0.5
    matrix = scores.softmax(-1)
    close = {"rtol": 10 * FLOAT64, "atol": 10 * FLOAT64}
    torch.testing.assert_close((scores - rows.log_sum_exp[..., None]).exp(), matrix, **close)
    torch.testing.assert_close(rows.entropy, -(matrix * matrix.log()).sum(-1), **close)
    torch.testing.assert_close(rows.energy, matrix.square().sum(-1), **close)


@pytest.mark.claims("eq-tiles")
def test_tiles_can_have_any_reference():
    scores = normal(20, 12)
    expected = attention_maps.row_entropy(scores.softmax(-1))
    parts = []
    for tile, reference in zip(scores.split(5, dim=1), normal(3, 20, seed=1), strict=False):
        below = tile - reference[:, None]
        sums = (below.exp(), below.exp() * below, (2 * below).exp())
        parts.append(torch.stack((reference, *(part.sum(-1) for part in sums))))
    _, entropy, _ = merge_row_parts(torch.stack(parts))
    torch.testing.assert_close(entropy, expected, rtol=10 * FLOAT64, atol=0)


@pytest.mark.claims("eq-column-pass")
def test_columns_are_rows_with_swapped_roles():
    """The normaliser of a query rides along as one more coordinate of it."""
    query, key = normal(1, 11, 8), normal(1, 13, 8, seed=1)
    rows = PORTABLE.rows(query, key).log_sum_exp
    longer = math.sqrt(9 / 8)
    lowered = torch.cat((query * longer, -3 * rows[..., None]), dim=-1)
    with_one = torch.cat((key, torch.ones(1, 13, 1, dtype=torch.float64)), dim=-1)
    swapped = PORTABLE.rows(with_one, lowered).log_sum_exp.exp()
    columns = StreamedAttention(query, key, backend=PORTABLE).column_sums
    torch.testing.assert_close(swapped, columns, rtol=10 * FLOAT64, atol=0)


@pytest.mark.claims("eq-frame-mass")
def test_frame_mass_and_column_sums_agree_on_what_a_frame_receives():
    layout = TokenLayout(3, 1, 2)
    query, key = normal(2, layout.count, 8), normal(2, layout.count, 8, seed=1)
    attention = StreamedAttention(query, key, backend=PORTABLE, layout=layout)
    mass = attention.frame_mass
    torch.testing.assert_close(mass.sum(-1), torch.ones_like(mass[..., 0]))
    received = attention.column_sums.unflatten(-1, (3, layout.per_frame)).sum(-1)
    torch.testing.assert_close(layout.per_frame * mass.sum(-2), received)
    dense = attention_maps.frame_mass(attention_maps.attention_weights(query, key), layout)
    torch.testing.assert_close(mass, dense)
    torch.testing.assert_close(attention.reference_mass, dense[..., 0])


@pytest.mark.claims("eq-memory")
def test_what_is_stored_per_token():
    query = torch.randn(1, 100, 64, generator=torch.Generator().manual_seed(0))
    attention = StreamedAttention(query, query.clone(), backend=PortableBackend())
    rows = attention.rows
    kept = (rows.log_sum_exp, rows.entropy, rows.energy, attention.column_sums)
    tensors = (attention.query, attention.key, *kept)
    assert sum(tensor.nbytes for tensor in tensors) == (8 * 64 + 32) * 100
    assert attention_maps.attention_weights(query, query, dtype=torch.float32).nbytes == 4 * 100**2


# Spectra


@pytest.mark.claims("prop-residual", "eq-residual")
@given(shape=shapes, seed=st.integers(0, 2**31))
def test_a_singular_value_lies_within_the_residual(shape, seed):
    matrix = normal(*shape, seed=seed)
    vector = normal(shape[1], seed=seed + 1)
    vector = vector / vector.norm()
    length = (matrix @ vector).norm()
    residual = (matrix.mT @ (matrix @ vector) / length - length * vector).norm() / 2**0.5
    values = torch.cat((spectrum.singular_values(matrix), torch.zeros(1, dtype=torch.float64)))
    assert (values - length).abs().min() <= residual + 10 * FLOAT64


def test_no_more_is_missing_than_is_stated():
    scores = 2 * normal(512, 512)
    exact = spectrum.singular_values(scores.softmax(-1))
    found = bidiagonal.bidiagonalise(
        head_products(scores), probes=64, count=5, generator=torch.Generator().manual_seed(0)
    )
    missing = exact[:16] - found.values[:16]
    assert (missing > -FLOAT64).all()
    assert (missing <= found.missing[:16] + FLOAT64).all()


@pytest.mark.claims("eq-steps")
def test_a_series_of_pairs_of_products_is_summed_to_its_end():
    """Movements .03 and .02 by turns, and .4 of it at each turn; the second value by half."""
    pair, sizes = torch.tensor([[0.03, 0.02], [1.0, 0.5]], dtype=torch.float64)
    turns = torch.full((50, 1), 0.4, dtype=torch.float64).cumprod(0) * pair
    rises = turns.flatten()[:, None] * sizes
    path = 1 + torch.cat((torch.zeros_like(rises[:1]), rises.cumsum(0)))
    found = bidiagonal.Bidiagonalisation(path[3], tuple(path[:3]), (), torch.eye(2).double())
    missing = path[-1] - path[3] + rises[2]
    torch.testing.assert_close(found.missing[0], missing[0], rtol=FLOAT64, atol=0)
    # A later value is not stated to be nearer to its limit, in parts of it, than one before.
    share = found.missing / found.values
    torch.testing.assert_close(share[1], share[0], rtol=FLOAT64, atol=0)
    stuck = bidiagonal.Bidiagonalisation(path[3], (path[2],) * 3, (), torch.eye(2).double())
    assert (stuck.missing >= 10 * stuck.movement).all()


def test_rounding_of_the_largest_value_is_not_charged_to_a_small_one():
    """It jumps up and down for ever, so ten jumps are stated; the small one has settled."""
    jump = 2**-13
    path = torch.tensor([[1, 1], [1 + jump, 1], [1, 1], [1 + jump, 1]], dtype=torch.float64)
    path[:, 1] *= 0.01
    found = bidiagonal.Bidiagonalisation(path[3], tuple(path[:3]), (), torch.eye(2).double())
    assert found.missing[0] == pytest.approx(10 * jump, rel=FLOAT64)
    assert found.missing[1] == pytest.approx(0.1 * jump / (1 + jump), rel=FLOAT64)


@pytest.mark.claims("eq-participation", "eq-energy-rank", "eq-random-trace")
def test_ranks_from_products_are_those_of_the_whole_spectrum():
    scores = 2 * normal(512, 512)
    energies = spectrum.singular_values(scores.softmax(-1)).square()
    found = energy_ranks(attention_of(scores), generator=torch.Generator().manual_seed(0))
    for value, error, exact in (
        (
            found.participation_ratio,
            found.participation_error,
            spread.participation_ratio(energies),
        ),
        (found.effective_rank, found.effective_rank_error, spectrum.effective_rank(energies)),
    ):
        allowed = STATED_ERRORS * error.item() + SETTLED * exact.item()
        assert value.item() == pytest.approx(exact.item(), abs=allowed)


@pytest.mark.claims("eq-random-trace")
def test_normal_columns_sample_a_trace():
    matrix = normal(6, 6)
    columns = normal(100_000, 6, seed=1)
    forms = torch.einsum("ni,ij,nj->n", columns, matrix, columns)
    error = forms.std().item() / len(forms) ** 0.5
    assert forms.mean().item() == pytest.approx(matrix.trace().item(), abs=4 * error)


def rules(scores, steps):
    """Both quadratures from one column, and the Gram matrix and that column."""
    start = normal(len(scores), 1, seed=9)
    nothing = start.new_zeros(len(start), 0)
    matrix = scores.softmax(-1)
    pair = quadrature.bulk_quadratures(head_products(scores), nothing, start, steps=steps)
    return pair, matrix.mT @ matrix, start[:, 0]


@pytest.mark.claims("prop-brackets", "eq-gauss")
@pytest.mark.parametrize("steps", [2, 3])
def test_the_rules_are_exact_up_to_their_degree_and_no_further(steps):
    (gauss, radau), gram, start = rules(3 * normal(30, 30), steps)
    for rule, degree in ((gauss, 2 * steps - 1), (radau, 2 * steps)):
        exact = [start @ torch.linalg.matrix_power(gram, k) @ start for k in range(degree + 2)]
        found = [(rule.weights * rule.nodes**k).sum() for k in range(degree + 2)]
        for k in range(degree + 1):
            assert found[k].item() == pytest.approx(exact[k].item(), rel=1e3 * FLOAT64)
        assert abs(found[-1] / exact[-1] - 1) > 1e-6


@pytest.mark.claims("prop-brackets", "eq-brackets", "eq-remainders")
def test_the_rules_close_in_on_the_form_from_both_sides():
    scores = 3 * normal(60, 60)
    widths = []
    for steps in (2, 4, 8):
        (gauss, radau), gram, start = rules(scores, steps)
        values, vectors = torch.linalg.eigh(gram)
        values = values.clamp_min(0)
        exact = (torch.xlogy(values, values) * (vectors.mT @ start).square()).sum()
        below, above = (
            (rule.weights * torch.xlogy(rule.nodes, rule.nodes)).sum() for rule in (gauss, radau)
        )
        assert below < exact < above
        widths.append((above - below).item())
    assert widths == sorted(widths, reverse=True)


@pytest.mark.claims("eq-sampled-gram")
def test_samples_of_rows_have_the_right_gram_matrix_and_too_large_values():
    matrix = (2 * normal(200, 200)).softmax(-1)
    exact = spectrum.singular_values(matrix)
    generator = torch.Generator().manual_seed(0)
    grams, largest = torch.zeros(200, 200, dtype=torch.float64), []
    for _ in range(300):
        rows = matrix[torch.randperm(200, generator=generator)[:50]] * 2
        grams += rows.mT @ rows / 300
        largest.append(spectrum.singular_values(rows)[0].square().item())
    spreading = matrix.square().sum() * 4 / 300**0.5
    assert (grams - matrix.mT @ matrix).norm() < spreading
    assert np.mean(largest) > 1.1 * exact[0].square().item()


# Floors


@pytest.mark.claims("lem-rounding", "eq-rounded-square")
@given(difference=st.floats(1e-3, 5))
def test_rounding_overstates_a_difference_below_the_spacing(difference):
    squared = rounded_square(np.array([difference]), spacing=np.array([1.0]))[0]
    assert difference**2 * (1 - FLOAT64) <= squared <= difference**2 + 0.25 + FLOAT64
    if difference <= 1:
        assert squared == pytest.approx(difference)
    places = np.linspace(0, 1, 2000, endpoint=False)
    counted = np.square(np.floor(places + difference) - np.floor(places)).mean()
    assert squared == pytest.approx(counted, abs=GRID_PLACES)


@pytest.mark.claims("eq-accumulation")
@pytest.mark.parametrize("group", [200_000, 4096, 64])
def test_the_error_of_a_sum_is_bounded_by_the_length_of_its_loop(group):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        numbers = rng.exponential(size=200_000).astype(np.float32)
        numbers[0] = 1e4 * (seed + 1)
        padded = np.pad(numbers, (0, -len(numbers) % group)).reshape(-1, group)
        total = np.add.accumulate(padded, axis=1)[:, -1].astype(float).sum()
        exact = numbers.astype(float).sum()
        assert abs(total / exact - 1) <= (group - 1) * 2**-24


def test_a_sink_before_equal_weights_loses_low_bits_in_one_loop():
    weights = np.full(1_041_000, np.exp(-12), dtype=np.float32)
    weights[0] = 1
    exact = weights.astype(float).sum()
    assert abs(np.add.accumulate(weights)[-1] / exact - 1) > 5e-3
    tiles = np.pad(weights, (0, -len(weights) % 2048)).reshape(-1, 2048)
    assert abs(np.add.accumulate(tiles, axis=1)[:, -1].astype(float).sum() / exact - 1) < 1e-5


# Exercises


@pytest.mark.claims("exercise-sink-share")
def test_the_share_of_a_sink_that_hides_all_else():
    share = math.sqrt(99) / (1 + math.sqrt(99))
    assert share == pytest.approx(0.909, abs=quoted(3))
    own = torch.eye(4000, dtype=torch.float64) * (1 - share)
    matrix = torch.cat((torch.full((4000, 1), share, dtype=torch.float64), own), dim=1)
    assert distance(matrix) == pytest.approx(0.01, abs=quoted(4))


@pytest.mark.claims("exercise-same-entropy")
def test_two_matrices_of_equal_entropy():
    common = (torch.arange(128) < 16).double().expand(128, 128) / 16
    frames = by_frame(128, 8)
    for matrix, rank, far in ((common, 1, 0), (frames, 8, 7 / 8)):
        entropy = attention_maps.row_entropy(matrix)
        torch.testing.assert_close(entropy, torch.full_like(entropy, math.log(16)))
        assert matrix.square().sum().item() == pytest.approx(8)
        assert spectrum.stable_rank(spectrum.singular_values(matrix)).item() == pytest.approx(rank)
        assert distance(matrix) == pytest.approx(far, abs=FLOAT64)
    assert sorted(set(common.sum(0).tolist())) == [0, 8]
    torch.testing.assert_close(frames.sum(0), torch.ones(128, dtype=torch.float64))


@pytest.mark.claims("exercise-blind-mass")
def test_frame_mass_is_blind_inside_a_frame():
    layout = TokenLayout(8, 1, 11)
    own, frames = torch.eye(128, dtype=torch.float64), by_frame(128, 8)
    for matrix, deficit, rank in ((frames, math.log(8), 8), (own, math.log(128), 128)):
        mass = attention_maps.frame_mass(matrix, layout)
        torch.testing.assert_close(mass, torch.eye(8, dtype=torch.float64))
        torch.testing.assert_close(matrix.sum(0), torch.ones(128, dtype=torch.float64))
        lost = math.log(128) - attention_maps.row_entropy(matrix).mean().item()
        assert lost == pytest.approx(deficit)
        assert spectrum.stable_rank(spectrum.singular_values(matrix)).item() == pytest.approx(rank)
        assert distance(matrix) == pytest.approx(1 - 1 / rank)


@pytest.mark.claims("exercise-rounding")
def test_the_factor_of_an_entry_near_one_thousandth():
    entry = torch.tensor(1e-3, dtype=torch.bfloat16)
    following = torch.nextafter(entry, torch.tensor(1.0, dtype=torch.bfloat16))
    spacing = (following.double() - entry.double()).item()
    assert spacing == 2**-17
    squared = rounded_square(np.array([1e-8]), spacing=np.array([spacing]))[0]
    assert squared / 1e-16 == pytest.approx(763, abs=quoted(0))


@pytest.mark.claims("exercise-largest-matrix")
def test_the_largest_matrix():
    tokens = math.isqrt(80 * 10**9 // 4)
    assert (tokens, tokens // 1041) == (141_421, 135)
    streamed = 80e9 / (8 * 64 + 32)
    assert streamed == pytest.approx(1.47e8, abs=quoted(-6))
    assert streamed / 1041 == pytest.approx(141_000, abs=quoted(-3))


# The chapter's own measurement


def test_streamed_statistics_are_those_of_the_dense_backend_at_the_promised_error():
    query, key = normal(4, 60, 32).float(), normal(4, 60, 32, seed=1).float()
    layout = TokenLayout(6, 1, 5)
    portable = StreamedAttention(query, key, layout=layout)
    dense = StreamedAttention(query, key, layout=layout, backend=DenseBackend())
    assert (portable.row_entropy - dense.row_entropy).abs().max() < STREAMED_ENTROPY
    assert (portable.column_sums / dense.column_sums - 1).abs().max() < STREAMED_SUMS
    assert (portable.frame_mass / dense.frame_mass - 1).abs().max() < STREAMED_SUMS

import pytest
import torch

from attention_collapse.measure import spectrum
from attention_collapse.measure.streaming import (
    PortableBackend,
    StreamedAttention,
    energy_ranks,
    streamed_singular_values,
)
from attention_collapse.measure.streaming.bidiagonal import HeadProducts, bidiagonalise
from streaming_cases import normal, whole_matrix
from tolerances import FLOAT64, GRAM_ROUNDING, SETTLED_VALUES

TOKENS, DIM = 400, 32
OPTIONS = {"count": 8, "probes": 24}
DOUBLE = PortableBackend(dtype=torch.float64)


def tokens(seed, temperature=1.0):
    return temperature * normal(1, TOKENS, DIM, seed=seed)


def cold():
    return tokens(0, 0.3), tokens(1)


def flat():
    return tokens(0, 3.0), tokens(1)


def clustered():
    centres = 2 * normal(1, 6, DIM)
    choice = torch.arange(TOKENS) % 6
    return centres[:, choice] + 0.2 * tokens(1), centres[:, choice] + 0.2 * tokens(2)


def with_sink():
    key = tokens(1).clone()
    key[:, 0] = 3
    return tokens(0) + 0.5, key


def low_dimensional():
    few = normal(1, TOKENS, 3, seed=5) @ normal(3, DIM, seed=6)
    return few, few


def crowded(count=TOKENS, dim=DIM):
    """Signs that attend to themselves or, by turns, to their opposite: values hardly apart."""
    query = torch.sign(normal(1, count, dim))
    turns = 1 - 2 * (torch.arange(count) % 2)
    return query, 10 * query * turns[:, None]


CASES = (cold, flat, clustered, with_sink, low_dimensional, crowded)
SPECTRA = {case.__name__: case for case in CASES}


def generator(seed=7):
    return torch.Generator().manual_seed(seed)


def double(case):
    return StreamedAttention(*SPECTRA[case](), backend=DOUBLE)


def exact_values(case):
    return spectrum.singular_values(whole_matrix(*SPECTRA[case]()))


@pytest.mark.parametrize("case", SPECTRA)
@pytest.mark.parametrize("products", [5, 7])
def test_no_more_is_missing_than_the_error_and_no_value_is_too_large(case, products):
    found = streamed_singular_values(
        double(case), products=products, generator=generator(), **OPTIONS
    )
    missing = exact_values(case)[:, :8] - found.values
    assert (missing >= -10 * FLOAT64).all()
    assert (missing <= found.errors + 10 * FLOAT64).all()


def test_the_error_holds_where_the_last_product_moved_values_by_less():
    """Two frames of VGGT whose values lie between 1.7 and 2, with the usual block."""
    query, key = crowded(2082, 64)
    attention = StreamedAttention(query, key, backend=DOUBLE)
    head = HeadProducts(attention, 0, task="", total=5)
    search = bidiagonalise(head, probes=64, count=5, generator=generator())
    missing = spectrum.singular_values(whole_matrix(query, key))[0, :16] - search.values[:16]
    assert (missing <= search.missing[:16]).all()
    # Not by much: a stated error that says nothing would hold too.
    assert (search.missing[:16] < 10 * missing).all()
    assert (missing > 1.5 * search.movement[:16]).any()


@pytest.mark.parametrize("case", ["cold", "flat", "with_sink"])
def test_more_products_leave_less(case):
    missing = [
        (
            exact_values(case)[:, :8]
            - streamed_singular_values(
                double(case), products=products, generator=generator(), **OPTIONS
            ).values
        ).max()
        for products in (5, 7, 9)
    ]
    assert missing[0] > 2 * missing[1] > 4 * missing[2]


@pytest.mark.parametrize("case", SPECTRA)
def test_float32_adds_its_floor_only(case):
    query, key = (tensor.float() for tensor in SPECTRA[case]())
    attention = StreamedAttention(query, key)
    found = streamed_singular_values(attention, products=7, generator=generator(), **OPTIONS)
    exact = exact_values(case)[:, :8]
    allowed = found.errors + found.floor[:, None]
    assert ((exact - found.values).abs() <= allowed).all()
    torch.testing.assert_close(found.floor, PortableBackend().rounding * found.values[:, 0])


def test_the_floor_of_a_backend_is_part_of_the_error_of_ranks():
    rough = PortableBackend(dtype=torch.float64)
    rough.rounding = 0.01
    exact, found = (
        energy_ranks(
            StreamedAttention(*SPECTRA["with_sink"](), backend=backend),
            generator=generator(),
            **OPTIONS,
        )
        for backend in (DOUBLE, rough)
    )
    assert torch.equal(exact.effective_rank, found.effective_rank)
    assert (found.leading.floor == 0.01 * found.leading.values[:, 0]).all()
    energy = 2 * found.leading.floor * found.leading.values[:, 0]
    share = energy / found.leading.frobenius_squared
    grown = found.effective_rank_error - exact.effective_rank_error
    # The logarithms of the energies below one percent of the largest are 4.6 and more.
    assert (grown > 4 * share * found.effective_rank).all()
    assert (found.participation_error > exact.participation_error).all()


def test_stable_rank_and_ratio_are_those_of_the_spectrum():
    found = streamed_singular_values(double("with_sink"), generator=generator(), **OPTIONS)
    exact = exact_values("with_sink")
    torch.testing.assert_close(found.stable_rank, spectrum.stable_rank(exact), rtol=FLOAT64, atol=0)
    assert abs(found.ratio - spectrum.singular_ratio(exact)) <= found.errors[0, 1]


def test_a_block_as_wide_as_the_matrix_gives_every_value():
    query, key = normal(1, 5, 4), normal(1, 9, 4, seed=1)
    attention = StreamedAttention(query, key, backend=DOUBLE)
    found = streamed_singular_values(attention, count=5, generator=generator())
    exact = spectrum.singular_values(whole_matrix(query, key))
    torch.testing.assert_close(found.values, exact, rtol=0, atol=10 * FLOAT64)


@pytest.mark.parametrize("count", [1, 3])
def test_attention_of_rank_one_has_one_value(count):
    query, key = normal(1, 40, 4), normal(1, 1, 4, seed=1).expand(1, 40, 4)
    attention = StreamedAttention(query, key, backend=DOUBLE)
    found = energy_ranks(attention, count=count, probes=4, generator=generator())
    expected = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)[:, :count]
    torch.testing.assert_close(found.leading.values, expected, rtol=0, atol=GRAM_ROUNDING)
    for rank in (found.participation_ratio, found.effective_rank, found.leading.stable_rank):
        torch.testing.assert_close(rank, expected[:, 0], rtol=0, atol=10 * FLOAT64)


def test_one_token_has_every_rank_one():
    attention = StreamedAttention(*normal(2, 1, 1, 4), backend=DOUBLE)
    found = energy_ranks(attention, count=1, generator=generator())
    assert found.leading.values.item() == found.leading.stable_rank.item() == 1
    assert found.participation_ratio.item() == found.effective_rank.item() == 1


def energy_reference(case):
    energies = exact_values(case).square()
    shares = energies / energies.sum()
    return 1 / shares.square().sum(), torch.special.entr(shares).sum().exp()


@pytest.mark.parametrize("case", SPECTRA)
def test_energy_ranks_lie_within_their_errors(case):
    """Four standard errors, and the bias of the values that count as known."""
    found = energy_ranks(double(case), generator=generator(), **OPTIONS)
    participation, effective = energy_reference(case)
    for rank, error, exact in (
        (found.participation_ratio, found.participation_error, participation),
        (found.effective_rank, found.effective_rank_error, effective),
    ):
        assert abs(rank - exact) <= 4 * error + SETTLED_VALUES * exact
        assert error < 0.15 * exact


def test_random_columns_leave_no_bias():
    """The mean over seeds is nearer than one seed, by the root of their number."""
    participation, effective = energy_reference("flat")
    attention = double("flat")
    found = [energy_ranks(attention, generator=generator(seed), **OPTIONS) for seed in range(12)]
    participations = torch.cat([ranks.participation_ratio for ranks in found])
    spread = participations.std()
    assert abs(participations.mean() - participation) < 4 * spread / 12**0.5
    errors = torch.cat([ranks.participation_error for ranks in found])
    assert 0.4 * spread < errors.mean() < 2.5 * spread
    effectives = torch.cat([ranks.effective_rank for ranks in found])
    assert abs(effectives.mean() / effective - 1) < 0.01


class _Interrupt(Exception):
    pass


@pytest.mark.parametrize("measure", [streamed_singular_values, energy_ranks])
def test_an_interrupted_call_goes_on_where_it_was(measure):
    query, key = normal(2, 3, 60, 8)
    whole = measure(
        StreamedAttention(query, key, backend=DOUBLE), count=2, probes=4, generator=generator()
    )

    def interrupt(task, done, total):
        if task.endswith("head 3 of 3") and done == 2:
            raise _Interrupt

    finished = {}
    with pytest.raises(_Interrupt):
        measure(
            StreamedAttention(query, key, backend=DOUBLE, report=interrupt),
            count=2,
            probes=4,
            generator=generator(),
            finished=finished,
        )
    assert sorted(finished) == [0, 1]
    seen = []
    resumed = measure(
        StreamedAttention(query, key, backend=DOUBLE, report=lambda *step: seen.append(step)),
        count=2,
        probes=4,
        generator=generator(),
        finished=finished,
    )
    leading = (
        (whole, resumed)
        if measure is streamed_singular_values
        else (
            whole.leading,
            resumed.leading,
        )
    )
    assert torch.equal(leading[0].values, leading[1].values)
    tasks = {task for task, _, _ in seen}
    assert all("head 3" in task for task in tasks if "head" in task)
    assert [done for task, done, _ in seen if "head 3" in task] == list(range(1, seen[-1][2] + 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"products": 4}, "odd and at least 5, got 4"),
        ({"products": 3}, "odd and at least 5, got 3"),
        ({"count": 0}, "from 1 to 64"),
        ({"count": 9, "probes": 8}, "from 1 to 8, .*got 9"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        streamed_singular_values(double("cold"), generator=generator(), **options)


@pytest.mark.parametrize("name", ["bulk_probes", "bulk_steps"])
def test_a_sample_too_small_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 2, got 1"):
        energy_ranks(double("cold"), generator=generator(), **{name: 1})

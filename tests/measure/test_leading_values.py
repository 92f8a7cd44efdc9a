import pytest
import torch

from attention_collapse.measure import spectrum
from attention_collapse.measure.leading_values import BLOCK, STEPS, leading_singular_values
from tolerances import FLOAT64

DIMENSIONS = 16
# What the comment beside STEPS states.
STATED_BOUND = 2e-7


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def attention(tokens, temperature, seed=0):
    query, key = draw(2, tokens, DIMENSIONS, seed=seed)
    return (temperature * query @ key.T / DIMENSIONS**0.5).softmax(-1)


def leading(matrix, **options):
    return leading_singular_values(matrix, generator=torch.Generator().manual_seed(1), **options)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_values_of_attention_are_those_of_the_full_decomposition(temperature):
    matrix = attention(300, temperature)
    exact, found = spectrum.singular_values(matrix)[:2], leading(matrix)
    assert ((found.values - exact).abs() <= found.errors + FLOAT64).all()
    assert (found.errors < STATED_BOUND).all()
    torch.testing.assert_close(found.ratio, exact[1] / exact[0], rtol=FLOAT64, atol=FLOAT64)


def test_the_error_bounds_what_a_hard_spectrum_leaves():
    """Values 1, 1 - 1/N, ...: no gap that the search could use."""
    size = 400
    left, right = (torch.linalg.qr(draw(size, size, seed=seed)).Q for seed in (2, 3))
    exact = 1 - torch.arange(size, dtype=torch.float64) / size
    found = leading((left * exact) @ right.T)
    error = (found.values - exact[:2]).abs()
    assert error.max() > FLOAT64
    assert (error <= found.errors).all()
    assert (found.values < exact[:2]).all()
    assert abs(found.ratio - exact[1]) <= found.ratio_error


def test_values_that_coincide_are_found_as_often_as_they_occur():
    """Frames that see only themselves: every frame gives the same singular values."""
    one = attention(100, 1.0)
    exact = spectrum.singular_values(one)[:2].repeat_interleave(2)
    found = leading(torch.block_diag(one, one), count=BLOCK)
    torch.testing.assert_close(found.values, exact, rtol=FLOAT64, atol=FLOAT64)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (torch.full((200, 200), 1 / 200, dtype=torch.float64), (1.0, 0.0)),
        (torch.eye(200, dtype=torch.float64), (1.0, 1.0)),
        (torch.diag(torch.arange(200.0)).clamp(max=3.0).double(), (3.0, 3.0)),
        (torch.diag(torch.tensor([1.0, 1e-8] + 98 * [0.0], dtype=torch.float64)), (1.0, 1e-8)),
    ],
    ids=["uniform", "identity", "three values", "nearly rank one"],
)
def test_spaces_that_are_exhausted_at_once(matrix, expected):
    found = leading(matrix)
    exact = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found.values, exact, rtol=FLOAT64, atol=FLOAT64)
    assert (found.errors < FLOAT64).all()


def test_a_small_matrix_is_decomposed_in_full():
    matrix = draw(BLOCK * STEPS, 500)
    found = leading(matrix)
    torch.testing.assert_close(found.values, spectrum.singular_values(matrix)[:2], rtol=0, atol=0)
    assert (found.errors == 0).all()


def test_batched_matrices_are_those_one_by_one_and_start_from_the_same_columns():
    matrices = torch.stack([attention(90, 1.0, seed) for seed in (4, 5)])
    together = leading(matrices)
    for index, matrix in enumerate(matrices):
        one = leading(matrix)
        torch.testing.assert_close(together.values[index], one.values, rtol=FLOAT64, atol=0)


@pytest.mark.parametrize(
    ("matrix", "count", "message"),
    [
        (torch.ones(3, 3), 0, "count must be from 1 to 3, got 0"),
        (torch.ones(9, 9), 5, "count must be from 1 to 4, got 5"),
        (torch.ones(1, 9), 2, "count must be from 1 to 1, got 2"),
        (torch.full((9, 9), torch.nan), 2, "matrix must be finite"),
        (torch.ones(0, 9), 2, "must have entries"),
    ],
)
def test_bad_input_is_refused(matrix, count, message):
    with pytest.raises(ValueError, match=message):
        leading(matrix, count=count)

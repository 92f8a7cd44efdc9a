import math

import numpy as np
import pytest
import torch

from attention_collapse.measure.spectrum import (
    distance_from_rank_one,
    effective_rank,
    singular_ratio,
    singular_values,
    stable_rank,
)
from attention_collapse.theory import spectrum as closed_form
from tolerances import FLOAT64, sampling


def random_attention(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).softmax(-1)


def values(*entries):
    return torch.tensor(entries, dtype=torch.float64)


def test_singular_values_are_roots_of_the_gram_eigenvalues():
    matrix = random_attention(2, 3, 7, 5)
    gram = torch.linalg.eigvalsh(matrix.mT @ matrix).flip(-1).sqrt()
    torch.testing.assert_close(singular_values(matrix), gram, rtol=0, atol=FLOAT64)


def test_singular_values_of_low_precision_are_computed_in_float64():
    matrix = random_attention(6, 6).bfloat16()
    measured = singular_values(matrix)
    assert measured.dtype == torch.float64
    torch.testing.assert_close(measured, torch.linalg.svdvals(matrix.double()))


def test_measures_by_hand():
    """Singular values 3, 2, 1: shares 1/2, 1/3, 1/6, in any order and on any scale."""
    entropy = math.log(2) / 2 + math.log(3) / 3 + math.log(6) / 6
    for spectrum in (values(3, 2, 1), values(1, 3, 2), values(3e200, 2e200, 1e200)):
        assert singular_ratio(spectrum).item() == pytest.approx(2 / 3, rel=FLOAT64)
        assert stable_rank(spectrum).item() == pytest.approx(14 / 9, rel=FLOAT64)
        assert effective_rank(spectrum).item() == pytest.approx(math.exp(entropy), rel=FLOAT64)


def test_equal_singular_values_count_themselves():
    spectrum = singular_values(torch.eye(6, dtype=torch.float64))
    assert singular_ratio(spectrum) == 1.0
    assert stable_rank(spectrum).item() == pytest.approx(6.0, rel=FLOAT64)
    assert effective_rank(spectrum).item() == pytest.approx(6.0, rel=FLOAT64)


def test_rank_one_attention_has_rank_one():
    attention = random_attention(1, 8).expand(8, 8)
    spectrum = singular_values(attention)
    assert singular_ratio(spectrum).item() == pytest.approx(0.0, abs=FLOAT64)
    assert stable_rank(spectrum).item() == pytest.approx(1.0, rel=FLOAT64)
    assert effective_rank(spectrum).item() == pytest.approx(1.0, abs=FLOAT64)
    assert distance_from_rank_one(attention).item() == pytest.approx(0.0, abs=FLOAT64)


def test_measures_are_batched():
    matrices = random_attention(2, 3, 6, 6)
    spectrum = singular_values(matrices)
    for measure, argument in (
        (singular_ratio, spectrum),
        (stable_rank, spectrum),
        (effective_rank, spectrum),
        (distance_from_rank_one, matrices),
    ):
        batched = measure(argument)
        assert batched.shape == (2, 3)
        torch.testing.assert_close(batched[1, 2], measure(argument[1, 2]))


def test_distance_from_rank_one_is_the_share_of_the_norm_off_the_mean_row():
    attention = random_attention(9, 5)
    mean_row = attention.mean(0)
    expected = 1 - 9 * mean_row.square().sum() / attention.square().sum()
    torch.testing.assert_close(distance_from_rank_one(attention), expected)
    identity = torch.eye(10, dtype=torch.float64)
    assert distance_from_rank_one(identity).item() == pytest.approx(0.9, rel=FLOAT64)


def test_distance_from_rank_one_is_at_least_that_of_the_best_approximation():
    attention = random_attention(20, 12, 12)
    best = 1 - 1 / stable_rank(singular_values(attention))
    distance = distance_from_rank_one(attention)
    assert (distance >= best).all()
    assert (distance <= 1.05 * best + 0.05).all()


def test_distance_from_rank_one_keeps_its_digits_near_zero():
    """A change of 1e-9 to one row leaves a distance near 1e-18."""
    attention = torch.full((4, 4), 0.25, dtype=torch.float64)
    change = 2.0**-30
    attention[0, 0] += change
    attention[0, 1] -= change
    expected = 2 * change**2 * (1 - 1 / 4) / 4 / 0.25
    assert distance_from_rank_one(attention).item() == pytest.approx(expected, rel=FLOAT64, abs=0)


def test_independent_tokens_need_the_ratio_beside_the_distance():
    """Scores of variance one: the ratio falls with the tokens, the distance goes to 1 - 1/e."""
    few, many = random_attention(128, 128), random_attention(512, 512)
    ratios = [singular_ratio(singular_values(matrix)).item() for matrix in (few, many)]
    distances = [distance_from_rank_one(matrix).item() for matrix in (few, many)]
    assert ratios[1] < 0.6 * ratios[0]
    assert distances[0] > 0.55
    assert distances[1] == pytest.approx(1 - math.exp(-1), rel=sampling(512))


def test_attention_of_gaussian_tokens_has_the_closed_form():
    count, sharpness = 800, np.array([0.3, 0.2])
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    attention = (tokens @ torch.diag(torch.from_numpy(sharpness)) @ tokens.T).softmax(-1)
    spectrum = singular_values(attention)
    tolerance = sampling(count)
    expected = torch.from_numpy(closed_form.singular_values(sharpness, 6))
    torch.testing.assert_close(spectrum[:6], expected, rtol=0, atol=tolerance)
    assert stable_rank(spectrum).item() == pytest.approx(
        closed_form.stable_rank(sharpness), rel=tolerance
    )
    assert effective_rank(spectrum).item() == pytest.approx(
        closed_form.effective_rank(sharpness), rel=3 * tolerance
    )


@pytest.mark.parametrize("measure", [singular_values, distance_from_rank_one])
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.zeros(0, 3), r"must have entries; got shape \(0, 3\): pass"),
        (torch.tensor([[1.0, math.nan]]), "must be finite; got 1 entries that are not, of 2: find"),
        (torch.tensor([[1.0, math.inf]]), "must be finite; got 1 entries that are not, of 2: find"),
    ],
)
def test_refuses_a_matrix_that_is_empty_or_not_finite(measure, matrix, message):
    with pytest.raises(ValueError, match=message):
        measure(matrix)


@pytest.mark.parametrize("measure", [singular_ratio, stable_rank, effective_rank])
@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        (values(1.0, -1.0), "non-negative and not all zero; got minimum -1 and maximum 1: take"),
        (values(0.0, 0.0), "non-negative and not all zero; got minimum 0 and maximum 0: take"),
        (values(1.0, math.nan), "singular_values must be finite; got 1 entries"),
    ],
)
def test_refuses_what_is_not_a_spectrum(measure, spectrum, message):
    with pytest.raises(ValueError, match=message):
        measure(spectrum)


@pytest.mark.parametrize("measure", [stable_rank, effective_rank])
def test_refuses_no_singular_values(measure):
    with pytest.raises(ValueError, match=r"singular_values must have entries; got shape \(0,\)"):
        measure(values())


def test_ratio_refuses_a_single_singular_value():
    with pytest.raises(ValueError, match="singular_values must number at least two; got 1 in"):
        singular_ratio(values(1.0))


def test_distance_refuses_a_zero_matrix():
    with pytest.raises(ValueError, match="attention must not be all zero; got a zero matrix: pass"):
        distance_from_rank_one(torch.zeros(2, 3, 3))

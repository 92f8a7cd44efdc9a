import math

import pytest
import torch

from attention_collapse.measure import spread
from attention_collapse.measure.token_geometry import token_geometry
from tolerances import FLOAT64, NEAR_LIMIT


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("chunk", [7, 50, 100])
def test_chunks_give_the_measures_of_all_tokens(chunk):
    tokens = normal(50, 6) + torch.tensor([3.0, 0, 0, 0, 0, 1])
    found = token_geometry(tokens, chunk=chunk)
    eigenvalues = spread.covariance_eigenvalues(tokens)
    relative = eigenvalues.sum().sqrt() / tokens.mean(0).norm()
    assert found.mean_cosine == pytest.approx(float(spread.mean_cosine(tokens)), rel=10 * FLOAT64)
    participation = float(spread.participation_ratio(eigenvalues))
    assert found.participation_ratio == pytest.approx(participation, rel=10 * FLOAT64)
    assert found.spread == pytest.approx(float(relative), rel=10 * FLOAT64)
    torch.testing.assert_close(found.variances, eigenvalues, rtol=10 * FLOAT64, atol=0)


def test_tokens_close_to_a_point_lose_no_digits():
    deviations = normal(64, 5)
    deviations = deviations - deviations.mean(0)
    tokens = torch.ones(5, dtype=torch.float64) + 1e-6 * deviations
    exact = 1e-6 * float(deviations.square().sum(-1).mean().sqrt()) / 5**0.5
    assert token_geometry(tokens, chunk=10).spread == pytest.approx(exact, rel=NEAR_LIMIT, abs=0)


def test_sums_are_in_float64_whatever_the_tokens():
    tokens = (normal(4000, 3) + 1).bfloat16()
    whole, found = token_geometry(tokens.double()), token_geometry(tokens, chunk=100)
    assert found.spread == pytest.approx(whole.spread, rel=10 * FLOAT64)


@pytest.mark.parametrize("chunk", [7, 100])
def test_tokens_that_all_collapsed_have_no_spread_and_no_directions(chunk):
    found = token_geometry(torch.full((50, 3), 0.1).double() / 3, chunk=chunk)
    assert found.spread == 0
    assert math.isnan(found.participation_ratio)
    assert found.mean_cosine == pytest.approx(1, abs=FLOAT64)


def test_tokens_around_the_origin_have_no_scale_for_their_spread():
    tokens = normal(30, 4)
    found = token_geometry(torch.cat((tokens, -tokens)))
    assert math.isnan(found.spread)
    assert 1 <= found.participation_ratio <= 4


def test_a_chunk_without_tokens_is_refused():
    with pytest.raises(ValueError, match="chunk must be at least 1 token, got 0: 8192"):
        token_geometry(normal(4, 3), chunk=0)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.ones(1, 3), "tokens must number at least two"),
        (torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "tokens must not be zero"),
        (torch.tensor([[1.0, 0.0], [float("nan"), 0.0]]), "tokens must be finite"),
    ],
)
def test_tokens_without_geometry_are_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        token_geometry(tokens)

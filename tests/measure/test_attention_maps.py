import math

import numpy as np
import pytest
import torch

from attention_collapse.measure.attention_maps import (
    attention_weights,
    frame_mass,
    head_sharpness,
    row_entropy,
    score_variance,
)
from attention_collapse.measure.spectrum import singular_values
from attention_collapse.theory import spectrum as closed_form
from attention_collapse.tokens import TokenLayout
from tolerances import BFLOAT16_UNIT, FLOAT64, sampling

LAYOUT = TokenLayout(frames=3, rows=2, columns=2, special=1)


def random_tokens(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_attention(*batch):
    return random_tokens(*batch, LAYOUT.count, LAYOUT.count).softmax(-1)


def gaussian_head(count):
    """Query and key projections of one cloud, with a bilinear form that is not symmetric."""
    tokens = random_tokens(count, 3)
    query_weights, key_weights = 0.35 * random_tokens(2, 4, 3, seed=1)
    bilinear = query_weights.T @ key_weights / math.sqrt(4)
    return tokens @ query_weights.T, tokens @ key_weights.T, bilinear


def test_attention_weights_are_normalised_exponentials():
    query, key = random_tokens(4, 9), random_tokens(6, 9, seed=1)
    weights = attention_weights(query, key)
    for i in range(4):
        masses = [math.exp(float(query[i] @ key[j]) / 3) for j in range(6)]
        expected = torch.tensor(masses, dtype=torch.float64) / sum(masses)
        torch.testing.assert_close(weights[i], expected)


def test_attention_weights_of_large_scores_are_one_hot():
    query = 1e4 * torch.eye(3)
    torch.testing.assert_close(attention_weights(query, query), torch.eye(3, dtype=torch.float64))


def test_attention_weights_compute_in_the_type_asked_for():
    query, key = random_tokens(2, 5, 4).bfloat16(), random_tokens(2, 5, 4, seed=1).bfloat16()
    assert attention_weights(query, key).dtype == torch.float64
    assert attention_weights(query, key, dtype=torch.float32).dtype == torch.float32
    exact = attention_weights(query.double(), key.double())
    torch.testing.assert_close(attention_weights(query, key), exact)


def test_row_entropy_by_hand():
    attention = torch.tensor(
        [[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0], [0.5, 0.25, 0.25, 0.0]]
    )
    expected = torch.tensor([math.log(4), 0.0, 1.5 * math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(row_entropy(attention), expected)


def test_row_entropy_accepts_rows_stored_in_bfloat16():
    attention = random_attention().bfloat16()
    torch.testing.assert_close(
        row_entropy(attention), row_entropy(random_attention()), rtol=BFLOAT16_UNIT / 2, atol=0.0
    )


def test_frame_mass_is_the_sum_over_tokens():
    attention = random_attention()
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i in range(LAYOUT.count):
        for j in range(LAYOUT.count):
            expected[LAYOUT.frame_of(i), LAYOUT.frame_of(j)] += attention[i, j] / LAYOUT.per_frame
    torch.testing.assert_close(frame_mass(attention, LAYOUT), expected)


def test_frame_mass_of_attention_inside_a_frame_and_of_a_sink():
    block = torch.block_diag(*[torch.full((5, 5), 0.2)] * 3)
    torch.testing.assert_close(frame_mass(block, LAYOUT), torch.eye(3, dtype=torch.float64))
    sink = torch.zeros(LAYOUT.count, LAYOUT.count)
    sink[:, LAYOUT.special_index(1, 0)] = 1.0
    expected = torch.tensor([[0.0, 1.0, 0.0]] * 3, dtype=torch.float64)
    torch.testing.assert_close(frame_mass(sink, LAYOUT), expected)


def test_score_variance_is_that_of_the_formed_scores():
    query, key = random_tokens(2, 5, 4) + 0.5, random_tokens(2, 7, 4, seed=1) + 2.0
    scores = query @ key.mT / 2.0
    expected = scores.var(dim=-1, correction=0).mean(-1)
    torch.testing.assert_close(score_variance(query, key), expected)


def test_head_sharpness_is_the_root_of_the_covariance_product():
    query, key = random_tokens(20, 4) + 1.0, random_tokens(30, 4, seed=1) - 1.0
    query_covariance = torch.cov(query.T, correction=0)
    key_covariance = torch.cov(key.T, correction=0)
    eigenvalues = torch.linalg.eigvals(query_covariance @ key_covariance).real
    expected = eigenvalues.sort(descending=True).values.sqrt() / 2.0
    torch.testing.assert_close(head_sharpness(query, key), expected)


def test_squared_sharpness_sums_to_the_score_variance_of_centred_queries():
    query, key = random_tokens(2, 20, 4) + 1.0, random_tokens(2, 30, 4, seed=1)
    centred = query - query.mean(-2, keepdim=True)
    torch.testing.assert_close(
        head_sharpness(query, key).square().sum(-1), score_variance(centred, key)
    )


def test_head_sharpness_by_hand():
    """Variances 4 and 1 of the queries, 9 and 1 of the keys, two dimensions."""
    square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    sharpness = head_sharpness(square * torch.tensor([2.0, 1.0]), square * torch.tensor([3.0, 1.0]))
    expected = torch.tensor([6.0, 1.0], dtype=torch.float64) / math.sqrt(2)
    torch.testing.assert_close(sharpness, expected)


def test_fewer_tokens_than_dimensions_have_that_many_directions():
    assert head_sharpness(random_tokens(3, 8), random_tokens(5, 8, seed=1)).shape == (3,)


def test_a_gaussian_head_has_the_closed_form_at_its_sharpness():
    count = 1000
    query, key, bilinear = gaussian_head(count)
    sharpness = head_sharpness(query, key)[:3].numpy()
    exact = np.linalg.svd(bilinear.numpy(), compute_uv=False)
    assert exact[0] < 0.5
    tolerance = sampling(count)
    np.testing.assert_allclose(sharpness, exact, rtol=2 * tolerance, atol=FLOAT64)
    attention = attention_weights(query, key)
    deficit = math.log(count) - row_entropy(attention).mean().item()
    assert deficit == pytest.approx(closed_form.entropy_deficit(sharpness), rel=2 * tolerance)
    assert deficit == pytest.approx(score_variance(query, key).item() / 2, rel=2 * tolerance)
    expected = torch.from_numpy(closed_form.singular_values(sharpness, 4))
    torch.testing.assert_close(
        singular_values(attention)[:4], expected, rtol=0.0, atol=2 * tolerance
    )


def test_measures_are_batched():
    attention = random_attention(2, 3)
    assert row_entropy(attention).shape == (2, 3, LAYOUT.count)
    mass = frame_mass(attention, LAYOUT)
    assert mass.shape == (2, 3, 3, 3)
    torch.testing.assert_close(mass[1, 2], frame_mass(attention[1, 2], LAYOUT))
    query, key = random_tokens(2, 3, 6, 4), random_tokens(2, 3, 7, 4, seed=1)
    for measure in (attention_weights, score_variance, head_sharpness):
        torch.testing.assert_close(measure(query, key)[1, 2], measure(query[1, 2], key[1, 2]))


@pytest.mark.parametrize("measure", [attention_weights, score_variance, head_sharpness])
def test_refuses_queries_or_keys_that_are_not_finite(measure):
    good, bad = torch.ones(3, 2), torch.full((3, 2), math.nan)
    with pytest.raises(ValueError, match="query must be finite; got 6 entries that are not, of 6"):
        measure(bad, good)
    with pytest.raises(ValueError, match="key must be finite; got 6 entries that are not, of 6"):
        measure(good, bad)


@pytest.mark.parametrize("measure", [attention_weights, score_variance, head_sharpness])
def test_refuses_queries_and_keys_of_different_heads(measure):
    with pytest.raises(ValueError, match="the same dimension; got 2 and 4: take both from"):
        measure(torch.ones(3, 2), torch.ones(3, 4))


def test_attention_weights_refuse_no_keys():
    with pytest.raises(ValueError, match=r"key must have entries; got shape \(0, 2\): pass"):
        attention_weights(torch.ones(3, 2), torch.ones(0, 2))


@pytest.mark.parametrize("measure", [score_variance, head_sharpness])
def test_refuses_a_single_key(measure):
    with pytest.raises(ValueError, match="key must number at least two; got 1 in shape"):
        measure(torch.ones(3, 2), torch.ones(1, 2))


def test_head_sharpness_refuses_a_single_query():
    with pytest.raises(ValueError, match="query must number at least two; got 1 in shape"):
        head_sharpness(torch.ones(1, 2), torch.ones(3, 2))


@pytest.mark.parametrize("measure", [row_entropy, lambda matrix: frame_mass(matrix, LAYOUT)])
@pytest.mark.parametrize(
    ("attention", "message"),
    [
        (torch.ones(15, 15), "sum to one; got sums off by 14 and minimum 1: pass weights after"),
        (2 * torch.eye(15) - 1 / 15, "non-negative and sum to one; got .* minimum -0.0667: pass"),
        (torch.eye(15, dtype=torch.int64), "floating-point weights; got torch.int64: pass weights"),
        (torch.full((15, 15), math.nan), "attention must be finite; got 225 entries"),
        (torch.ones(15, 0), r"attention must have entries; got shape \(15, 0\)"),
    ],
)
def test_refuses_what_is_not_attention(measure, attention, message):
    with pytest.raises(ValueError, match=message):
        measure(attention)


def test_frame_mass_refuses_another_number_of_tokens():
    with pytest.raises(ValueError, match=r"over the 15 tokens of the layout; got shape \(6, 6\)"):
        frame_mass(torch.eye(6), LAYOUT)

import math

import pytest
import torch

from attention_collapse.measure import attention_maps, spectrum
from attention_collapse.measure.attention_summary import (
    QUANTILES,
    summarise_attention,
    summarise_scores,
    summarise_spectrum,
)
from attention_collapse.measure.streaming import StreamedAttention
from attention_collapse.tokens import TokenLayout
from tolerances import EXHAUSTED_SEARCH, STREAMED_NETWORK

LAYOUT = TokenLayout(3, 2, 4, special=0)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.fixture
def heads():
    """Queries and keys of two heads on three frames, and their whole matrices."""
    query, key = normal(2, LAYOUT.count, 8), normal(2, LAYOUT.count, 8, seed=1)
    return query, key, attention_maps.attention_weights(query, key)


def close(found, exact, rtol=STREAMED_NETWORK):
    torch.testing.assert_close(found, exact, rtol=rtol, atol=rtol)


def test_numbers_are_those_of_the_whole_matrix(heads):
    query, key, whole = heads
    found = summarise_attention(StreamedAttention(query, key, layout=LAYOUT))
    entropy, mean_row = attention_maps.row_entropy(whole), whole.mean(-2)
    close(found["row_entropy"], entropy.mean(-1))
    close(found["entropy_deficit"], math.log(LAYOUT.count) - entropy.mean(-1))
    close(found["column_entropy"], -(mean_row * mean_row.log()).sum(-1))
    close(found["largest_column"], mean_row.amax(-1))
    close(found["frobenius_squared"], whole.square().sum((-2, -1)))
    close(found["distance_from_rank_one"], spectrum.distance_from_rank_one(whole))
    mass = attention_maps.frame_mass(whole, LAYOUT)
    close(found["reference_mass"], mass[:, 1:, 0].mean(-1))
    close(found["own_frame_mass"], mass.diagonal(dim1=-2, dim2=-1).mean(-1))


def test_quantiles_are_entropies_of_rows_at_their_rank(heads):
    query, key, whole = heads
    found = summarise_attention(StreamedAttention(query, key))["row_entropy_quantiles"]
    rows = attention_maps.row_entropy(whole)
    exact = torch.quantile(rows, torch.tensor(QUANTILES).double(), dim=-1, interpolation="nearest")
    close(found, exact.mT)


def test_a_sink_has_the_column_entropy_of_its_rows():
    query, key = torch.ones(1, 12, 4).double(), normal(1, 12, 4)
    key[:, 0] = 40
    found = summarise_attention(StreamedAttention(query, key))
    assert found["largest_column"] > 1 - 1e-12
    close(found["column_entropy"], found["row_entropy"])


def test_one_frame_has_no_masses(heads):
    query, key, _ = heads
    assert "reference_mass" not in summarise_attention(StreamedAttention(query, key))


def test_scores_are_summed_up_head_by_head(heads):
    query, key, _ = heads
    found = summarise_scores(query, key)
    close(found["score_variance"], attention_maps.score_variance(query, key))
    close(found["sharpness"], attention_maps.head_sharpness(query, key))


@pytest.mark.parametrize("energy", [False, True])
def test_spectra_of_fewer_tokens_than_probes_are_exact(heads, energy):
    """The block of the search spans all directions: its next block must not count them again."""
    query, key, whole = heads
    attention = StreamedAttention(query, key)
    found = summarise_spectrum(
        attention, count=4, energy=energy, generator=torch.Generator().manual_seed(0)
    )
    values = spectrum.singular_values(whole)
    close(found["singular_values"], values[:, :4], EXHAUSTED_SEARCH)
    close(found["singular_ratio"], spectrum.singular_ratio(values), EXHAUSTED_SEARCH)
    close(found["stable_rank"], spectrum.stable_rank(values), EXHAUSTED_SEARCH)
    if energy:
        shares = values.square() / values.square().sum(-1, keepdim=True)
        participation = 1 / shares.square().sum(-1)
        close(found["attention_participation_ratio"], participation, EXHAUSTED_SEARCH)
        effective = torch.special.entr(shares).sum(-1).exp()
        close(found["energy_effective_rank"], effective, EXHAUSTED_SEARCH)
    else:
        assert "energy_effective_rank" not in found


def test_a_ratio_needs_two_values(heads):
    query, key, _ = heads
    with pytest.raises(ValueError, match="count must be at least 2, got 1"):
        summarise_spectrum(
            StreamedAttention(query, key), count=1, energy=False, generator=torch.Generator()
        )

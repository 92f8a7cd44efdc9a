import math

import pytest
import torch

from attention_collapse.measure import reference_mass as module
from attention_collapse.measure.attention_maps import attention_weights, frame_mass
from attention_collapse.measure.reference_mass import reference_mass
from attention_collapse.tokens import TokenLayout
from tolerances import FLOAT64

LAYOUT = TokenLayout(4, 2, 3)


@pytest.fixture
def heads():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, LAYOUT.count, 8, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("scores", [3 * LAYOUT.count * 5, 2**26])
def test_it_is_the_mean_of_the_later_frames(heads, scores, monkeypatch):
    monkeypatch.setattr(module, "SCORES_AT_ONCE", scores)
    expected = frame_mass(attention_weights(*heads), LAYOUT)[:, 1:, 0].mean(1)
    mass = reference_mass(*heads, tokens_per_frame=LAYOUT.per_frame)
    torch.testing.assert_close(mass, expected, rtol=0, atol=FLOAT64)


def test_a_bias_multiplies_the_odds(heads):
    query, key = heads
    doubled = torch.cat((key[:, : LAYOUT.per_frame], key), dim=1)
    weights = attention_weights(query, doubled)[:, LAYOUT.per_frame :, : 2 * LAYOUT.per_frame]
    mass = reference_mass(query, key, tokens_per_frame=LAYOUT.per_frame, bias=math.log(2))
    torch.testing.assert_close(mass, weights.sum(-1).mean(1), rtol=0, atol=FLOAT64)


def test_some_rows_stand_for_all(heads):
    query, key = heads
    mass = reference_mass(query, key, tokens_per_frame=LAYOUT.per_frame, rows=3)
    weights = attention_weights(query, key)[..., : LAYOUT.per_frame].sum(-1)
    later = weights[:, LAYOUT.per_frame :: LAYOUT.per_frame]
    torch.testing.assert_close(mass, later.mean(1), rtol=0, atol=FLOAT64)
    all_rows = reference_mass(query, key, tokens_per_frame=LAYOUT.per_frame, rows=10**6)
    torch.testing.assert_close(
        all_rows, reference_mass(query, key, tokens_per_frame=LAYOUT.per_frame)
    )


def test_a_single_frame_is_refused(heads):
    with pytest.raises(ValueError, match="needs one later token and one row"):
        reference_mass(*heads, tokens_per_frame=LAYOUT.count)

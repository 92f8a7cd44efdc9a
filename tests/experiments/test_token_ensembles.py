import math

import numpy as np
import pytest
import torch

from attention_collapse.experiments.closed_forms import (
    gaussian_distance_from_rank_one,
    gaussian_forms,
)
from attention_collapse.experiments.token_ensembles import independent, windows
from attention_collapse.experiments.token_flow import TokenFlow
from attention_collapse.measure.attention_maps import attention_weights, row_entropy
from attention_collapse.measure.spectrum import distance_from_rank_one, singular_values
from attention_collapse.theory.spectrum import SHARPNESS_LIMIT
from tolerances import (
    FLOAT64,
    INDEPENDENT_DEFICIT,
    INDEPENDENT_DISTANCE,
    QUADRATURE,
    WINDOW_MASS,
    WINDOW_RATIO,
)

SIZES = {"heads": 2, "dim": 64, "common": 0.0, "dtype": torch.float64}
WINDOWS = {"matches": 4, "match_score": 6.0}


def generator():
    return torch.Generator().manual_seed(0)


def attention(ensemble, frames):
    query, key = ensemble.queries_and_keys(ensemble.first(frames))
    return query, key, attention_weights(query, key)


def test_independent_tokens_approach_their_closed_forms():
    ensemble = independent(
        32, tokens_per_frame=25, score_deviation=1.0, generator=generator(), **SIZES
    )
    *_, whole = attention(ensemble, 32)
    law = ensemble.predict(32)
    deficit = math.log(800) - row_entropy(whole).mean()
    assert float(deficit) == pytest.approx(law["entropy_deficit"], rel=INDEPENDENT_DEFICIT)
    distance = distance_from_rank_one(whole).mean()
    assert float(distance) == pytest.approx(law["distance_from_rank_one"], abs=INDEPENDENT_DISTANCE)


def test_before_the_crossover_there_is_no_law_of_the_entropy():
    sizes = {"tokens_per_frame": 5, "score_deviation": 2.0, "generator": generator()}
    ensemble = independent(20, **sizes, **SIZES)
    assert math.isnan(ensemble.predict(10)["entropy_deficit"])
    assert ensemble.predict(11)["entropy_deficit"] == pytest.approx(2)  # e^4 = 54.6 tokens


@pytest.mark.parametrize("frames", [4, 16, 32])
def test_matches_in_windows_dilute_by_their_law(frames):
    ensemble = windows(32, tokens_per_frame=16, generator=generator(), **WINDOWS, **SIZES)
    query, key, whole = attention(ensemble, frames)
    law = ensemble.predict(frames)
    group = ensemble.group[: query.shape[1]]
    mass = (whole * (group[:, None] == group)).sum(-1).mean(-1)
    known = ensemble.match_mass(query, key, torch.logsumexp(query @ key.mT / 8, -1))
    torch.testing.assert_close(known, mass)
    assert float(mass.mean()) == pytest.approx(law["match_mass"], rel=WINDOW_MASS)
    values = singular_values(whole)
    ratio = float((values[:, 1] / values[:, 0]).mean())
    assert ratio == pytest.approx(law["singular_ratio"], abs=WINDOW_RATIO)


def test_frames_of_a_window_show_the_same_points():
    ensemble = windows(6, tokens_per_frame=3, generator=generator(), **WINDOWS, **SIZES)
    frames = ensemble.tokens.unflatten(1, (6, 3))
    assert torch.equal(frames[:, 0], frames[:, 3])
    assert torch.equal(frames[:, 4], frames[:, 5])
    assert not torch.equal(frames[:, 0], frames[:, 4])


def test_fewer_frames_than_a_window_match_fewer_times():
    ensemble = windows(8, tokens_per_frame=16, generator=generator(), **WINDOWS, **SIZES)
    *_, two = attention(ensemble, 2)
    group = ensemble.group[:32]
    mass = (two * (group[:, None] == group)).sum(-1).mean()
    assert float(mass) == pytest.approx(ensemble.predict(2)["match_mass"], rel=WINDOW_MASS)


def test_the_distance_of_gaussian_tokens_is_the_integral_over_their_kernel():
    """One direction on Gauss–Hermite nodes: the operator as a matrix in the normal measure."""
    sharpness = 0.4
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights /= weights.sum()
    kernel = np.exp(sharpness * np.outer(nodes, nodes) - (sharpness * nodes[:, None]) ** 2 / 2)
    mean_row = weights @ kernel
    norm = weights @ kernel**2 @ weights
    expected = 1 - (mean_row**2 @ weights) / norm
    found = gaussian_distance_from_rank_one(np.array([sharpness]))
    assert found == pytest.approx(expected, rel=QUADRATURE)


def test_heads_outside_the_closed_form_have_no_prediction():
    sharpness = np.array([[0.3, 0.1], [SHARPNESS_LIMIT + 0.01, 0.1]])
    forms = gaussian_forms(sharpness, np.array([0.1, 1.0]))
    assert np.isfinite(forms["predicted_stable_rank"]).tolist() == [True, False]
    assert np.isfinite(forms["predicted_singular_ratio"]).tolist() == [True, False]
    np.testing.assert_array_equal(forms["predicted_entropy_deficit"], [0.05, 0.5])


def test_a_flow_is_pre_norm_attention_with_the_scores_of_its_ensemble():
    """Two layers against dense arithmetic on the definition."""
    sizes = SIZES | {"common": 3.0}
    ensemble = windows(4, tokens_per_frame=5, generator=generator(), **WINDOWS, **sizes)
    flow = TokenFlow(ensemble, 0.25, torch.float64)
    stream = exact = ensemble.first(4)
    for layer in range(2):
        seen = {}
        stream = flow.step(stream, layer, observe=seen.__setitem__)
        assert torch.equal(seen[f"global.{layer:02d}.output"], stream[:1])
        directions = exact / exact.norm(dim=-1, keepdim=True)
        content = directions[..., 1:]
        scores = 6.0 * 10.0 * content @ content.mT
        exact = exact + 0.25 * 10.0**0.5 * scores.softmax(-1) @ directions
    torch.testing.assert_close(stream, exact, rtol=FLOAT64, atol=FLOAT64)

import numpy as np
import pytest
import torch

from attention_collapse.experiments import landmark_flow, random_weights, recompute_canary
from attention_collapse.experiments.landmark_flow import Config, LandmarkFlow
from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.widgets.rank_explorer import RankExplorer
from tolerances import FLOAT64, GAUSSIAN_HEAD

SMALL = Config(frames=(8, 512), depth=3, landmarks=64)


def test_the_cloud_starts_with_the_stated_covariance():
    tokens = LandmarkFlow(SMALL, 8).tokens.numpy()
    covariance = np.cov(tokens[:, 1:].T, bias=True) / SMALL.deviation**2
    np.testing.assert_allclose(covariance, np.eye(4), atol=FLOAT64)


def test_one_layer_is_what_the_formula_says():
    flow = LandmarkFlow(SMALL, 512)
    before = flow.tokens.numpy()
    directions = before / np.linalg.norm(before, axis=1, keepdims=True)
    scores = directions[:, 1:] * (np.array(SMALL.initial_sharpness) / SMALL.deviation**2)
    weights = np.exp(scores @ directions[:, 1:].T)
    weights /= weights.sum(axis=1, keepdims=True)
    share = 64 / (512 + 64)
    flow.advance()
    expected = before + 0.25 * (share * directions + (1 - share) * weights @ directions)
    np.testing.assert_allclose(flow.tokens.numpy(), expected, atol=FLOAT64)


def test_a_single_frame_with_few_dilution_frames_still_moves_the_cloud_more_than_many():
    spreads = {}
    for dilution_frames in (1.0, 1000.0):
        flow = LandmarkFlow(Config(dilution_frames=dilution_frames, landmarks=64), 8)
        for _ in range(20):
            flow.advance()
        spreads[dilution_frames] = flow.spread()
    assert spreads[1.0] < 0.5 < spreads[1000.0]


def test_a_measurement_belongs_to_the_law_it_is_asked_for():
    surfaces = [CollapseSurface((0.3, 0.2), 16.0, 0.1), CollapseSurface((0.4, 0.1), 256.0, 0.1)]
    for surface in surfaces:
        measurement = landmark_flow.measure_at(10, 64, surface)
        law = surface.rank_profile(10, 64)
        assert measurement["singular_ratio"] == pytest.approx(law.singular_ratio, rel=GAUSSIAN_HEAD)


def test_the_rank_explorer_starts_with_the_law_of_this_experiment():
    config = Config()
    surface = CollapseSurface(config.initial_sharpness, config.dilution_frames, config.step)
    assert RankExplorer().surface == surface


def test_a_run_starts_at_layer_zero_and_reports_every_layer():
    messages = []
    measurement = landmark_flow.run(SMALL, device="cpu", report=messages.append)
    assert measurement.arrays["spread"].shape == (2, 4)
    np.testing.assert_allclose(measurement.arrays["spread"][:, 0], 1)
    assert messages == ["8 frames followed", "512 frames followed"]


@pytest.mark.parametrize("experiment", [landmark_flow, random_weights])
def test_the_canary_gives_the_same_numbers_whatever_the_global_random_state(experiment):
    settings = {name: getattr(experiment.CANARY, name) for name in vars(experiment.CANARY)}
    first = recompute_canary(experiment, settings)
    torch.manual_seed(99)
    assert recompute_canary(experiment, settings) == first

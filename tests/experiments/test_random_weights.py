import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments import random_weights
from attention_collapse.experiments.random_weights import Config, GlobalLayers, head_statistics
from tolerances import FLOAT64_NETWORK

SMALL = Config(frames=(2, 3), image_size=(28, 42), width=32, depth=2, heads=2, observed_heads=2)


@pytest.fixture(scope="module")
def arrays():
    return random_weights.run(SMALL, device="cpu").arrays


def test_statistics_are_those_of_the_attention_that_the_network_computes(arrays):
    """The second global layer, head 1, on three frames, with numpy alone."""
    seen = {}
    images = scenes.orbit(3, image_size=(28, 42), seed=0, dtype=torch.float64).images
    with torch.inference_mode():
        random_weights.network(SMALL, "cpu")(images[None], observe=seen.__setitem__)
    query, key = (seen[f"global.01.attention.{name}"][0, 1].numpy() for name in ("query", "key"))
    weights = np.exp(query @ key.T / 4)  # sqrt of 16 dimensions
    weights /= weights.sum(axis=1, keepdims=True)
    values = np.linalg.svd(weights, compute_uv=False)
    at = (1, 1, 1)
    entropy = -(weights * np.log(weights)).sum(axis=1).mean()
    expected = {
        "row_entropy": entropy,
        "entropy_deficit": np.log(len(key)) - entropy,
        "singular_ratio": values[1] / values[0],
        "stable_rank": (values**2).sum() / values[0] ** 2,
    }
    for name, value in expected.items():
        assert arrays[name][at] == pytest.approx(value, rel=FLOAT64_NETWORK), name


def test_spread_is_the_distance_to_the_mean_over_its_norm(arrays):
    seen = {}
    images = scenes.orbit(2, image_size=(28, 42), seed=0, dtype=torch.float64).images
    with torch.inference_mode():
        random_weights.network(SMALL, "cpu")(images[None], observe=seen.__setitem__)
    tokens = seen["global.00.output"][0].numpy()
    mean = tokens.mean(axis=0)
    spread = np.sqrt(((tokens - mean) ** 2).sum(axis=1).mean()) / np.linalg.norm(mean)
    assert arrays["spread"][0, 0] == pytest.approx(spread, rel=FLOAT64_NETWORK)


def test_fewer_observed_heads_are_the_first_heads(arrays):
    one = random_weights.run(dataclasses.replace(SMALL, observed_heads=1), device="cpu").arrays
    np.testing.assert_array_equal(one["stable_rank"], arrays["stable_rank"][..., :1])


def test_heads_outside_the_closed_form_have_no_prediction():
    generator = torch.Generator().manual_seed(0)
    query = 4 * torch.randn(1, 50, 8, generator=generator, dtype=torch.float64)
    statistics = head_statistics(query, query)
    assert np.isnan(statistics["predicted_stable_rank"]).all()
    assert np.isfinite(statistics["predicted_entropy_deficit"]).all()


def test_an_observer_keeps_numbers_and_no_token_tensors():
    watch = GlobalLayers(1)
    tokens = torch.randn(1, 1, 12, 8, generator=torch.Generator().manual_seed(0)).double()
    watch("global.00.attention.query", tokens)
    watch("global.00.attention.key", tokens)
    watch("global.00.output", tokens[0])
    watch("frame.00.output", tokens[0])
    assert not [value for value in vars(watch).values() if isinstance(value, torch.Tensor)]
    assert watch.results()["stable_rank"].shape == (1, 1)

import numpy as np
import pytest
import torch

from attention_collapse.experiments.layer_measures import AXES, LayerMeasures, head_statistics
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig
from tolerances import FLOAT64, FLOAT64_NETWORK

# Three frames of 20 patches and 5 special tokens: more tokens than are decomposed in full.
LAYOUT = TokenLayout(3, 4, 5)
CONFIG = AggregatorConfig(width=16, depth=2, heads=2, layer_scale=1.0)
IMAGES = torch.rand(1, 3, 3, 56, 70, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture(scope="module")
def aggregator():
    return Aggregator(CONFIG, generator=torch.Generator().manual_seed(0)).double()


def measured(aggregator, *heads):
    measures = LayerMeasures(CONFIG, LAYOUT, heads)
    with torch.inference_mode():
        aggregator(IMAGES, observe=measures.watch, keep=())
    return measures


def test_every_layer_and_head_is_what_numpy_finds_in_the_weights(aggregator):
    seen = {}
    with torch.inference_mode():
        aggregator(IMAGES, observe=seen.__setitem__)
    arrays = measured(aggregator, 0, 1).arrays()
    for layer, head in np.ndindex(2, 2):
        names = (f"global.{layer:02d}.attention.{name}" for name in ("query", "key"))
        query, key = (seen[name][0, head].numpy() for name in names)
        for name, value in by_numpy(query, key).items():
            found = arrays[name][layer, head]
            np.testing.assert_allclose(found, value, rtol=FLOAT64_NETWORK, err_msg=name)


def by_numpy(query, key):
    weights = np.exp(query @ key.T / np.sqrt(query.shape[1]))
    weights /= weights.sum(axis=1, keepdims=True)
    values = np.linalg.svd(weights, compute_uv=False)
    mass = weights.reshape(3, 25, 3, 25).sum(axis=3).mean(axis=1)
    return {
        "entropy_deficit": np.log(75) + (weights * np.log(weights)).sum(axis=1).mean(),
        "singular_ratio": values[1] / values[0],
        "stable_rank": (values**2).sum() / values[0] ** 2,
        "distance_from_rank_one": 1 - 75 * (weights.mean(axis=0) ** 2).sum() / (values**2).sum(),
        "frame_mass": mass,
        "reference_mass": weights[25:, :25].sum(axis=1).mean(),
    }


def test_tokens_are_those_after_each_layer(aggregator):
    seen = {}
    with torch.inference_mode():
        aggregator(IMAGES, observe=seen.__setitem__)
    arrays = measured(aggregator, 0).arrays()
    for layer in range(2):
        tokens = seen[f"global.{layer:02d}.output"][0].numpy()
        mean = tokens.mean(axis=0)
        variance = ((tokens - mean) ** 2).sum(axis=1).mean()
        spread = np.sqrt(variance) / np.linalg.norm(mean)
        assert arrays["spread"][layer] == pytest.approx(spread, rel=FLOAT64_NETWORK)
        variances = np.linalg.svd(tokens - mean, compute_uv=False) ** 2 / len(tokens)
        found = arrays["token_variances"][layer]
        np.testing.assert_allclose(found, variances, rtol=0, atol=FLOAT64_NETWORK)


def test_chosen_heads_come_in_the_order_asked_for(aggregator):
    both, one = measured(aggregator, 1, 0).arrays(), measured(aggregator, 0).arrays()
    np.testing.assert_array_equal(both["heads"], [1, 0])
    np.testing.assert_array_equal(both["frame_mass"][:, 1:], one["frame_mass"])
    assert not np.array_equal(both["singular_ratio"][:, :1], one["singular_ratio"])


def test_arrays_are_those_whose_axes_are_named(aggregator):
    arrays = measured(aggregator, 0, 1).arrays()
    assert {name: array.ndim for name, array in arrays.items()} == {
        name: len(axes) for name, axes in AXES.items()
    }


def test_no_tensor_of_the_network_is_kept(aggregator):
    measures = measured(aggregator, 0)
    assert not [value for value in vars(measures).values() if isinstance(value, torch.Tensor)]


def test_tokens_that_look_only_at_the_first_frame_give_it_all_mass():
    key = torch.zeros(75, 4)
    key[:25, 0] = 200.0
    query = torch.zeros(75, 4)
    query[:, 0] = 1.0
    statistics = head_statistics(query, key, layout=LAYOUT)
    assert statistics["reference_mass"] == pytest.approx(1.0, abs=FLOAT64)
    # A third of the tokens, evenly: the logarithm of 75 over 25.
    assert statistics["entropy_deficit"] == pytest.approx(np.log(3), abs=FLOAT64)


def test_even_attention_has_rank_one_and_no_deficit():
    zeros = torch.zeros(75, 4, dtype=torch.float16)
    statistics = head_statistics(zeros, zeros, layout=LAYOUT)
    assert statistics["reference_mass"] == pytest.approx(1 / 3, abs=FLOAT64)
    assert statistics["entropy_deficit"] == pytest.approx(0.0, abs=FLOAT64)
    assert statistics["stable_rank"] == pytest.approx(1.0, abs=FLOAT64)
    assert statistics["singular_ratio"] == pytest.approx(0.0, abs=FLOAT64)
    assert statistics["distance_from_rank_one"] == pytest.approx(0.0, abs=FLOAT64)

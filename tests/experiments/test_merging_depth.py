"""A merged network over depth: what its record says is what its tokens do."""

import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments import merging_depth, random_weights
from attention_collapse.experiments.layer_steps import random_network
from attention_collapse.experiments.merging_depth import Config
from attention_collapse.measure.spread import covariance_eigenvalues
from attention_collapse.merging.attention import MergeRule
from attention_collapse.merging.grouping import ReusedGrouping
from attention_collapse.merging.reducer import MergeReducer
from attention_collapse.vggt import Reduction
from tolerances import FLOAT64, FLOAT64_NETWORK, SEARCHED_RATIO

SMALL = Config(
    frames=3, image_size=(56, 70), width=16, depth=3, heads=2, cell=(2, 2), ratios=(0.2, 0.35)
)


@pytest.fixture(scope="module")
def arrays():
    return merging_depth.run(SMALL, device="cpu").arrays


@pytest.fixture(scope="module")
def unmerged():
    config = random_weights.Config(
        frames=(3,), image_size=(56, 70), width=16, depth=3, heads=2, observed_heads=2
    )
    return random_weights.run(config, device="cpu").arrays


def test_the_unmerged_network_is_that_of_random_weights(arrays, unmerged):
    np.testing.assert_allclose(
        arrays["unmerged_spread"], unmerged["spread"][0], rtol=FLOAT64_NETWORK
    )
    for name, tolerance in (
        ("entropy_deficit", FLOAT64_NETWORK),
        ("singular_ratio", SEARCHED_RATIO),
    ):
        expected = unmerged[name][0].mean(axis=-1)
        np.testing.assert_allclose(arrays[f"unmerged_{name}"], expected, rtol=tolerance)


@pytest.mark.parametrize(("reference", "weighting"), [("grid", "size"), ("protected", "none")])
def test_a_merged_network_is_one_whose_reducer_uses_its_first_groups_again(
    arrays, reference, weighting
):
    network = random_network(SMALL.sizes(), seed=0, storage="float64", device="cpu")
    images = scenes.orbit(3, image_size=(56, 70), seed=0, dtype=torch.float64).images
    grouping = ReusedGrouping(SMALL.grouping(reference, 0.35), every=3)
    reducer = MergeReducer(Reduction, grouping, MergeRule(weighting))
    with torch.inference_mode():
        output = network(images[None], reducer=reducer)
    place = merging_depth.REFERENCES.index(reference), merging_depth.WEIGHTINGS.index(weighting), 1
    for layer in range(SMALL.depth):
        tokens = output.layers[layer][0, ..., 16:].flatten(0, 1)
        variances = covariance_eigenvalues(tokens)
        expected = random_weights.token_statistics(tokens, variances)["spread"]
        assert arrays["spread"][(*place, layer)] == pytest.approx(expected, rel=FLOAT64_NETWORK)


def test_members_of_a_group_are_moved_alike_by_attention(arrays):
    assert arrays["update_within"].max() < FLOAT64


def test_the_parts_of_the_variance_add_up(arrays):
    for prefix in ("", "unmerged_"):
        total = arrays[f"{prefix}between"] + arrays[f"{prefix}within"]
        stated = np.broadcast_to(arrays[f"{prefix}spread"] ** 2, total.shape)
        np.testing.assert_allclose(total, stated, rtol=FLOAT64_NETWORK)


def test_more_merging_leaves_less_between_groups(arrays):
    for name in ("predicted_coefficient", "unmerged_between"):
        assert np.all(np.diff(arrays[name], axis=1) < 0)
    assert np.all(arrays["predicted_coefficient"] < 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratios": (0.5, 1.0)}, "ratios must be between 0 and 1"),
        ({"ratios": (0.9,)}, "must not remove more tokens than there are sources"),
        ({"sharpness": 0.8}, "below 1/√2, got 0.8"),
        ({"width": 30}, "width"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Config(), **settings)

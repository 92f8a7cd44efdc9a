import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import softmax

from attention_collapse import scenes
from attention_collapse.experiments import heat_maps
from attention_collapse.experiments.head_closures import mixture_weights
from attention_collapse.experiments.trained_network import load_network
from attention_collapse.vggt import Watch
from tolerances import FLOAT32_STORED, NUMPY_NETWORK

SMALL = heat_maps.CANARY


@pytest.fixture(scope="module")
def measurement():
    return heat_maps.run(SMALL, device="cpu")


@pytest.fixture(scope="module")
def weights():
    """The whole matrices of the last layer at three frames."""
    network = load_network("seed:0", "tiny", storage="float64", device="cpu")
    images = scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images
    seen = {}
    watch = Watch(frozenset({"global.01.attention.weights"}), seen.__setitem__)
    with torch.inference_mode():
        network.aggregator(images[None], observe=watch)
    return seen["global.01.attention.weights"][0].unflatten(-1, (3, 21)).numpy()


def test_levels_give_the_weights_back(measurement, weights):
    arrays = measurement.arrays
    rows = weights[:, [0, 21 + 9]]
    largest = arrays["largest"][1, 1][..., None, None]
    found = largest * (arrays["maps"][1, 1] / 255.0) ** 2
    assert np.abs(found - rows[:, :, :2]).max() <= largest.max() / 255
    assert arrays["maps"].dtype == np.uint8
    assert (arrays["maps"].max(axis=(-2, -1)) == 255).all()


def test_a_group_for_every_key_predicts_the_map_itself():
    every = dataclasses.replace(SMALL, frames=(2,), groups=2 * 21)
    found = heat_maps.run(every, device="cpu").arrays
    np.testing.assert_array_equal(found["predicted_maps"], found["maps"])
    np.testing.assert_allclose(found["predicted_largest"], found["largest"], rtol=FLOAT32_STORED)


def test_a_prediction_has_one_weight_for_every_group(measurement):
    levels = measurement.arrays["predicted_maps"].reshape(2, 2, 3, 2, -1)
    for row in levels.reshape(-1, levels.shape[-1]):
        assert 1 < len(np.unique(row)) <= SMALL.groups
    assert not np.array_equal(measurement.arrays["predicted_maps"], measurement.arrays["maps"])


def test_a_predicted_row_is_a_row_of_attention():
    """Sums to one, whatever rows are asked; keys in two places far apart take their exact share."""
    query, key = (np.random.default_rng(seed).normal(size=(30, 4)) for seed in range(2))
    rows = mixture_weights(query, key, [3, 0], groups=7)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=NUMPY_NETWORK)
    assert all(len(np.unique(row)) == 7 for row in rows)
    two = np.repeat(3 * key[:2], (10, 20), axis=0)
    expected = softmax(query[[3, 0]] @ two.T / 2, axis=1)
    found = mixture_weights(query, two, [3, 0], groups=2, seed=1)
    np.testing.assert_allclose(found, expected, rtol=NUMPY_NETWORK)


def test_masses_and_entropies_are_of_the_whole_rows(measurement, weights):
    rows = weights[:, [0, 21 + 9]]
    found = measurement.arrays
    np.testing.assert_allclose(
        found["frame_mass"][1, 1], rows[:, :, :2].sum(-1), rtol=FLOAT32_STORED
    )
    entropy = -(rows * np.log(rows)).sum((-2, -1))
    np.testing.assert_allclose(found["row_entropy"][1, 1], entropy, rtol=FLOAT32_STORED)
    assert (found["frame_mass"][1].sum(-1) < 1).all()


def test_the_images_are_those_of_the_scene(measurement):
    expected = scenes.orbit(2, image_size=(28, 28), seed=0, dtype=torch.float64).images
    found = measurement.arrays["images"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found, (255 * expected).round().numpy().astype(np.uint8))


def test_every_array_has_axes_of_its_shape(measurement):
    sizes = {"frame_count": 2, "layer": 2, "head": 3, "query": 2, "shown_frame": 2, "slot": 21}
    for name, array in measurement.arrays.items():
        assert len(measurement.axes[name]) == array.ndim, name
        for axis, length in zip(measurement.axes[name], array.shape, strict=True):
            assert sizes.setdefault(axis, length) == length, (name, axis)
    assert set(measurement.units) == set(measurement.arrays)
    assert np.isfinite(list(heat_maps.canary_values(measurement).values())).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scene": "kitchen"}, "a record shows one scene, which is one of orbit, walk"),
        ({"scene_seeds": (0, 1)}, "a record shows one scene"),
        ({"shown": 3}, "shown must be from 1 to the fewest frames, 2, got 3"),
        ({"queries": ((2, 0),)}, "queries must be pairs of a frame below 2 and a slot below 21"),
        ({"queries": ((0, 21),)}, "queries must be pairs"),
        ({"queries": ()}, "queries must be pairs"),
        ({"groups": 43}, "groups must be from 1 to the 42 tokens of the fewest frames, got 43"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)

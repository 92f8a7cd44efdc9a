import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments import heat_maps
from attention_collapse.experiments.trained_network import load_network
from attention_collapse.vggt import Watch
from tolerances import FLOAT32_STORED

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
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)

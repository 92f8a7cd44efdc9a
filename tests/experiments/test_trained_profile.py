import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments import orbit_frames, trained_network, walk_frames
from attention_collapse.experiments.scratch import Unfinished
from attention_collapse.measure import attention_maps, spectrum, spread
from attention_collapse.training.weights import save_weights
from attention_collapse.vggt import Watch
from tolerances import HALF_PRECISION_WEIGHTS, STREAMED_NETWORK

SMALL = orbit_frames.CANARY


@pytest.fixture(scope="module")
def orbit():
    return orbit_frames.run(SMALL, device="cpu")


@pytest.fixture(scope="module")
def dense():
    """Attention and tokens of the last layer for three frames of scene 1, by a whole forward."""
    network = trained_network.load_network("seed:0", "tiny", storage="float64", device="cpu")
    images = scenes.orbit(3, image_size=(28, 28), seed=1, dtype=torch.float64).images
    seen = {}
    names = frozenset({"global.01.attention.weights", "global.01.output"})
    with torch.inference_mode():
        network.aggregator(images[None], observe=Watch(names, seen.__setitem__))
    return seen["global.01.attention.weights"][0], seen["global.01.output"][0]


def test_numbers_are_those_of_the_whole_matrices_of_the_same_network(orbit, dense):
    weights, tokens = dense
    found = {name: array[1, 1, 1] for name, array in orbit.arrays.items() if array.ndim > 2}
    values = spectrum.singular_values(weights)
    exact = {
        "row_entropy": attention_maps.row_entropy(weights).mean(-1),
        "singular_ratio": spectrum.singular_ratio(values),
        "stable_rank": spectrum.stable_rank(values),
        "distance_from_rank_one": spectrum.distance_from_rank_one(weights),
        "reference_mass": weights[:, 21:, :21].sum(-1).mean(-1),
        "mean_cosine": spread.mean_cosine(tokens),
        "token_variances": spread.covariance_eigenvalues(tokens)[:32],
    }
    for name, value in exact.items():
        np.testing.assert_allclose(found[name], value, rtol=STREAMED_NETWORK, err_msg=name)


def test_every_array_has_axes_of_its_shape(orbit):
    sizes = {"scene": 2, "frame_count": 2, "layer": 2, "head": 3, "direction": 32}
    for name, array in orbit.arrays.items():
        assert len(orbit.axes[name]) == array.ndim, name
        for axis, length in zip(orbit.axes[name], array.shape, strict=True):
            assert sizes.setdefault(axis, length) == length, (name, axis)
    assert set(orbit.units) == set(orbit.arrays)


def test_a_file_of_weights_is_used_and_named_by_its_digest(orbit, tmp_path):
    network = trained_network.load_network("seed:3", "tiny", storage="float32", device="cpu")
    path = save_weights(tmp_path, network.state_dict())
    config = dataclasses.replace(SMALL, weights=str(path), scene_seeds=(0,))
    measurement = orbit_frames.run(config, device="cpu")
    assert measurement.numerics["weights"]["name"] == "weights.safetensors"
    assert len(measurement.numerics["weights"]["sha256"]) == 64
    drawn = dataclasses.replace(config, weights="seed:3")
    expected = orbit_frames.run(drawn, device="cpu").arrays["row_entropy"]
    np.testing.assert_allclose(
        measurement.arrays["row_entropy"], expected, rtol=HALF_PRECISION_WEIGHTS
    )
    assert not np.allclose(expected, orbit.arrays["row_entropy"][:1], rtol=HALF_PRECISION_WEIGHTS)


def test_a_scratch_folder_belongs_to_one_file_of_weights(tmp_path):
    """The same path with other contents."""
    config = dataclasses.replace(SMALL, weights=str(tmp_path / "weights.safetensors"))
    few = dataclasses.replace(config, layers_per_command=1)
    for seed, expected in ((3, Unfinished), (4, ValueError)):
        network = trained_network.load_network(
            f"seed:{seed}", "tiny", storage="float32", device="cpu"
        )
        save_weights(tmp_path, network.state_dict())
        with pytest.raises(expected):
            orbit_frames.run(few, device="cpu", scratch=tmp_path / "scratch")


def test_an_extent_keeps_the_walk_within_it():
    within = walk_frames.run(walk_frames.CANARY, device="cpu").arrays
    on = walk_frames.run(dataclasses.replace(walk_frames.CANARY, extent=0.0), device="cpu").arrays
    assert not np.allclose(within["row_entropy"], on["row_entropy"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (1, 2)}, "frames must be at least 2"),
        ({"frames": ()}, "frames must be at least 2"),
        ({"scene_seeds": ()}, "scene_seeds must name scenes, each once"),
        ({"scene_seeds": (1, 1)}, "scene_seeds must name scenes, each once"),
        (
            {"preset": "large"},
            "preset must be one of mini, mini_wide, mini_scalable, tiny, got 'large'",
        ),
        ({"weights": "seed:x"}, "a seed of weights is a number, got 'seed:x'"),
        ({"storage": "float16"}, "storage must be one of"),
        ({"singular_values": 1}, "singular_values must be from 2 to"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_a_negative_extent_is_refused():
    with pytest.raises(ValueError, match="extent must be a length, or 0"):
        dataclasses.replace(walk_frames.CANARY, extent=-1.0)


def test_weights_that_are_not_there_are_refused():
    config = dataclasses.replace(SMALL, weights="nowhere.safetensors")
    with pytest.raises(ValueError, match="weights must be a file, got 'nowhere.safetensors'"):
        orbit_frames.run(config, device="cpu")


def test_the_canaries_have_finite_values(orbit):
    values = orbit_frames.canary_values(orbit)
    assert {"entropy_deficit", "stable_rank", "token_variances"} <= set(values)
    assert np.isfinite(list(values.values())).all()

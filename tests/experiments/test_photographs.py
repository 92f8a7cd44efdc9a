import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse import records, scenes
from attention_collapse.experiments import find_experiment, photographs
from attention_collapse.experiments.photographs import (
    CANARY,
    Config,
    measure_photographs,
    photograph_record,
)
from attention_collapse.vggt import cast_linear_weights
from tolerances import BFLOAT16_NETWORK

SMALL = Config(frames=2, image_size=(28, 42), width=16, depth=2, heads=2, measured_heads=(0, 1))


@pytest.fixture(scope="module")
def network():
    return photographs.network(SMALL, "cpu")


@pytest.fixture(scope="module")
def images():
    return scenes.orbit(2, image_size=(28, 42), seed=0, dtype=torch.float64).images


@pytest.fixture(scope="module")
def record(network, images):
    return photograph_record(network, images, what="orbit", weights="drawn", heads=[1])


def test_a_run_measures_the_scene_of_its_settings(network, images):
    arrays = photographs.run(SMALL, device="cpu").arrays
    for name, array in measure_photographs(network, images).items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_settings_reach_the_network_and_the_scene():
    first = photographs.run(SMALL, device="cpu").arrays
    for change in ({"weight_seed": 1}, {"scene_seed": 1}, {"layer_scale": 0.5}):
        other = photographs.run(dataclasses.replace(SMALL, **change), device="cpu").arrays
        assert not np.array_equal(first["spread"], other["spread"]), change


def test_progress_names_each_layer(network, images):
    said = []
    measure_photographs(network, images, report=said.append)
    assert said == ["global.00 measured", "global.01 measured"]


def test_shorter_weights_give_the_same_measures_up_to_their_rounding(images):
    network = photographs.network(SMALL, "cpu").float()
    cast_linear_weights(network.aggregator, torch.bfloat16)
    exact = photographs.run(SMALL, device="cpu").arrays
    arrays = measure_photographs(network, images.float())
    for name in ("entropy_deficit", "frame_mass", "mean_cosine", "spread"):
        error = np.abs(arrays[name] - exact[name]).max() / np.abs(exact[name]).max()
        assert error < BFLOAT16_NETWORK, name


@pytest.mark.parametrize(
    ("shape", "heads", "message"),
    [
        ((9, 3, 28, 42), None, "frames must number from 2 to 8, got 9"),
        ((1, 3, 28, 42), None, "frames must number from 2 to 8, got 1"),
        ((1, 2, 3, 28, 42), None, r"shape \[frame 3 height width\] of one scene, got \(1, 2"),
        ((2, 28, 42, 3), None, r"of one scene, got \(2, 28, 42, 3\)"),
        ((2, 3, 28, 40), None, "multiples of the patch size 14"),
        ((2, 3, 28, 42), [], r"different ones from 0 to 1, got \(\)"),
        ((2, 3, 28, 42), [2], r"different ones from 0 to 1, got \(2,\)"),
        ((2, 3, 28, 42), [0, 0], r"different ones from 0 to 1, got \(0, 0\)"),
    ],
)
def test_images_and_heads_that_do_not_fit_are_refused(network, shape, heads, message):
    with pytest.raises(ValueError, match=message):
        measure_photographs(network, torch.zeros(shape), heads=heads)


def test_bytes_instead_of_pixels_from_0_to_1_are_refused(network):
    with pytest.raises(ValueError, match="0, 1"):
        measure_photographs(network, torch.full((2, 3, 28, 42), 255.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": 9}, "from 2 to 8, got 9"),
        ({"measured_heads": (0, 5)}, "different ones from 0 to 1"),
        ({"width": 18}, "multiple"),
        ({"image_size": (28, 40)}, "multiples of the patch size 14"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_a_record_survives_two_files(record, tmp_path):
    loaded = records.load(records.save(record, tmp_path))
    assert len(list(tmp_path.rglob("*.*"))) == 2
    assert loaded.arrays["frame_mass"].shape == (2, 1, 2, 2)
    for name, array in record.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    assert loaded.config["weights"] == "drawn"
    assert loaded.config["measured_heads"] == [1]
    assert loaded.config["network"]["aggregator"]["width"] == 16
    assert records.find("photographs", "orbit", folder=tmp_path).stem == record.stem


def test_a_record_holds_number_and_size_of_the_images_and_no_pixel(record, images):
    assert (record.config["frames"], record.config["image_size"]) == (2, [28, 42])
    assert max(array.size for array in record.arrays.values()) < images[0].numel()


def test_the_canary_of_a_record_is_recomputed_by_the_experiment(record):
    values = photographs.canary_values(photographs.run(CANARY, device="cpu"))
    assert record.canary.differences(values) == {}
    assert Config(**record.canary.config) == CANARY
    assert CANARY.frames * 25 > 64, "the canary passes the search for singular values"


def test_a_name_that_is_no_file_name_is_refused_before_anything_is_measured(monkeypatch, network):
    monkeypatch.setattr(photographs, "measure_photographs", lambda *_, **__: pytest.fail("ran"))
    with pytest.raises(ValueError, match="lower-case words"):
        photograph_record(network, torch.zeros(2, 3, 28, 42), what="My kitchen", weights="drawn")


def test_it_is_an_experiment():
    assert find_experiment("photographs") is photographs

"""Copies of later frames as a bias, against copies that are there."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from attention_collapse import records, scenes, vggt
from attention_collapse.experiments import find_experiment, photograph_copies
from attention_collapse.experiments.photograph_copies import (
    CANARY,
    Config,
    copies_record,
    measure_copies,
)
from attention_collapse.measure.reconstruction_errors import rotation_angle
from tolerances import FLOAT64_LAYERS, FLOAT64_NETWORK

OPTIONS = {"copies": (1, 3), "trained_frames": 2}


@pytest.fixture(scope="module")
def network():
    drawn = vggt.VGGT(vggt.TINY, generator=torch.Generator().manual_seed(0))
    return drawn.double().eval()


@pytest.fixture(scope="module")
def images():
    return scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images


@pytest.fixture(scope="module")
def arrays(network, images):
    return measure_copies(network, images, **OPTIONS)


def test_it_says_what_copies_would_do(network, images, arrays):
    once = network.reconstruct(images)
    many = network.reconstruct(images[[0, 1, 2, 1, 2, 1, 2]])
    assert arrays["frames"].tolist() == [3, 7]
    turned = rotation_angle(once.world_to_camera[0, :, :, :3], many.world_to_camera[0, :3, :, :3])
    assert arrays["rotation"][0, 1] == pytest.approx(turned[1:].mean().item(), abs=FLOAT64_LAYERS)
    unit = once.points[0, 0].norm(dim=-1).mean()
    moved = (once.points[0] - many.points[0, :3]).norm(dim=-1).mean() / unit
    assert moved > 1e3 * FLOAT64_NETWORK
    assert arrays["points"][0, 1] == pytest.approx(moved.item(), abs=FLOAT64_NETWORK)


def test_frames_shown_once_stay_and_more_of_them_take_from_the_reference(arrays):
    assert arrays["points"][0, 0] == arrays["depth"][0, 0] == 0
    plain, cured = arrays["reference_mass"]
    assert (plain[1] < plain[0]).all()
    assert (cured[1] > plain[1]).all()


def test_the_bias_is_that_of_the_copied_frames(network, images, arrays):
    """Three frames shown seven times, with the bias of seven frames for a training on two."""
    bias = math.log(7 / 2) - math.log(3)
    said = network.reconstruct(images, reducer=vggt.AdjustedScores(bias=bias))
    moved = (said.points - network.reconstruct(images).points).norm(dim=-1).mean()
    unit = network.reconstruct(images).points[0, 0].norm(dim=-1).mean()
    found = arrays["points"][1, 1]
    assert found == pytest.approx((moved / unit).item(), abs=FLOAT64_NETWORK)


def test_a_camera_head_over_frames_is_told_of_the_copies_too(images):
    head = vggt.CameraHeadConfig(width=96, depth=2, heads=4, layer_scale=1.0)
    sizes = dataclasses.replace(vggt.TINY, camera=head)
    drawn = vggt.VGGT(sizes, generator=torch.Generator().manual_seed(0)).double().eval()
    found = measure_copies(drawn, images, **OPTIONS)
    once = drawn.reconstruct(images).world_to_camera[0]
    many = drawn.reconstruct(images[[0, 1, 2, 1, 2, 1, 2]]).world_to_camera[0, :3]
    turned = rotation_angle(once[..., :3], many[..., :3])[1:].mean().item()
    assert turned > 0.1
    assert found["rotation"][0, 1] == pytest.approx(turned, abs=FLOAT64_LAYERS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 1}, "frames must be at least 2 and copies ascend from 1, got 1 and"),
        ({"copies": (2, 4)}, r"got 8 and \(2, 4\)"),
        ({"copies": (1, 4, 2)}, "ascend from 1"),
        ({"trained_frames": 0}, "at least 1, got 8 and 0"),
        ({"preset": "huge"}, "preset must be one of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Config(**change)


def test_a_record_survives_two_files_and_holds_no_pixel(network, images, tmp_path):
    record = copies_record(network, images, what="orbit", weights="drawn", **OPTIONS)
    loaded = records.load(records.save(record, tmp_path))
    for name, array in record.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    assert (loaded.config["frames"], loaded.config["weights"]) == (3, "drawn")
    assert loaded.config["image_size"] == [28, 28]
    assert max(array.size for array in record.arrays.values()) < images[0].numel()
    values = photograph_copies.canary_values(photograph_copies.run(CANARY, device="cpu"))
    assert record.canary.differences(values) == {}


def test_settings_reach_the_network_and_the_scene():
    first = photograph_copies.run(CANARY, device="cpu").arrays
    for change in ({"weights": "seed:1"}, {"scene_seed": 1}, {"trained_frames": 5}):
        other = photograph_copies.run(dataclasses.replace(CANARY, **change), device="cpu").arrays
        assert not np.array_equal(first["points"], other["points"]), change


def test_it_is_an_experiment():
    assert find_experiment("photograph_copies") is photograph_copies

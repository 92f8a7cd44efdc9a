"""What a study writes down, against the network run by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from attention_collapse.experiments import find_experiment
from attention_collapse.experiments.error_scenes import SceneSettings, orbit_scene
from attention_collapse.experiments.error_study import QUANTITIES, judge
from attention_collapse.experiments.trained_network import load_network, trained_layout
from attention_collapse.measure.attention_maps import frame_mass
from attention_collapse.measure.reconstruction_errors import Geometry
from attention_collapse.vggt import AdjustedScores, Watch
from tolerances import FLOAT64_LAYERS

STUDIES = (
    "orbit_error",
    "duplicates_error",
    "fixed_range_error",
    "walk_error",
    "foreign_frames",
    "remedies",
    "trained_merging",
    "train_range",
)
orbit_error = find_experiment("orbit_error")
SMALL = dataclasses.replace(
    orbit_error.CANARY,
    frames=(3, 4),
    treatments=("none", "bias", "bias+scale:1.3"),
    weights=("seed:0", "seed:1"),
    scene_seeds=(0, 1),
    mass_rows=10**6,
)


@pytest.fixture(scope="module")
def arrays():
    return orbit_error.run(SMALL, device="cpu").arrays


@pytest.fixture(scope="module")
def by_hand():
    """The second network on four frames of the second scene, with and without the bias."""
    network = load_network("seed:1", "tiny", storage="float64", device="cpu")
    scene = orbit_scene(4, 1, SceneSettings((28, 28), "cpu", torch.float64))
    biased = AdjustedScores(bias=math.log(2))
    return scene, [network.reconstruct(scene.images, reducer=each) for each in (None, biased)]


@pytest.mark.parametrize("treatment", [0, 1])
def test_errors_are_those_of_the_network(arrays, by_hand, treatment):
    scene, runs = by_hand
    said, true = runs[treatment], scene.truth
    points = (said.points[0] - true.points).norm(dim=-1).mean().item()
    depth = ((said.depth[0] - true.depth).abs() / true.depth).mean().item()
    place = (1, 1, treatment, 1)
    assert arrays["points"][place] == pytest.approx(points, rel=FLOAT64_LAYERS)
    assert arrays["depth"][place] == pytest.approx(depth, rel=FLOAT64_LAYERS)
    assert arrays["aligned_points"][place] < points


@pytest.mark.parametrize(("treatment", "scale"), [(1, 1.0), (2, 1.3)])
def test_the_mass_is_that_of_the_weights_as_they_are_changed(arrays, treatment, scale):
    network = load_network("seed:1", "tiny", storage="float64", device="cpu")
    scene = orbit_scene(4, 0, SceneSettings((28, 28), "cpu", torch.float64))
    layout, seen = trained_layout("tiny", 4), {}
    watch = Watch(frozenset({"global.01.attention.weights"}), seen.__setitem__)
    changed = AdjustedScores(bias=math.log(2), scale=scale)
    network.reconstruct(scene.images, reducer=changed, observe=watch)
    expected = frame_mass(seen["global.01.attention.weights"][0], layout)[:, 1:, 0].mean(1)
    np.testing.assert_allclose(
        arrays["reference_mass"][1, treatment, 1, 1], expected, rtol=FLOAT64_LAYERS
    )


def test_the_first_frames_and_the_reference_are_told_apart():
    """Ten frames: only the last two points are off, and every rotation but the first."""
    points = torch.zeros(10, 1, 3, 3, dtype=torch.float64)
    points += torch.randn(10, 1, 3, 3, dtype=torch.float64)
    cameras = torch.eye(4, dtype=torch.float64)[:3].repeat(10, 1, 1)
    cameras[:, :, 3] = torch.randn(10, 3, dtype=torch.float64)
    true = Geometry(points, torch.ones(10, 1, 3, dtype=torch.float64), cameras)
    moved, turned = points.clone(), cameras.clone()
    moved[8:, ..., 0] += 5
    turned[1:, :2] = -turned[1:, :2]
    numbers = judge(Geometry(moved, true.depth, turned), true)
    assert numbers["points"] == pytest.approx(1.0)
    assert numbers["first_points"] == 0
    assert numbers["rotation"] == numbers["first_rotation"] == pytest.approx(180.0)
    assert set(numbers) == set(QUANTITIES)
    moved[3, 0, 0, 0] = math.inf
    lost = judge(Geometry(moved, true.depth, turned), true)
    assert lost.keys() == numbers.keys()
    assert all(math.isnan(number) for number in lost.values())


def test_slopes_are_of_the_means(arrays):
    for name in ("points", "rotation"):
        means = arrays[name][:, :, 0].mean((0, 1))
        slope = math.log(means[1] / means[0]) / math.log(4 / 3)
        assert arrays[f"{name}_slope"][0, 0, 0] == pytest.approx(slope)
        excess = (arrays[name][:, :, 0] - arrays[name][:, :, 1]).mean((0, 1))
        found = arrays[f"{name}_excess_slope"][0, 0]
        if (excess > 0).all():
            assert found == pytest.approx(math.log(excess[1] / excess[0]) / math.log(4 / 3))
        else:
            assert math.isnan(found)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_complete(name):
    """Every quantity of every network, scene, treatment and count is there, with axes and unit."""
    experiment = find_experiment(name)
    config = experiment.CANARY
    measurement = experiment.run(config, device="cpu")
    shape = tuple(
        len(each) for each in (config.weights, config.scene_seeds, config.treatments, config.frames)
    )
    for quantity in QUANTITIES:
        assert measurement.arrays[quantity].shape == shape
        assert np.isfinite(measurement.arrays[quantity]).all(), quantity
    for key, array in measurement.arrays.items():
        assert len(measurement.axes[key]) == array.ndim, key
    assert measurement.units["rotation"] == "degree"
    facts = measurement.numerics["weights"]
    assert [fact["name"] for fact in facts] == list(config.weights)
    treated = set(experiment.Config().treatments)
    assert treated >= {"none"}
    assert experiment.canary_values(measurement).keys() >= {"points of none"}


def test_copies_are_not_felt_under_their_bias():
    """The claim of the control, and that it is not empty: without the bias they are felt."""
    experiment = find_experiment("duplicates_error")
    config = dataclasses.replace(experiment.CANARY, frames=(3, 7), mass_rows=10**6)
    arrays = experiment.run(config, device="cpu").arrays
    # Both are means over the later frames, which are three copies of the same two.
    for name in ("rotation", "centre"):
        plain, biased = arrays[name][0, 0]
        assert plain[1] != pytest.approx(plain[0], rel=100 * FLOAT64_LAYERS)
        assert biased[1] == pytest.approx(biased[0], rel=FLOAT64_LAYERS)
    plain, biased = arrays["reference_mass"][0]
    np.testing.assert_allclose(biased[1], biased[0], rtol=FLOAT64_LAYERS)
    assert (plain[1] < plain[0]).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("orbit_error", {"frames": (4, 2)}, "frames must ascend from 2"),
        ("orbit_error", {"frames": (1, 2)}, "frames must ascend from 2"),
        ("orbit_error", {"treatments": ("cure",)}, "a treatment is none or a sum"),
        ("orbit_error", {"scene_seeds": (1, 1)}, "scene_seeds must differ"),
        ("orbit_error", {"trained_frames": (2, 3)}, "trained_frames must hold one number"),
        ("duplicates_error", {"frames": (8, 16)}, r"frames be 1 \+ m \(distinct - 1\)"),
        ("fixed_range_error", {"extent": 0.0}, "extent must be a positive length, got 0.0"),
        ("foreign_frames", {"related": 9}, "related must be from 2 to 8"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name, change, message):
    with pytest.raises(ValueError, match=message):
        find_experiment(name).Config(**change)

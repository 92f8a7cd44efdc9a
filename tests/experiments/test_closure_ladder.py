import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import closure_ladder, orbit_frames
from attention_collapse.experiments.closure_ladder import RUNGS
from attention_collapse.experiments.head_closures import (
    gaussian_prediction,
    mixture_prediction,
    score_groups,
    spherical_prediction,
)
from attention_collapse.experiments.network_arrays import as_arrays
from attention_collapse.experiments.trained_network import trained_layout
from attention_collapse.measure import attention_maps, spectrum
from attention_collapse.vggt import TINY, Aggregator
from tolerances import COARSE_GRAINED, NUMPY_NETWORK, SAMPLED_SPHERE, STREAMED_NETWORK

SMALL = closure_ladder.CANARY


@pytest.fixture(scope="module")
def measurement():
    return closure_ladder.run(SMALL, device="cpu")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def dense(query, key):
    weights = attention_maps.attention_weights(torch.tensor(query), torch.tensor(key))
    deficit = np.log(len(key)) - float(attention_maps.row_entropy(weights).mean())
    return deficit, float(spectrum.stable_rank(spectrum.singular_values(weights)))


def sharpness(query, key):
    return attention_maps.head_sharpness(torch.tensor(query), torch.tensor(key)).numpy()


def test_the_gaussian_form_refuses_outside_its_range():
    assert np.isnan(gaussian_prediction(np.array([0.3, 0.71]), 1.0)).all()
    assert np.isfinite(gaussian_prediction(np.array([0.3, 0.7]), 1.0)).all()


@pytest.mark.claims("eq-match-sphere")
def test_the_spherical_form_finds_directions_on_a_sphere():
    """Eight dimensions, scores 6 u.w of independent directions."""
    query, key = (normal(2000, 8, seed=seed) for seed in range(2))
    query, key = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, key))
    query *= 6 * np.sqrt(8)
    found = spherical_prediction(sharpness(query, key))
    np.testing.assert_allclose(found, dense(query, key), rtol=SAMPLED_SPHERE)


def test_a_mixture_of_all_tokens_is_the_head_itself():
    query, key = normal(30, 4), normal(30, 4, seed=1)
    found = mixture_prediction(query, key, groups=30)
    np.testing.assert_allclose(found, dense(query, key), rtol=NUMPY_NETWORK)


def test_a_mixture_of_an_eighth_of_the_tokens_is_close():
    """Tokens in eight clusters, queries unlike keys."""
    centre = np.random.default_rng(2).integers(8, size=400)
    query, key = (
        2 * normal(8, 6, seed=s)[centre] + 0.3 * normal(400, 6, seed=s + 2) for s in (0, 1)
    )
    found = mixture_prediction(query, key, groups=50)
    np.testing.assert_allclose(found, dense(query, key), rtol=COARSE_GRAINED)


def test_equal_keys_make_fewer_groups():
    query, key = normal(40, 4), np.repeat(normal(10, 4, seed=1), 4, axis=0)
    found = mixture_prediction(query, key, groups=30)
    np.testing.assert_allclose(found, dense(query, key), rtol=COARSE_GRAINED)


def test_more_groups_than_tokens_are_refused():
    with pytest.raises(ValueError, match="groups must be from 1 to the 5 tokens, got 6"):
        score_groups(normal(5, 2), normal(5, 2), groups=6)


def test_what_is_measured_is_what_the_orbit_gives(measurement):
    config = dataclasses.replace(orbit_frames.CANARY, scene_seeds=(0,))
    expected = orbit_frames.run(config, device="cpu").arrays
    for name in closure_ladder.MEASURED:
        np.testing.assert_allclose(
            measurement.arrays[name], expected[name], rtol=STREAMED_NETWORK, err_msg=name
        )


def test_few_frames_and_atoms_predict_themselves(measurement):
    """At the number of frames that are known, the rungs that start from them are exact."""
    arrays = measurement.arrays
    for rung in ("few_frames", "diluted", "propagated"):
        found = arrays["predicted_entropy_deficit"][RUNGS.index(rung)][:, 0]
        exact = arrays["entropy_deficit"][:, 0]
        np.testing.assert_allclose(found, exact, rtol=STREAMED_NETWORK, err_msg=rung)
    found = arrays["predicted_stable_rank"][RUNGS.index("propagated")][:, 0]
    np.testing.assert_allclose(found, arrays["stable_rank"][:, 0], rtol=STREAMED_NETWORK)


def test_rungs_differ_and_terms_matter(measurement):
    found = measurement.arrays["predicted_entropy_deficit"][:, :, 1]
    rows = [row for row in found.reshape(len(RUNGS), -1) if np.isfinite(row).all()]
    assert len(rows) >= len(RUNGS) - 1
    assert all(not np.allclose(a, b) for i, a in enumerate(rows) for b in rows[:i])


def test_mixtures_are_made_of_few_tokens_only():
    few = dataclasses.replace(SMALL, mixture_tokens=50)
    found = closure_ladder.run(few, device="cpu").arrays["predicted_stable_rank"]
    mixture = found[RUNGS.index("mixture")]
    assert np.isfinite(mixture[:, 0]).all()
    assert np.isnan(mixture[:, 1]).all()


def test_every_array_has_axes_of_its_shape(measurement):
    sizes = {"rung": 10, "scene": 1, "frame_count": 2, "layer": 2, "head": 3}
    for name, array in measurement.arrays.items():
        assert len(measurement.axes[name]) == array.ndim, name
        for axis, length in zip(measurement.axes[name], array.shape, strict=True):
            assert sizes[axis] == length, (name, axis)
    assert set(measurement.units) == set(measurement.arrays)
    assert np.isfinite(list(closure_ladder.canary_values(measurement).values())).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (3, 2)}, "frames must ascend"),
        ({"atoms": 3}, "atoms must be from 2 to the fewest frames"),
        ({"atoms": 1}, "atoms must be from 2 to the fewest frames"),
        ({"group_share": 1.0}, "group_share between 0 and 1"),
        ({"preset": "mini_scalable"}, "do not depend on the number of tokens"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_scores_that_grow_with_the_tokens_are_refused():
    sizes = dataclasses.replace(TINY.aggregator, scalable_softmax=0.17)
    network = Aggregator(sizes, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="got a network with scalable_softmax 0.17: use the"):
        as_arrays(network, trained_layout("tiny", 2))

import dataclasses

import numpy as np
import pytest

from attention_collapse.experiments import collapse_surface, rank_profile
from attention_collapse.experiments.scratch import Unfinished

SMALL = dataclasses.replace(collapse_surface.CANARY, spectrum_layers=(1,))


@pytest.fixture(scope="module")
def measurement():
    return collapse_surface.run(SMALL, device="cpu")


def test_grids_are_settings_by_frames_by_layers(measurement):
    for name in collapse_surface.QUANTITIES:
        assert measurement.arrays[name].shape == (4, 2, 2), name
    assert set(measurement.axes) == set(measurement.units) == set(measurement.arrays)


def test_a_spectrum_is_missing_where_it_was_not_asked_for(measurement):
    missing = np.isnan(measurement.arrays["singular_ratio"])
    assert missing[..., 0].all()
    assert not missing[..., 1].any()
    assert np.isfinite(measurement.arrays["mean_cosine"]).all()


def test_an_orbit_is_the_mean_over_heads_of_its_rank_profile(measurement):
    profile = rank_profile.run(SMALL.rendered("orbit"), device="cpu").arrays
    orbit = measurement.arrays["entropy_deficit"][2]
    np.testing.assert_array_equal(orbit, profile["entropy_deficit"].mean(-1))
    np.testing.assert_array_equal(measurement.arrays["spread"][2], profile["spread"])


def test_tokens_without_a_network_meet_layer_by_layer(measurement):
    cosines = measurement.arrays["mean_cosine"][:2]
    assert (np.diff(cosines, axis=-1) > 0).all()


def test_commands_of_a_few_layers_give_the_record_of_one(measurement, tmp_path):
    few = dataclasses.replace(SMALL, layers_per_command=7)
    for left in (9, 2):
        with pytest.raises(Unfinished, match=f"^{left} of 16 layers are left"):
            collapse_surface.run(few, device="cpu", scratch=tmp_path)
    found = collapse_surface.run(few, device="cpu", scratch=tmp_path)
    for name, array in measurement.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"common": 0.0}, "common and step must be positive"),
        ({"step": -0.1}, "common and step must be positive"),
        ({"layers_per_command": -1}, "layers_per_command at least 0"),
        ({"spectrum_layers": (2,)}, "spectrum_layers must ascend from 0 to at most 1"),
        ({"matches": 0}, "tokens_per_frame, matches and layers must be at least 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_the_canary_has_finite_values():
    canary = collapse_surface.run(collapse_surface.CANARY, device="cpu")
    assert np.isfinite(list(collapse_surface.canary_values(canary).values())).all()

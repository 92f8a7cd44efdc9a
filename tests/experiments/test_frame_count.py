import dataclasses

import numpy as np
import pytest

from attention_collapse.experiments import frame_count, rank_profile

SMALL = dataclasses.replace(frame_count.CANARY, layers=2)


@pytest.fixture(scope="module")
def measurement():
    return frame_count.run(SMALL, device="cpu")


def test_settings_stand_side_by_side(measurement):
    names = measurement.arrays["settings"].tolist()
    assert names == ["independent", "windows", "orbit_0", "orbit_1", "walk_0", "walk_1"]
    assert measurement.arrays["singular_ratio"].shape == (6, 2, 2)
    assert set(measurement.axes) == set(measurement.units) == set(measurement.arrays)


def test_rendered_settings_are_the_layers_of_a_rank_profile(measurement):
    profile = rank_profile.run(SMALL.rendered("walk"), device="cpu").arrays
    for name in ("entropy_deficit", "singular_ratio", "predicted_stable_rank"):
        walk = measurement.arrays[name][5]
        np.testing.assert_array_equal(walk, profile[name][:, 1], err_msg=name)


def test_only_windows_have_matches(measurement):
    masses = measurement.arrays["match_mass"], measurement.arrays["predicted_match_mass"]
    assert np.isfinite(masses[0]).all(axis=(1, 2)).tolist() == [True, True] + 4 * [False]
    assert np.isfinite(masses[1]).all(axis=(1, 2)).tolist() == [False, True] + 4 * [False]


def test_a_scratch_folder_saves_what_is_finished(measurement, tmp_path, monkeypatch):
    first = frame_count.run(SMALL, device="cpu", scratch=tmp_path)
    monkeypatch.setattr(frame_count, "_measure", lambda *_: pytest.fail("it was measured"))
    again = frame_count.run(SMALL, device="cpu", scratch=tmp_path)
    for name, array in measurement.arrays.items():
        np.testing.assert_array_equal(first.arrays[name], array)
        np.testing.assert_array_equal(again.arrays[name], array)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens_per_frame": 0}, "tokens_per_frame, matches and layers must be at least 1"),
        ({"matches": 0}, "tokens_per_frame, matches and layers must be at least 1"),
        ({"layers": 0}, "tokens_per_frame, matches and layers must be at least 1"),
        ({"match_score": 0.0}, "score_deviation and match_score must be positive"),
        ({"score_deviation": -1.0}, "score_deviation and match_score must be positive"),
        ({"frames": (1, 2)}, "frames must be at least 2"),
        ({"tokens_per_frame": 1}, "singular_values must be at most the 2 tokens"),
        ({"storage": "float16"}, "storage must be one of"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_the_canary_has_finite_values():
    values = frame_count.canary_values(frame_count.run(frame_count.CANARY, device="cpu"))
    assert "predicted_match_mass of windows" in values
    assert "predicted_match_mass of orbit_0" not in values
    assert np.isfinite(list(values.values())).all()

import dataclasses

import numpy as np
import pytest

from attention_collapse.experiments import frame_count, rank_profile
from attention_collapse.experiments.ensemble_points import EnsemblePoints
from attention_collapse.experiments.scratch import Unfinished

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
    measured_again = lambda *_: pytest.fail("it was measured")  # noqa: E731
    monkeypatch.setattr(EnsemblePoints, "_measure", measured_again)
    again = frame_count.run(SMALL, device="cpu", scratch=tmp_path)
    for name, array in measurement.arrays.items():
        np.testing.assert_array_equal(first.arrays[name], array)
        np.testing.assert_array_equal(again.arrays[name], array)


def test_commands_of_a_few_layers_give_the_record_of_one(measurement, tmp_path):
    """Two settings without a network at two numbers of frames, and two layers of two scenes."""
    few = dataclasses.replace(SMALL, layers_per_command=5)
    for left in (7, 2):
        with pytest.raises(Unfinished, match=f"^{left} of 12 layers are left"):
            frame_count.run(few, device="cpu", scratch=tmp_path)
    found = frame_count.run(few, device="cpu", scratch=tmp_path)
    for name, array in measurement.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


def test_a_part_of_the_heads_is_measured_on_request():
    some = dataclasses.replace(SMALL, observed_heads=1)
    assert frame_count.run(some, device="cpu").arrays["row_entropy"].shape == (6, 2, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens_per_frame": 0}, "tokens_per_frame, matches and layers must be at least 1"),
        ({"matches": 0}, "tokens_per_frame, matches and layers must be at least 1"),
        ({"layers": 0}, "tokens_per_frame, matches and layers must be at least 1"),
        ({"match_score": 0.0}, "score_deviation and match_score must be positive"),
        ({"score_deviation": -1.0}, "score_deviation and match_score must be positive"),
        ({"frames": (1, 2)}, "frames must be at least 2"),
        ({"frames": (4, 2)}, r"frames must ascend, got \(4, 2\): name each number once"),
        ({"frames": (2, 2)}, "frames must ascend"),
        ({"layers_per_command": -1}, "layers_per_command 0 measures all layers at once"),
        ({"observed_heads": 3}, "observed_heads must be from 1 to the 2 heads"),
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

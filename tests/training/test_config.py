"""Settings that do not fit are refused."""

import dataclasses

import pytest

from attention_collapse.training import PRESETS
from attention_collapse.training.config import DEFAULT_STEPS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"worlds": 0}, "worlds must be at least 1, got 0; the preset mini has 4096"),
        ({"distinct_batches": 0}, "distinct_batches must be at least 1 or None, got 0; the preset"),
        ({"matrix_rate": 0.0}, "matrix_rate must be positive, got 0.0; the preset"),
        ({"matrix_rate": float("nan")}, "matrix_rate must be positive, got nan; the preset"),
        ({"camera_weight": -1.0}, "camera_weight must be zero or more, got -1.0; the preset"),
        ({"averaging": 1.0}, "averaging must be between 0 and 1, got 1.0; the preset"),
        ({"image_size": (30, 28)}, r"the patch size 7, got \(30, 28\); use for example \(56, 56\)"),
        ({"frame_counts": ()}, r"that divide batch_frames, .*, got \(\) and 16; use"),
        ({"frame_counts": (1, 2)}, r"numbers from 2 .*, got \(1, 2\) and 16; use"),
        ({"frame_counts": (3,)}, r"that divide batch_frames, .*, got \(3,\) and 16; use"),
        ({"frame_counts": (16,)}, r"an orbit and a walk or more, got \(16,\) and 16; use"),
        ({"checkpoint_every": 55}, "a multiple of log_every, .*, got 55 and 10; use"),
    ],
)
def test_bad_settings_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PRESETS["tiny"], **changes)


def test_variants_of_mini_differ_in_one_setting():
    mini = PRESETS["mini"]
    wide = dataclasses.replace(PRESETS["mini_wide"], frame_counts=mini.frame_counts)
    scalable = dataclasses.replace(PRESETS["mini_scalable"], network=mini.network)
    assert wide == scalable == mini
    assert max(PRESETS["mini_wide"].frame_counts) == 24
    assert PRESETS["mini_scalable"].network.aggregator.scalable_softmax
    assert DEFAULT_STEPS["mini_wide"] == DEFAULT_STEPS["mini_scalable"] == DEFAULT_STEPS["mini"]

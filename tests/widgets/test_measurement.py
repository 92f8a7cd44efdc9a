"""Measurements on their way to a widget."""

import json

import numpy as np
import pytest

from attention_collapse.widgets.measurement import measurement_state

VALID = {"depth": 3, "frames": 8, "label": "random weights", "singular_values": [2.0, 1.0, 0.0]}


def test_arrays_become_plain_numbers():
    measurement = VALID | {
        "depth": np.int64(3),
        "singular_values": np.array([2.0, 1.0]),
        "effective_rank": np.float64(1.5),
        "heat": np.eye(2),
    }
    state = measurement_state(measurement)
    assert state == json.loads(json.dumps(state))
    assert state["heat"] == [[1.0, 0.0], [0.0, 1.0]]
    assert state["label"] == "random weights"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 1.0}, r"remove \['speed'\]"),
        ({"effective_rank": float("nan")}, "effective_rank of a measurement must be finite"),
        ({"depth": [3]}, "depth of a measurement must be finite numbers with 0 axes"),
        ({"frames": "eight"}, "frames of a measurement must be finite numbers"),
        ({"heat": [1.0, 2.0]}, "heat of a measurement must be finite numbers with 2 axes"),
        ({"singular_values": []}, "singular_values of a measurement must descend"),
        ({"singular_values": [1.0, 2.0]}, "singular_values of a measurement must descend"),
        ({"singular_values": [0.0, 0.0]}, "from a positive number"),
        ({"singular_values": [1.0, -1.0]}, "to one that is not negative"),
    ],
)
def test_unusable_measurement_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        measurement_state(VALID | change)


def test_missing_key_is_named():
    incomplete = {key: value for key, value in VALID.items() if key != "label"}
    with pytest.raises(ValueError, match=r"add \['label'\]"):
        measurement_state(incomplete)

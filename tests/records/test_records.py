import dataclasses
import json
import os

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.records import Canary, Record, Timing


def make_record(**changes):
    fields = {
        "experiment": "random_weights",
        "what": "default",
        "revision": 1,
        "config": {"frames": [1, 2]},
        "command": "python -m attention_collapse.experiments run random_weights",
        "time": "2026-01-31T12:00:00+00:00",
        "device": {"name": "NVIDIA H200", "memory": 1, "driver": "CUDA 13.0", "count": 1},
        "versions": {"torch": "2.13.0+cpu"},
        "numerics": {
            "compute_dtype": "float64",
            "storage_dtype": "float64",
            "tf32": False,
            "seeds": {"weights": 0},
        },
        "source_digest": "0" * 64,
        "axes": {"entropy": ("frame_count", "layer")},
        "units": {"entropy": "nat"},
        "arrays": {"entropy": np.arange(6.0).reshape(2, 3)},
        "timings": {"forward": Timing(3, 0.1, 0.2, 0.4)},
        "canary": Canary({"frames": [1]}, {"entropy": 1.5}, 1e-6),
    }
    return Record(**{**fields, **changes})


def test_a_saved_record_loads_unchanged(tmp_path):
    record = make_record()
    loaded = records.load(records.save(record, tmp_path))
    for field in dataclasses.fields(Record):
        before, after = getattr(record, field.name), getattr(loaded, field.name)
        if field.name == "arrays":
            np.testing.assert_array_equal(after["entropy"], before["entropy"])
        else:
            assert json.dumps(after, default=dataclasses.asdict, sort_keys=True) == json.dumps(
                before, default=dataclasses.asdict, sort_keys=True
            )


def test_the_file_name_says_what_the_record_depends_on(tmp_path):
    path = records.save(make_record(), tmp_path)
    assert path == tmp_path / "random_weights" / "default__nvidia-h200__float64__torch2.13.0.json"


def test_a_record_is_never_overwritten(tmp_path):
    path = records.save(make_record(), tmp_path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="records are never edited"):
        records.save(make_record(revision=2), tmp_path)
    assert path.read_bytes() == before


def test_an_interrupted_save_leaves_no_record(tmp_path, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        if str(target).endswith(".json"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        records.save(make_record(), tmp_path)
    assert list(records.paths(tmp_path)) == []
    assert not list(tmp_path.rglob(".*")), "a temporary file was left behind"


def test_tampered_arrays_are_refused(tmp_path):
    path = records.save(make_record(), tmp_path)
    np.savez_compressed(path.with_suffix(".npz"), entropy=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="differs from the one recorded"):
        records.load(path)


def test_another_schema_is_refused(tmp_path):
    path = records.save(make_record(), tmp_path)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(ValueError, match="has schema 99, this version reads 1"):
        records.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "Random weights"}, "lower-case words joined by underscores"),
        ({"time": "2026-01-31T12:00:00"}, "time is UTC"),
        ({"time": "yesterday"}, "time is UTC"),
        ({"device": {"name": "cpu"}}, "states the device's memory"),
        ({"numerics": {"compute_dtype": "float64"}}, "states storage_dtype"),
        ({"units": {}}, "every array has axes and a unit"),
        ({"axes": {"entropy": ("layer",)}}, r"shape \(2, 3\) but axes \('layer',\)"),
        ({"arrays": {"entropy": np.array([[None]])}}, "holds Python objects"),
    ],
)
def test_an_incomplete_record_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_record(**changes)


@pytest.mark.parametrize(
    ("timing", "message"),
    [((0, 1.0, 1.0, 1.0), "at least one repeat, got 0"), ((3, 2.0, 1.0, 3.0), "minimum <= median")],
)
def test_a_timing_out_of_order_is_refused(timing, message):
    with pytest.raises(ValueError, match=message):
        Timing(*timing)


def test_a_canary_names_what_moved():
    canary = Canary({}, {"entropy": 3.0, "rank": 1.0, "gone": 0.0}, 1e-3)
    moved = canary.differences({"entropy": 3.0 + 2e-3, "rank": 1.1, "new": 1.0})
    assert moved == {"rank": pytest.approx(0.05), "gone": float("inf"), "new": float("inf")}


def test_a_canary_that_turned_into_nan_has_moved():
    assert "rank" in Canary({}, {"rank": 1.0}, 1e-3).differences({"rank": float("nan")})


@pytest.mark.parametrize(
    ("values", "tolerance", "message"),
    [
        ({}, 1e-3, "at least one value"),
        ({"a": float("nan")}, 1e-3, "must be finite"),
        ({"a": 1.0}, 0.0, "between 0 and 1"),
    ],
)
def test_an_empty_or_toothless_canary_is_refused(values, tolerance, message):
    with pytest.raises(ValueError, match=message):
        Canary({}, values, tolerance)


def test_find_returns_the_one_record(tmp_path):
    records.save(make_record(), tmp_path)
    assert records.find("random_weights", "default", folder=tmp_path).revision == 1


def test_find_lists_what_there_is(tmp_path):
    records.save(make_record(), tmp_path)
    with pytest.raises(LookupError, match="found 0; there are: .*random_weights/default__nvidia"):
        records.find("random_weights", "wide", folder=tmp_path)

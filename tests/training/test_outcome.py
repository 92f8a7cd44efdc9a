"""What a finished run says about itself is read back as it was written, or refused."""

import json
from pathlib import Path

import pytest

from attention_collapse.training import Outcome
from attention_collapse.training.outcome import OUTCOME


@pytest.fixture
def outcome() -> Outcome:
    return Outcome(
        commands=["start", "resume"],
        settings={"seed": 0, "steps": 4, "image_size": [28, 28]},
        time="2026-01-31T12:00:00+00:00",
        device={"name": "cpu", "memory": None, "driver": None, "count": 1},
        versions={"torch": "2.9"},
        source_digest="0" * 64,
        compute_dtype="float32",
        tf32=False,
        seconds=1.5,
        test_errors={"network": {"points": 0.1}, "mean predictor": {"points": 0.4}},
        columns=["step", "loss"],
        curve=[[2.0, 1.1], [4.0, 0.7]],
    )


def test_it_is_read_back_as_it_was_written(outcome: Outcome, tmp_path: Path):
    assert outcome.save(tmp_path) == tmp_path / OUTCOME
    assert Outcome.load(tmp_path) == outcome
    assert [path.name for path in tmp_path.iterdir()] == [OUTCOME]


def test_a_run_that_has_not_ended_has_none(tmp_path: Path):
    with pytest.raises(ValueError, match=r"got no .*training\.json; train to the end, with --res"):
        Outcome.load(tmp_path)


def test_another_version_of_the_file_is_refused(outcome: Outcome, tmp_path: Path):
    path = outcome.save(tmp_path)
    entries = json.loads(path.read_text())
    del entries["tf32"]
    path.write_text(json.dumps(entries | {"speed": 1}))
    with pytest.raises(ValueError, match="it differs in speed, tf32; it is of another version"):
        Outcome.load(tmp_path)

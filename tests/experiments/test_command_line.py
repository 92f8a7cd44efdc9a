import dataclasses
import json
import shlex

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.experiments import EXPERIMENTS, random_weights
from attention_collapse.experiments.__main__ import main

TINY = ["frames=[1,2]", "image_size=[28,42]", "width=16", "depth=1", "heads=2", "observed_heads=2"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with one record that the command line took."""
    folder = tmp_path_factory.mktemp("records")
    settings = [word for assignment in TINY for word in ("--set", assignment)]
    arguments = ["run", "random_weights", "--what", "tiny", "--out", str(folder), *settings]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def chapters(tmp_path):
    """A folder of chapters of which one cites the record."""
    source = 'records.find("random_weights", "tiny")'
    notebook = {"cells": [{"cell_type": "code", "source": [source]}]}
    (tmp_path / "chapter.ipynb").write_text(json.dumps(notebook))
    return tmp_path


def test_a_run_leaves_one_complete_record(recorded):
    record = records.find("random_weights", "tiny", folder=recorded)
    assert record.config["frames"] == [1, 2]
    assert record.arrays["stable_rank"].shape == (2, 1, 2)
    assert record.device["name"] == "cpu"
    assert "--set 'frames=[1,2]'" in record.command
    assert set(record.canary.config) == {
        field.name for field in dataclasses.fields(random_weights.Config)
    }


def test_the_canary_of_a_fresh_record_has_not_moved(recorded, capsys):
    assert main(["canary", "--records", str(recorded)]) == 0
    assert "ok" in capsys.readouterr().out


def test_a_canary_moves_when_the_code_changes_its_meaning(recorded, capsys, monkeypatch):
    exact = random_weights.spectrum.stable_rank
    monkeypatch.setattr(random_weights.spectrum, "stable_rank", lambda v: 1.0001 * exact(v))
    assert main(["canary", "--records", str(recorded)]) == 1
    assert "stable_rank: relative difference" in capsys.readouterr().out


def test_status_tells_current_unused_and_stale_records(recorded, chapters, tmp_path, monkeypatch):
    command = ["status", "--records", str(recorded), "--chapters"]
    assert main([*command, str(chapters)]) == 0
    (tmp_path / "empty").mkdir()
    assert main([*command, str(tmp_path / "empty")]) == 1
    monkeypatch.setattr(random_weights, "REVISION", random_weights.REVISION + 1)
    assert main([*command, str(chapters)]) == 1


def test_status_names_each_state(recorded, tmp_path, capsys):
    main(["status", "--records", str(recorded), "--chapters", str(tmp_path)])
    assert capsys.readouterr().out.startswith("unused  random_weights/tiny__cpu__float64")


def test_list_names_every_experiment_and_its_settings(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in EXPERIMENTS)
    assert "layer_scale = 1.0" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "no experiment 'nothing'; there are: attention_cost"),
        (["run", "random_weights", "--set", "size=3"], "no setting size; there are: frames"),
        (["run", "random_weights", "--set", "frames"], "--set takes FIELD=JSON"),
        (["run", "random_weights", "--set", "rotary=False"], "for example rotary=false"),
        (["run", "random_weights", "--set", "rotary=0"], "rotary must have a value like true"),
        (["run", "random_weights", "--set", "width=true"], "width must have a value like 128"),
        (["run", "random_weights", "--set", "frames=8"], "frames must have a value like [1, 2"),
        (["run", "random_weights", "--set", "frames=[0]"], "frames must be at least 1"),
        (["run", "random_weights", "--set", "observed_heads=9"], "from 1 to the 4 heads"),
        (["run", "random_weights", "--set", "width=130"], "multiple of the heads"),
        (["run", "landmark_flow", "--set", "initial_sharpness=[0.9]"], "sharpness must satisfy"),
        (["run", "landmark_flow", "--set", "landmarks=3"], "landmarks must outnumber"),
        (["run", "random_weights", "--what", "A b"], "lower-case words"),
        (["run", "random_weights", "--device", "toaster"], "device must be one that torch can use"),
    ],
)
def test_bad_arguments_are_refused_with_the_rule(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_record_is_refused_before_anything_is_measured(recorded, capsys, monkeypatch):
    monkeypatch.setattr(random_weights, "run", lambda *_, **__: pytest.fail("it was measured"))
    arguments = ["run", "random_weights", "--what", "tiny", "--out", str(recorded)]
    assert main(arguments) == 2
    assert "records are never edited" in capsys.readouterr().err


def test_a_record_says_how_to_take_it_again(recorded, tmp_path):
    command = records.find("random_weights", "tiny", folder=recorded).command
    words = shlex.split(command.replace("--out DIR", f"--out {tmp_path}"))[3:]
    assert main(words) == 0
    again = records.find("random_weights", "tiny", folder=tmp_path)
    first = records.find("random_weights", "tiny", folder=recorded)
    np.testing.assert_array_equal(again.arrays["singular_values"], first.arrays["singular_values"])


@pytest.mark.parametrize("command", ["canary", "status"])
def test_a_folder_without_records_is_an_error(command, tmp_path, capsys):
    assert main([command, "--records", str(tmp_path)]) == 2
    assert "no record below" in capsys.readouterr().err


def test_status_without_chapters_says_what_to_do(tmp_path, capsys):
    assert main(["status", "--chapters", str(tmp_path / "absent")]) == 2
    assert "name it with --chapters" in capsys.readouterr().err

"""The command line of experiments that go on from a scratch folder and draw what they measured."""

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.experiments import rank_profile
from attention_collapse.experiments.__main__ import FAILED, INTERRUPTED, UNFINISHED, main
from attention_collapse.measure.streaming import ShardError

TINY = ("frames=[2]", "image_size=[28,42]", "width=16", "depth=2", "heads=1", "singular_values=2")
SETTINGS = [w for s in (*TINY, "spectrum_layers=[1]", "energy_ranks=false") for w in ("--set", s)]


def command(folder, *options):
    return ["run", "rank_profile", "--what", "tiny", "--out", str(folder), *options, *SETTINGS]


def test_a_run_in_parts_ends_well_and_says_what_is_left(tmp_path, capsys):
    parts = ["--scratch", str(tmp_path / "scratch"), "--set", "layers_per_command=1"]
    folder = tmp_path / "records"
    assert main(command(folder, *parts)) == UNFINISHED
    assert "1 of 2 layers are left: run the same command again" in capsys.readouterr().out
    assert not folder.exists()
    assert main(command(folder, *parts)) == 0
    found = records.find("rank_profile", "tiny", folder=folder)
    assert "--scratch SCRATCH --out DIR" in found.command
    assert main(command(tmp_path / "whole")) == 0
    whole = records.find("rank_profile", "tiny", folder=tmp_path / "whole")
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


def test_a_picture_lies_beside_the_record_and_a_bar_is_drawn(tmp_path, capsys):
    assert main(command(tmp_path)) == 0
    assert "[##############################] 2/2" in capsys.readouterr().err
    (picture,) = tmp_path.glob("rank_profile/*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.with_suffix(".json").exists()


def test_a_run_needs_no_more_than_the_name_and_the_device(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "rank_profile", "--device", "cpu", *SETTINGS]) == 0
    (record,) = tmp_path.glob("measured/rank_profile/*.json")
    assert str(record.relative_to(tmp_path)) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (MemoryError("take fewer heads"), FAILED, "error: take fewer heads"),
        (ShardError("rank 1 was left"), FAILED, "error: rank 1 was left"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted: a run with --scratch goes on"),
    ],
)
def test_a_run_that_gives_way_ends_its_bar_and_says_why(
    failure, status, message, tmp_path, monkeypatch, capsys
):
    def give_way(config, *, device, report, progress, scratch):
        progress("layers", 1, 2)
        report("on a line of its own")
        progress("layers", 1, 2)
        raise failure

    monkeypatch.setattr(rank_profile, "run", give_way)
    assert main(command(tmp_path)) == status
    *_, said, bar, line = capsys.readouterr().err.rstrip().split("\n")
    assert said == "on a line of its own"
    assert "1/2" in bar
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["landmark_flow", "--scratch", "x"], "run in one go takes no scratch folder, got x"),
        (["rank_profile", "--set", "layers_per_command=1"], "needs a scratch folder, got none"),
    ],
)
def test_a_folder_goes_with_layers_counted_out(arguments, message, tmp_path, capsys):
    assert main(["run", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

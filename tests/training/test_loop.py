"""Runs that are stopped, resumed, killed, or lose their numbers."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from attention_collapse.training import Batch, NonFiniteLoss, Run, TrainingConfig, train
from attention_collapse.training.checkpoints import CHECKPOINT, save_checkpoint
from attention_collapse.training.gradients import set_gradients
from attention_collapse.training.loop import gradients_of

Source = Callable[[int], Batch]


class Stopped(Exception):
    """Stands for the end of a process."""


def go(
    config: TrainingConfig,
    folder: Path,
    source: Source,
    *,
    steps: int = 10,
    seed: int = 0,
    resume: bool = False,
) -> Run:
    command = "resume" if resume else "start"
    run = Run.open(config, seed=seed, steps=steps, folder=folder, resume=resume, command=command)
    train(run, source, report=lambda line: None)
    return run


def stopping(source: Source, at: int) -> Source:
    def batch(step: int) -> Batch:
        if step == at:
            raise Stopped
        return source(step)

    return batch


def test_gradients_that_are_given_are_used(config: TrainingConfig, source: Source, tmp_path: Path):
    run = Run.open(config, seed=0, steps=4, folder=tmp_path)
    seen = []

    def gradients(batch: Batch) -> torch.Tensor:
        seen.append(batch)
        return gradients_of(run)(batch)

    train(run, source, gradients=gradients, report=lambda line: None)
    assert seen == [source(step) for step in range(4)]


def same(one: Run, other: Run) -> bool:
    return one.curve == other.curve and all(
        torch.equal(left[name], right[name])
        for left, right in (
            (one.network.state_dict(), other.network.state_dict()),
            (one.averaged_weights(), other.averaged_weights()),
        )
        for name in left
    )


@pytest.mark.parametrize("stop", [5, 8])
def test_a_resumed_run_ends_with_the_same_bits(config, source, tmp_path: Path, stop: int):
    whole = go(config, tmp_path / "whole", source)
    with pytest.raises(Stopped):
        go(config, tmp_path / "parts", stopping(source, stop))
    resumed = go(config, tmp_path / "parts", source, resume=True)
    assert same(whole, resumed)
    assert [line[0] for line in resumed.curve] == [2, 4, 6, 8, 10]
    assert resumed.commands == ["start", "resume"]


NO_GPU = not torch.cuda.is_available()
ON_GPU = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(NO_GPU, reason="needs a GPU")]
)


@pytest.mark.parametrize("device", ["cpu", ON_GPU])
def test_a_resumed_run_has_the_state_of_its_checkpoint(config, source, tmp_path: Path, device: str):
    """Weights, momenta and averages: bit by bit, and where they were."""
    request = {"seed": 0, "steps": 8, "folder": tmp_path, "device": device}
    first = Run.open(config, **request)

    def batch(step: int) -> Batch:
        if step == 4:
            raise Stopped
        return Batch.of([tensor.to(device) for tensor in source(step).tensors()])

    gradients = partial(set_gradients, first.network, config=config)
    with pytest.raises(Stopped):
        train(first, batch, gradients=gradients, report=lambda line: None)
    resumed = Run.open(config, **request, resume=True)
    assert same(first, resumed)
    assert resumed.step == first.step == 4
    before, after = (tensors_of(run.optimisation.state_dict()) for run in (first, resumed))
    assert len(before) == len(after) > 3
    for one, other in zip(before, after, strict=True):
        assert one.device == other.device
        assert torch.equal(one, other)


def tensors_of(state: object) -> list[torch.Tensor]:
    """All that a nested state holds, in order."""
    if isinstance(state, torch.Tensor):
        return [state]
    inside = state.values() if isinstance(state, dict) else state
    nested = isinstance(state, dict | list | tuple)
    return [each for value in inside for each in tensors_of(value)] if nested else []


def test_time_is_that_of_all_commands(config, source, tmp_path: Path):
    with pytest.raises(Stopped):
        go(config, tmp_path, stopping(source, 8))
    before = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert before["step"] == 8
    assert go(config, tmp_path, source, resume=True).seconds > before["seconds"] > 0


def test_the_seed_decides_the_run(config, source, tmp_path: Path):
    first, again, other = (
        go(config, tmp_path / name, source, steps=2, seed=seed)
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(config, source, tmp_path: Path, bad: float):
    def batch(step: int) -> Batch:
        good = source(step)
        if step != 7:
            return good
        return dataclasses.replace(
            good, targets=dataclasses.replace(good.targets, depth=good.targets.depth * bad)
        )

    with pytest.raises(NonFiniteLoss, match=r"must be finite, got (nan|inf) at step 7; the last"):
        go(config, tmp_path, batch)
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert kept["step"] == 4
    assert all(weight.isfinite().all() for weight in kept["network"].values())
    assert go(config, tmp_path, source, resume=True).step == 10


ENDLESS = """
import dataclasses, pathlib, sys
from attention_collapse.training import PRESETS, BatchSource, Run, train

config = dataclasses.replace(
    PRESETS["tiny"], worlds=3, batch_frames=4, distinct_batches=3, log_every=2, checkpoint_every=4
)
run = Run.open(config, seed=0, steps=100_000, folder=pathlib.Path(sys.argv[1]))
train(run, BatchSource(config, seed=0).batch, report=lambda line: print(line, flush=True))
"""


def test_a_killed_process_leaves_a_checkpoint_that_resumes(config, tmp_path: Path):
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        # The checkpoint of step 4 was written before this line.
        if line.startswith("step 6/"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    run = Run.open(config, seed=0, steps=100_000, folder=tmp_path, resume=True)
    assert run.step >= 4
    assert run.step % config.checkpoint_every == 0
    assert run.curve[-1][0] == run.step


def test_an_interrupted_write_leaves_the_checkpoint_before_it(
    config, source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    go(config, tmp_path, source, steps=4)

    def broken(state: object, file: object) -> None:
        file.write(b"half")
        raise Stopped

    before = (tmp_path / CHECKPOINT).read_bytes()
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(Stopped):
        save_checkpoint(tmp_path, state)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_run_goes_on_with_its_own_settings_only(config, source, tmp_path: Path):
    go(config, tmp_path, source, steps=4)
    with pytest.raises(ValueError, match="got seed 1 for 0, steps 6 for 4 in .*; give the same"):
        go(config, tmp_path, source, steps=6, seed=1, resume=True)
    with pytest.raises(ValueError, match="a folder without a checkpoint, got .*; add --resume"):
        go(config, tmp_path, source, steps=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resume": True}, "must have a checkpoint, got no .*; leave --resume out"),
        ({"steps": 0}, "steps must be at least 1, got 0; the preset"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*32\), got -1; use"),
    ],
)
def test_bad_requests_are_refused(config, source, tmp_path: Path, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        go(config, tmp_path, source, **arguments)

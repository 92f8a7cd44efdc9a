import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import shard_process
from attention_collapse.measure.streaming import (
    DistributedShards,
    SingleProcess,
    of_this_run,
    share_of,
)
from tolerances import FLOAT64

TESTS = Path(shard_process.__file__).parent
# How long processes wait for each other, and how long the tests wait for the processes.
TIMEOUT, PATIENCE = 5, 120


def start(task, ranks, folder, *, seconds=TIMEOUT):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(ranks),
        "PYTHONPATH": os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", ""))),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, TESTS / "shard_process.py", task, folder, str(seconds)]
    return [
        subprocess.Popen(command, env=common | {"RANK": str(rank)}, stderr=subprocess.PIPE)
        for rank in range(ranks)
    ]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_sharded_is_single(ranks, tmp_path):
    processes = start("measure", ranks, tmp_path, seconds=PATIENCE)
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors.decode()
    expected = shard_process.measure(SingleProcess(), 0, 1)
    for rank in range(ranks):
        for found, single in zip(torch.load(tmp_path / f"{rank}.pt"), expected, strict=True):
            torch.testing.assert_close(found, single, rtol=100 * FLOAT64, atol=100 * FLOAT64)


@pytest.mark.parametrize("task", ["die", "hang"])
def test_a_process_that_is_gone_is_an_error_on_the_others(task, tmp_path):
    *others, gone = start(task, 3, tmp_path)
    try:
        for process in others:
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode != 0
            assert "ShardError: every process must take part" in errors.decode()
    finally:
        gone.kill()
        gone.communicate()


def test_a_process_that_refuses_its_queries_is_an_error_on_the_others(tmp_path):
    """Far below the time that they would wait for it."""
    processes = start("refuse", 3, tmp_path, seconds=PATIENCE)
    errors = [process.communicate(timeout=PATIENCE)[1].decode() for process in processes]
    assert "ValueError: query must be finite" in errors[2]
    for other in errors[:2]:
        assert "ShardError: every process must have good queries and keys, 1 refused" in other


def test_a_tensor_that_the_transport_cannot_add_is_no_fault_of_the_others(tmp_path):
    for process in start("unknown", 2, tmp_path):
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
        assert "ShardError" not in errors.decode()


def test_a_device_without_a_number_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="got no LOCAL_RANK: start with torchrun"), of_this_run():
        pass


@pytest.mark.parametrize(
    ("present", "device_type", "transport", "device"),
    [
        (False, None, "gloo", None),
        (True, None, "nccl", torch.device("cuda", 1)),
        (True, "cuda", "nccl", torch.device("cuda", 1)),
        (True, "cpu", "gloo", None),
    ],
)
def test_the_transport_is_that_of_the_tensors(monkeypatch, present, device_type, transport, device):
    """Tensors on the CPU travel beside CUDA devices too, as those of a canary do."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    started = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: bool(started))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(
        torch.distributed,
        "init_process_group",
        lambda backend, *, timeout, device_id: started.append((backend, device_id)),
    )
    with of_this_run(device_type=device_type):
        pass
    assert started == [(transport, device)]


def test_a_run_of_one_process_needs_no_group():
    with of_this_run() as shards:
        assert isinstance(shards, SingleProcess)
    with pytest.raises(ValueError, match="process group must be initialised"):
        DistributedShards()


@pytest.mark.parametrize(("count", "unit", "ranks"), [(10, 1, 3), (12, 4, 2), (7, 7, 1)])
def test_shares_cover_the_tokens_in_order_and_differ_by_one_unit_at_most(count, unit, ranks):
    shares = [share_of(count, rank=rank, ranks=ranks, unit=unit) for rank in range(ranks)]
    covered = [token for share in shares for token in range(count)[share]]
    assert covered == list(range(count))
    sizes = {(share.stop - share.start) // unit for share in shares}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "ranks": 2}, "rank must be at least 0 and less than 2, got 2"),
        ({"rank": 0, "ranks": 2, "unit": 3}, "got 10 tokens in units of 3 for 2 processes"),
        ({"rank": 0, "ranks": 3, "unit": 5}, "got 10 tokens in units of 5 for 3 processes"),
    ],
)
def test_shares_that_cannot_be_had_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        share_of(10, **options)

from functools import partial
from pathlib import Path

import pytest
import torch

from attention_collapse.experiments import process_memory
from attention_collapse.experiments.process_memory import taken_memory
from tolerances import ALLOCATED

HELD = 2**28
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the memory of a process is Linux's"
)


def test_memory_taken_is_what_the_operation_held_and_not_what_came_before():
    assert abs(taken_memory(partial, torch.ones, HELD // 4) / HELD - 1) <= ALLOCATED
    assert taken_memory(_after_much) / HELD <= ALLOCATED


def _after_much():
    torch.ones(HELD // 4)
    return partial(torch.ones, 1)


def test_a_system_that_does_not_tell_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(process_memory, "_PROCESS", tmp_path)
    with pytest.raises(ValueError, match="got a system without it: measure on Linux"):
        taken_memory(partial, torch.ones, 1)

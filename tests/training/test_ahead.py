"""Rounds rendered ahead: the right ones, begun before they are asked for."""

import threading

import pytest
import torch

from attention_collapse.training import Batch
from attention_collapse.training.ahead import RenderedAhead

SECONDS = 20


def batch_of(number):
    sizes = (3, 1, 1), (9,), (1, 1), (1, 1, 3)
    return Batch.of([torch.full((1, 1, *size), float(number)) for size in sizes])


def number_in(batch):
    return batch.images.mean().item()


def test_the_next_round_is_begun_before_it_is_asked_for():
    begun = [threading.Event() for _ in range(4)]
    threads = set()

    def render(number):
        begun[number].set()
        threads.add(threading.current_thread())
        return {number: batch_of(number)}

    rounds = RenderedAhead(render, "cpu")
    assert number_in(rounds(0)[0]) == 0
    assert begun[1].wait(SECONDS)
    assert not begun[2].is_set()
    assert [list(rounds(number)) for number in (1, 2)] == [[1], [2]]
    assert len(threads) == 1
    assert threads != {threading.current_thread()}


def test_any_round_can_be_asked_for():
    rounds = RenderedAhead(lambda number: {number: batch_of(number**2)}, "cpu")
    found = [rounds(number)[number] for number in (3, 0, 7, 8)]
    assert [number_in(batch) for batch in found] == [9, 0, 49, 64]


def test_a_closed_renderer_has_nothing_in_work():
    rendered = []

    def render(number):
        rendered.append(number)
        return {}

    rounds = RenderedAhead(render, "cpu")
    rounds(0)
    rounds.close()
    known = list(rendered)
    assert known in ([0], [0, 1])
    with pytest.raises(RuntimeError):
        rounds(5)
    assert rendered == known


def test_a_failure_is_that_of_its_round():
    def render(number):
        if number == 1:
            raise ValueError("round 1")
        return {}

    rounds = RenderedAhead(render, "cpu")
    assert rounds(0) == {}
    with pytest.raises(ValueError, match="round 1"):
        rounds(1)
    assert rounds(2) == {}

"""Gradients of a batch, computed and recorded."""

from collections.abc import Callable

import pytest
import torch

from attention_collapse.training import Batch, TrainingConfig, errors, loss
from attention_collapse.training.gradients import set_gradients
from attention_collapse.vggt import VGGT
from unchecked import run_unchecked

Source = Callable[[int], Batch]


def network(config: TrainingConfig) -> VGGT:
    return VGGT(config.network, generator=torch.Generator().manual_seed(0))


def gradients(trained: VGGT) -> list[torch.Tensor]:
    return [p.grad.clone() for p in trained.parameters() if p.grad is not None]


def test_gradients_are_those_of_the_loss(config: TrainingConfig, source: Source):
    trained, batch = network(config), source(0)
    numbers = set_gradients(trained, batch, config)
    found = gradients(trained)
    said = trained(batch.images)
    value = loss(said, batch.targets, config)
    assert numbers.tolist() == [
        value.item(),
        *map(float, vars(errors(said, batch.targets)).values()),
    ]
    used = [p for p in trained.parameters() if p.grad is not None]
    for one, other in zip(found, torch.autograd.grad(value, used), strict=True):
        assert torch.equal(one, other)


def test_gradients_of_a_batch_do_not_know_the_one_before(config: TrainingConfig, source: Source):
    trained = network(config)
    set_gradients(trained, source(0), config)
    fresh = gradients(trained)
    set_gradients(trained, source(1), config)
    set_gradients(trained, source(0), config)
    assert all(map(torch.equal, gradients(trained), fresh))


# With batches like those of the other tests, which a process of its own has to render again.
REPLAY = """
import dataclasses
import torch
from attention_collapse.training import PRESETS, Batch, BatchSource
from attention_collapse.training.compilation import compile_for_batches
from attention_collapse.training.gradients import RecordedGradients, set_gradients
from attention_collapse.training.precision import tf32_products
from attention_collapse.vggt import VGGT
from tolerances import RECORDED_GRADIENTS

config = dataclasses.replace(
    PRESETS["tiny"], worlds=3, batch_frames=4, frame_counts=(2,), distinct_batches=3
)
source = BatchSource(config, seed=0)
networks = [
    VGGT(config.network, generator=torch.Generator().manual_seed(0)).cuda() for _ in range(2)
]

def gradients(network):
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]

def compare():
    plain, recorded = networks
    compile_for_batches(recorded)
    replay = RecordedGradients(recorded, config)
    for step in (0, 1, 0):
        batch = Batch.of([tensor.cuda() for tensor in source.batch(step).tensors()])
        pair = set_gradients(plain, batch, config), replay(batch)
        torch.testing.assert_close(*pair, rtol=RECORDED_GRADIENTS, atol=0)
        for one, other in zip(gradients(plain), gradients(recorded), strict=True):
            assert (one - other).norm() <= RECORDED_GRADIENTS * (one.norm() + 1)
        with torch.no_grad():
            for weight in (*plain.parameters(), *recorded.parameters()):
                weight.mul_(1.01)

with tf32_products():
    compare()
print("three steps")
"""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recorded_gradients_follow_batches_and_weights():
    assert run_unchecked(REPLAY).strip() == "three steps"

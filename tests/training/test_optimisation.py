"""Step sizes over a run, and what one step does."""

from collections.abc import Callable

import pytest
import torch

from attention_collapse.training import Batch, TrainingConfig
from attention_collapse.training.gradients import set_gradients
from attention_collapse.training.optimisation import Optimisation, averaging, schedule
from attention_collapse.vggt import VGGT
from tolerances import FLOAT32_MUON, FLOAT64

Source = Callable[[int], Batch]


@pytest.fixture
def network(config: TrainingConfig, source: Source) -> VGGT:
    network = VGGT(config.network, generator=torch.Generator().manual_seed(0))
    set_gradients(network, source(0), config)
    return network


def test_step_sizes_rise_stay_and_fall_to_zero(config: TrainingConfig):
    sizes = [schedule(step, 1000, config) for step in range(1000)]
    risen, falls = round(1000 * config.warm_up), round(1000 * (1 - config.cool_down))
    assert sizes[: risen + 1] == pytest.approx(
        [min(1, (step + 1) / risen) for step in range(risen + 1)], abs=FLOAT64
    )
    assert set(sizes[risen:falls]) == {1.0}
    assert sizes[falls:] == pytest.approx(
        [(1000 - step) / (1000 - falls) for step in range(falls, 1000)], abs=FLOAT64
    )


def test_long_gradients_are_shortened(config: TrainingConfig, network: VGGT):
    Optimisation(network, config, steps=10).step(0)
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    assert length.item() == pytest.approx(config.gradient_norm, rel=FLOAT32_MUON)


def test_the_average_forgets_the_start(config: TrainingConfig, network: VGGT):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimisation = Optimisation(network, config, steps=10)
    optimisation.step(0)
    assert averaging(0, config) == 0.5
    for name, value in network.state_dict().items():
        if value.numel():
            expected = (before[name] + value) / 2
            assert (optimisation.average[name] - expected).abs().max() <= FLOAT32_MUON
    assert averaging(10**6, config) == config.averaging


def test_muon_steps_the_matrices_inside_blocks_and_adamw_the_rest(
    config: TrainingConfig, network: VGGT
):
    maps = network.aggregator.global_blocks[0].mlp.fc1, network.camera_head.pose_branch.fc2
    before = [linear.weight.detach().clone() for linear in maps]
    Optimisation(network, config, steps=10).step(0)
    inside, outside = (
        linear.weight.detach() - old for linear, old in zip(maps, before, strict=True)
    )
    # Muon: singular values of one size. AdamW's first step: entries of one size.
    values, entries = torch.linalg.svdvals(inside), outside.abs()
    assert values.median() > values.max() / 2
    assert entries.median() > entries.max() / 2
    assert inside.abs().median() < inside.abs().max() / 2

"""A run small enough for every test, on batches rendered once."""

import dataclasses
from collections.abc import Callable

import pytest

from attention_collapse.training import PRESETS, Batch, BatchSource, TrainingConfig


@pytest.fixture(scope="session")
def config() -> TrainingConfig:
    """The preset tiny with few batches, a line of the curve every 2 steps."""
    return dataclasses.replace(
        PRESETS["tiny"],
        worlds=3,
        batch_frames=4,
        frame_counts=(2,),
        distinct_batches=3,
        log_every=2,
        checkpoint_every=4,
    )


@pytest.fixture(scope="session")
def source(config: TrainingConfig) -> Callable[[int], Batch]:
    """The batch of each step."""
    return BatchSource(config, seed=0).batch

"""A network and a loss compiled for one number of frames: the gradients of plain ones."""

from unchecked import run_unchecked

COMPARE = """
import torch
from attention_collapse.training import PRESETS, BatchSource
from attention_collapse.training.compilation import compile_for_batches, compiled_loss
from attention_collapse.training.gradients import set_gradients
from attention_collapse.vggt import VGGT
from tolerances import COMPILED

import dataclasses
config = dataclasses.replace(
    PRESETS["tiny"], worlds=2, batch_frames=8, frame_counts=(2, 4), distinct_batches=4
)
source = BatchSource(config, seed=0)
batches = {batch.images.shape[1]: batch for batch in map(source.batch, range(4))}
network = VGGT(config.network, generator=torch.Generator().manual_seed(0))

def gradients(batch, **options):
    numbers = set_gradients(network, batch, config, **options)
    return [numbers, *(p.grad.clone() for p in network.parameters() if p.grad is not None)]

plain = {frames: gradients(batch) for frames, batch in batches.items()}
compile_for_batches(network, backend="aot_eager")
compiled = {"loss": compiled_loss(backend="aot_eager")}
for frames, batch in batches.items():
    for one, other in zip(gradients(batch, **compiled), plain[frames], strict=True):
        assert (one - other).norm() <= COMPILED["float32"] * (1 + other.norm())
print(sorted(batches), torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""


def test_gradients_are_the_same_from_one_program_for_each_part():
    # Two parts of the blocks of the encoder, whose tokens are fewer, two of all others, the heads
    # of depth and points, and the loss.
    assert run_unchecked(COMPARE).strip() == "[2, 4] 7"

import pytest
import torch

from attention_collapse.vggt.compilation import compile_blocks
from unchecked import run_unchecked

COMPARE = """
import torch
from attention_collapse.vggt import Aggregator, AggregatorConfig
from attention_collapse.vggt.compilation import compile_blocks
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig
from attention_collapse.vggt.precision import cast_linear_weights
from tolerances import COMPILED

sizes = {"width": 16, "depth": 3, "heads": 2, "patch_size": 2}
encoder = PatchEncoderConfig(**sizes | {"depth": 2, "image_size": 4})
config = AggregatorConfig(**sizes, layer_scale=1.0, patch_encoder=encoder)
generator = torch.Generator().manual_seed(0)
scene = torch.rand(1, 5, 3, 4, 6, generator=generator)
network = Aggregator(config, generator=generator)
cast_linear_weights(network, torch.bfloat16)
forms = [(5, 2), (4, 2), (1, None), (5, None), (2, 1), (5, 3)]
with torch.inference_mode():
    expected = [network(scene[:, :frames], frame_chunk=chunk) for frames, chunk in forms]
    compile_blocks(network, backend="aot_eager")
    for (frames, chunk), plain in zip(forms, expected, strict=True):
        compiled = network(scene[:, :frames], frame_chunk=chunk)
        for layer, streams in plain.layers.items():
            torch.testing.assert_close(
                compiled.layers[layer], streams, rtol=0, atol=COMPILED["bfloat16"]
            )
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""

BREAK = """
import torch
from attention_collapse.vggt import Block
from attention_collapse.vggt.compilation import compile_blocks

block, tokens = Block(16, 2, generator=torch.Generator()), torch.zeros(1, 4, 16)
compile_blocks(block, backend="eager")
block(tokens)
block.mlp.fc2.forward = torch._dynamo.disable(block.mlp.fc2.forward)
try:
    block(tokens)
except torch._dynamo.exc.Unsupported:
    print("refused")
"""


def test_compiled_blocks_compute_the_same_in_a_handful_of_graphs():
    # Two parts of the blocks of encoder, frames and scenes, for one image and for several, first
    # chunks, later ones and none: however many blocks, frames and chunks there are.
    assert int(run_unchecked(COMPARE)) <= 24


def test_an_operation_that_breaks_the_graph_is_refused():
    assert run_unchecked(BREAK).strip() == "refused"


def test_a_network_without_blocks_is_refused():
    with pytest.raises(ValueError, match="must hold at least one block, got Linear; pass a VGGT"):
        compile_blocks(torch.nn.Linear(2, 2))

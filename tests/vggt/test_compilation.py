import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tolerances
from attention_collapse.vggt.compilation import compile_blocks

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
with torch.inference_mode():
    expected = {frames: network(scene[:, :frames], frame_chunk=2) for frames in (5, 4)}
    compile_blocks(network, backend="aot_eager")
    for frames, plain in expected.items():
        compiled = network(scene[:, :frames], frame_chunk=2)
        for layer, streams in plain.layers.items():
            torch.testing.assert_close(
                compiled.layers[layer], streams, rtol=0, atol=COMPILED["bfloat16"]
            )
counters = torch._dynamo.utils.counters
assert not counters["graph_break"], counters["graph_break"]
print(counters["stats"]["unique_graphs"])
"""


def test_compiled_blocks_compute_the_same_in_a_handful_of_graphs():
    # Without the hook that checks annotations: it would run inside the compiled functions.
    folders = [str(Path(__file__).parents[2] / "lib"), str(Path(tolerances.__file__).parent)]
    result = subprocess.run(
        [sys.executable, "-c", COMPARE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # Two parts of the blocks of encoder, frames and scenes, for two images and for one, however
    # many blocks, frames and chunks there are.
    assert int(result.stdout) <= 12


def test_a_network_without_blocks_is_refused():
    with pytest.raises(ValueError, match="must hold at least one block, got Linear; pass a VGGT"):
        compile_blocks(torch.nn.Linear(2, 2))

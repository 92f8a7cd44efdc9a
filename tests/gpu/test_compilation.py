"""Compiled blocks on a CUDA device: ``pytest -m gpu``."""

import pytest
import torch

from attention_collapse.vggt import (
    Aggregator,
    AggregatorConfig,
    cast_linear_weights,
    compile_blocks,
    compute_dtype,
)
from tolerances import BFLOAT16_NETWORK

# On loading, the compiler calls functions that torch itself will remove.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


@torch.inference_mode()
def test_the_default_compiler_keeps_the_streams():
    generator = torch.Generator().manual_seed(0)
    config = AggregatorConfig(width=256, depth=2, heads=4, layer_scale=1.0)
    network = Aggregator(config, generator=generator).to("cuda")
    cast_linear_weights(network, compute_dtype("cuda"))
    scene = torch.rand(1, 5, 3, 56, 70, generator=generator).to("cuda")
    forms = [(5, 2), (5, None), (1, None)]
    plain = [network(scene[:, :frames], frame_chunk=chunk) for frames, chunk in forms]
    compile_blocks(network)
    for (frames, chunk), expected in zip(forms, plain, strict=True):
        compiled = network(scene[:, :frames], frame_chunk=chunk)
        for layer, streams in expected.layers.items():
            error = (compiled.layers[layer] - streams).norm() / streams.norm()
            assert error < BFLOAT16_NETWORK

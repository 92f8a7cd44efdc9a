import pytest
import torch

from attention_collapse.experiments.layer_steps import LayerSteps, random_network
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig
from tolerances import FLOAT64_NETWORK

SIZES = AggregatorConfig(width=32, depth=3, heads=2)
LAYOUT = TokenLayout.from_image(3, 28, 42)


@pytest.mark.parametrize("frame_chunk", [1, 2, 8])
def test_steps_are_the_layers_of_a_forward(frame_chunk):
    network = random_network(SIZES, seed=0, storage="float64", device="cpu")
    images = torch.rand(
        3, 3, 28, 42, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    seen, steps = {}, LayerSteps(network, LAYOUT, frame_chunk=frame_chunk)
    with torch.inference_mode():
        layers = network(images[None]).layers
        stream = steps.start(images)
        for layer in range(SIZES.depth):
            stream = steps.step(stream, layer, observe=seen.__setitem__)
            whole = layers[layer][0, ..., SIZES.width :]
            torch.testing.assert_close(stream, whole, rtol=0, atol=FLOAT64_NETWORK)
    assert {"global.00.attention.query", "global.02.output"} <= set(seen)


def test_bfloat16_is_that_of_queries_and_keys_not_of_the_stream():
    network = random_network(SIZES, seed=0, storage="bfloat16", device="cpu")
    seen, steps = {}, LayerSteps(network, LAYOUT, frame_chunk=3)
    with torch.inference_mode():
        stream = steps.step(steps.start(torch.zeros(3, 3, 28, 42)), 0, observe=seen.__setitem__)
    assert stream.dtype == torch.float32
    assert seen["global.00.attention.key"].dtype == torch.bfloat16


def test_another_order_of_blocks_is_refused():
    sizes = AggregatorConfig(width=32, depth=2, heads=2, group_size=2)
    network = Aggregator(sizes, generator=torch.Generator())
    with pytest.raises(ValueError, match="in groups of 2: leave both at their defaults"):
        LayerSteps(network, LAYOUT, frame_chunk=1)


def test_another_storage_is_refused():
    with pytest.raises(ValueError, match="storage must be one of float64, float32, bfloat16"):
        random_network(SIZES, seed=0, storage="float16", device="cpu")

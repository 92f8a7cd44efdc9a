import pytest
import torch

from attention_collapse.vggt.aggregator import Aggregator
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig
from attention_collapse.vggt.precision import cast_linear_weights, compute_dtype
from attention_collapse.vggt.rope import rotary_table, rotate
from tolerances import BFLOAT16_NETWORK, BFLOAT16_UNIT, FLOAT32_ROTATION

ENCODER = PatchEncoderConfig(
    width=16, depth=1, heads=2, mlp_ratio=2.0, image_size=4, patch_size=2, registers=1
)


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((9, 0), torch.bfloat16),
        ((8, 0), torch.bfloat16),
        ((7, 5), torch.float16),
        ((7, 0), torch.float16),
        ((6, 1), torch.float32),
    ],
)
def test_the_compute_type_follows_the_capability_of_the_device(monkeypatch, capability, dtype):
    asked = []

    def answer(device):
        asked.append(device)
        return capability

    monkeypatch.setattr(torch.cuda, "get_device_capability", answer)
    assert compute_dtype("cuda:1") == dtype
    assert asked == [torch.device("cuda:1")]


@pytest.mark.parametrize("device", ["cpu", torch.device("mps")])
def test_devices_without_cuda_compute_in_float32(device):
    assert compute_dtype(device) == torch.float32


@pytest.fixture
def shortened(small_aggregator):
    """A network whose linear maps compute in ``dtype``, and the same network in float64."""

    def build(dtype, **sizes):
        exact, short = (small_aggregator(**sizes) for _ in range(2))
        short.load_state_dict(exact.state_dict())
        short.float()
        cast_linear_weights(short, dtype)
        return short, exact

    return build


@pytest.mark.parametrize("encoder", [None, ENCODER])
def test_only_linear_maps_and_convolutions_are_shortened(generator, encoder):
    config = AggregatorConfig(width=16, depth=1, heads=2, patch_size=2, patch_encoder=encoder)
    network = Aggregator(config, generator=generator)
    cast_linear_weights(network, torch.float16)
    linear = (".qkv.", ".proj.", ".fc1.", ".fc2.")
    for name, value in network.state_dict().items():
        expected = torch.float16 if any(part in f".{name}" for part in linear) else torch.float32
        assert value.dtype == expected, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("encoder", [None, ENCODER])
def test_the_stream_stays_in_float32_and_attention_is_short(
    shortened, images, observed, dtype, encoder
):
    network, _ = shortened(dtype, patch_encoder=encoder)
    output, seen = observed(network, images(1, 2))
    assert output.layers[1].dtype == torch.float32
    for name, tensor in seen.items():
        if name.startswith(("frame", "global")):
            assert tensor.dtype == (dtype if "attention" in name else torch.float32), name


@pytest.mark.parametrize("encoder", [None, ENCODER])
def test_a_shortened_network_stays_close_to_itself(shortened, images, encoder):
    network, exact = shortened(torch.bfloat16, patch_encoder=encoder)
    scene = images(1, 3)
    expected = exact(scene).layers[1]
    error = (network(scene).layers[1] - expected).norm() / expected.norm()
    assert 1e-5 < error < BFLOAT16_NETWORK


def test_norm_and_rotation_of_the_queries_are_not_shortened(shortened, images, observed):
    network, _ = shortened(torch.bfloat16)
    output, seen = observed(network, images(1, 2))
    block = network.global_blocks[1]
    stream = seen["frame.01.output"].reshape(1, -1, 16)
    projected = block.attn.qkv(block.norm1(stream).bfloat16()).double()
    heads = projected.unflatten(-1, (3, 2, 8))[:, :, 0].transpose(1, 2)
    normed = block.attn.q_norm.double()(heads)
    positions = torch.from_numpy(output.layout.positions())
    table = rotary_table(positions, dim=8, dtype=torch.float64)
    expected = rotate(normed, table)
    query = seen["global.01.attention.query"]
    torch.testing.assert_close(
        query.double(), expected, rtol=BFLOAT16_UNIT / 2, atol=2 * FLOAT32_ROTATION
    )


def test_weights_that_are_no_floating_point_numbers_are_refused(small_aggregator):
    with pytest.raises(ValueError, match="floating-point numbers, got torch.int8; use torch.bf"):
        cast_linear_weights(small_aggregator(), torch.int8)

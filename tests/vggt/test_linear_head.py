import pytest
import torch

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.dense_activation import activate_confidence, activate_values
from attention_collapse.vggt.linear_head import (
    FIRST_POSE,
    DirectCameraHead,
    DirectCameraHeadConfig,
    LinearHead,
    LinearHeadConfig,
)
from tolerances import FLOAT64_NETWORK

LAYOUT = TokenLayout(frames=3, rows=2, columns=4, special=2)
SIZES = {"width": 8, "channels": 3, "activation": "inverse_log", "patch_size": 2}


@pytest.fixture
def head(generator, stirred):
    return stirred(LinearHead(LinearHeadConfig(**SIZES), generator=generator))


@pytest.fixture
def camera_head(generator, stirred):
    return stirred(DirectCameraHead(DirectCameraHeadConfig(width=8), generator=generator))


@pytest.fixture
def stream(generator):
    return torch.randn(2, 3, LAYOUT.per_frame, 8, dtype=torch.float64, generator=generator)


def normalised(x: torch.Tensor, layer: torch.nn.LayerNorm) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * layer.weight + layer.bias


def test_each_pixel_is_read_from_the_token_of_its_patch(head, stream):
    output = head([stream], LAYOUT)
    assert output.values.shape == (2, 3, 4, 8, 3)
    for row, column in ((0, 0), (1, 5), (2, 2), (3, 7)):
        token = stream[:, :, LAYOUT.special + (row // 2) * 4 + column // 2]
        numbers = normalised(token, head.norm) @ head.proj.weight.T + head.proj.bias
        place = 4 * (2 * (row % 2) + column % 2)
        raw = numbers[..., place : place + 4]
        values = activate_values(raw[..., :3], "inverse_log")
        confidence = activate_confidence(raw[..., 3], "one_plus_exp")
        torch.testing.assert_close(
            output.values[:, :, row, column], values, rtol=0, atol=FLOAT64_NETWORK
        )
        torch.testing.assert_close(
            output.confidence[:, :, row, column], confidence, rtol=0, atol=FLOAT64_NETWORK
        )


def test_the_last_layer_is_read_as_one_tensor_or_two(head, stream):
    joined = head([stream], LAYOUT)
    pair = head([stream + 1, stream.split((3, 5), dim=-1)], LAYOUT)
    assert torch.equal(joined.values, pair.values)
    assert torch.equal(joined.confidence, pair.confidence)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_chunk_does_not_matter(head, stream, chunk):
    whole, parts = head([stream], LAYOUT), head([stream], LAYOUT, chunk=chunk)
    torch.testing.assert_close(parts.values, whole.values, rtol=0, atol=FLOAT64_NETWORK)


def test_wrong_layers_are_refused(head, stream):
    for wrong in (stream[..., :7], stream[:, :2], stream[:, :, :-1], stream[0]):
        with pytest.raises(ValueError, match="3 frames of 10 tokens and 8 channels, got the shap"):
            head([wrong], LAYOUT)
    with pytest.raises(ValueError, match="chunk must be at least 1 frame, got 0"):
        head([stream], LAYOUT, chunk=0)


@pytest.mark.parametrize("name", ["width", "channels", "patch_size"])
def test_wrong_sizes_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
        LinearHeadConfig(**SIZES | {name: 0})


def test_the_pose_is_read_from_the_camera_token(camera_head, stream):
    branch = camera_head.pose_branch
    branch.fc2.bias.data[7] = -1
    (encoding,) = camera_head(stream[:, :, 0])
    hidden = normalised(stream[:, :, 0], camera_head.token_norm) @ branch.fc1.weight.T
    hidden = hidden + branch.fc1.bias
    raw = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2 @ branch.fc2.weight.T + branch.fc2.bias
    assert (raw[..., 7:] < 0).any()
    raw[..., 7:].clamp_(min=0)
    torch.testing.assert_close(encoding, raw, rtol=0, atol=FLOAT64_NETWORK)


def test_a_fresh_camera_head_is_near_the_identity(generator):
    head = DirectCameraHead(DirectCameraHeadConfig(width=64), generator=generator)
    (encoding,) = head(torch.randn(4, 9, 64, generator=generator))
    away = (encoding - torch.tensor(FIRST_POSE)).abs()
    assert 0 < away.mean() < away.max() < 0.1


def test_wrong_camera_tokens_are_refused(camera_head, stream):
    with pytest.raises(
        ValueError, match=r"the axes \[scene, frame, 8\], got shape \(2, 3, 10, 8\)"
    ):
        camera_head(stream)
    with pytest.raises(ValueError, match="width must be an integer of at least 2, got 1"):
        DirectCameraHeadConfig(width=1)


@pytest.mark.parametrize("part", ["linear head", "camera head"])
def test_short_weights_are_refused(head, camera_head, stream, part):
    with pytest.raises(ValueError, match=f"the {part} computes in float32 or wider"):
        head.half()([stream], LAYOUT) if part == "linear head" else camera_head.half()(stream[0])

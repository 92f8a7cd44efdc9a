import math

import pytest
import torch
from torch import nn

from attention_collapse.vggt.camera_head import CameraHead, CameraHeadConfig
from tolerances import FLOAT64_NETWORK

SMALL = {"width": 8, "depth": 2, "heads": 2, "mlp_ratio": 2.0}


@pytest.fixture
def head(generator, stirred):
    return stirred(CameraHead(CameraHeadConfig(**SMALL), generator=generator))


@pytest.fixture
def tokens(generator):
    return torch.randn(2, 3, SMALL["width"], dtype=torch.float64, generator=generator)


def normalised(x: torch.Tensor, epsilon: float) -> torch.Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + epsilon).sqrt()


def affine(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return x @ layer.weight.T + layer.bias


def change(head: CameraHead, tokens: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
    """One step written out, from the camera tokens and the encoding that the step reads."""
    steady = normalised(tokens, 1e-5) * head.token_norm.weight + head.token_norm.bias
    embedded = affine(head.embed_pose, encoding)
    modulation = affine(head.poseLN_modulation[1], embedded * torch.sigmoid(embedded))
    shift, scale, gate = modulation[..., :8], modulation[..., 8:16], modulation[..., 16:]
    x = gate * (normalised(steady, 1e-6) * (1 + scale) + shift) + steady
    for block in head.trunk:
        x = block(x)
    x = normalised(x, 1e-5) * head.trunk_norm.weight + head.trunk_norm.bias
    hidden = affine(head.pose_branch.fc1, x)
    return affine(head.pose_branch.fc2, hidden * (1 + torch.erf(hidden / 2**0.5)) / 2)


def steps(head: CameraHead, tokens: torch.Tensor, count: int) -> list[torch.Tensor]:
    """The encodings before the cut of the fields of view."""
    raw = [change(head, tokens, head.empty_pose_tokens.expand(2, 3, 9))]
    while len(raw) < count:
        raw.append(raw[-1] + change(head, tokens, raw[-1]))
    return raw


# Small tokens show the epsilon of the first norm, small weights that of the modulated one.
@pytest.mark.parametrize(("token_size", "weight_size"), [(1, 1), (3e-3, 1), (1, 1e-3)])
def test_steps_add_up_changes(head, tokens, token_size, weight_size):
    tokens = tokens * token_size
    head.token_norm.weight.data.mul_(weight_size)
    head.token_norm.bias.data.mul_(weight_size)
    expected = steps(head, tokens, 3)
    for encoding, raw in zip(head(tokens, iterations=3), expected, strict=True):
        cut = torch.cat((raw[..., :7], raw[..., 7:].clamp(min=0)), dim=-1)
        torch.testing.assert_close(encoding, cut, rtol=0, atol=FLOAT64_NETWORK)


def test_a_negative_field_of_view_is_reported_as_zero_and_carried_on(head, tokens):
    head.pose_branch.fc2.bias.data[7:] = torch.tensor([-100.0, 50.0], dtype=torch.float64)
    first, second = head(tokens, iterations=2)
    assert torch.equal(first[..., 7], torch.zeros(2, 3, dtype=torch.float64))
    assert first[..., 8].min() > 0
    raw = steps(head, tokens, 2)[-1]
    assert raw[..., 7].max() < 0
    torch.testing.assert_close(
        second[..., [0, 6, 8]], raw[..., [0, 6, 8]], rtol=0, atol=FLOAT64_NETWORK
    )


def test_four_steps_by_default_and_fewer_are_their_beginning(head, tokens):
    encodings = head(tokens)
    assert len(encodings) == 4
    for short, long in zip(head(tokens, iterations=2), encodings, strict=False):
        assert torch.equal(short, long)


def test_every_stored_norm_adds_1e_minus_5_to_the_variance(head):
    norms = [module for module in head.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 + 2 * SMALL["depth"]
    alternating = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(SMALL["width"] // 2)
    for norm in norms:
        normed = (norm(alternating * 3e-5**0.5) - norm.bias) / norm.weight
        expected = alternating * 0.75**0.5
        torch.testing.assert_close(normed, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_frames_of_a_scene_see_each_other_in_any_order(head, tokens):
    encodings = head(tokens)[-1]
    order = torch.tensor([2, 0, 1])
    permuted = head(tokens[:, order])[-1]
    torch.testing.assert_close(permuted, encodings[:, order], rtol=0, atol=FLOAT64_NETWORK)
    alone = head(tokens[:1])[-1]
    torch.testing.assert_close(alone, encodings[:1], rtol=0, atol=FLOAT64_NETWORK)
    fewer = head(tokens[:, :2])[-1]
    assert (fewer - encodings[:, :2]).abs().max() > 1e-3


def test_copies_of_later_frames_are_not_felt_under_the_bias(head, tokens):
    copied = tokens[:, [0, 1, 2, 1, 2, 1, 2]]
    cured = head(copied, reference_bias=math.log(3))[-1]
    once = head(tokens)[-1]
    for frames in ([0, 1, 2], [0, 3, 4], [0, 5, 6]):
        torch.testing.assert_close(cured[:, frames], once, rtol=0, atol=FLOAT64_NETWORK)
    assert (head(copied)[-1][:, :3] - once).abs().max() > 1e-3
    with pytest.raises(ValueError, match="reference_bias must be finite, got nan; 0 leaves"):
        head(tokens, reference_bias=math.nan)


def test_no_gradient_runs_into_the_step_before(head, tokens):
    first, second = head(tokens, iterations=2)
    start = head.empty_pose_tokens
    assert torch.autograd.grad(first.sum(), start, retain_graph=True)[0].abs().max() > 0
    assert torch.autograd.grad(second.sum(), start, allow_unused=True) == (None,)


def test_gradients_reach_every_parameter(head, tokens):
    first, second = head(tokens, iterations=2)
    (first.square().sum() + second.square().sum()).backward()
    assert all(weight.grad.abs().max() > 0 for weight in head.parameters())


def test_gradient_matches_a_finite_difference(head, tokens, generator):
    direction = torch.randn(tokens.shape, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(
        lambda step: head(tokens + step * direction, iterations=1)[0][..., :7],
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )


def test_short_tokens_and_autocast_leave_the_head_in_float32(generator):
    head = CameraHead(CameraHeadConfig(**SMALL), generator=generator)
    tokens = torch.randn(1, 2, SMALL["width"], generator=generator).bfloat16()
    expected = head(tokens.float())[-1]
    with torch.autocast("cpu", torch.bfloat16):
        encoding = head(tokens)[-1]
    assert encoding.dtype == torch.float32
    assert torch.equal(encoding, expected)


def test_first_weights_come_from_the_generator():
    first, second = (
        CameraHead(CameraHeadConfig(**SMALL), generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert torch.equal(first.empty_pose_tokens, torch.zeros(1, 1, 9))
    assert torch.equal(first.trunk[0].ls1.gamma, torch.full((8,), 0.01))


def test_state_names_and_shapes_are_those_of_vggt(head):
    shapes = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    assert {name: shape for name, shape in shapes.items() if "trunk." not in name} == {
        "empty_pose_tokens": (1, 1, 9),
        "embed_pose.weight": (8, 9),
        "embed_pose.bias": (8,),
        "poseLN_modulation.1.weight": (24, 8),
        "poseLN_modulation.1.bias": (24,),
        "token_norm.weight": (8,),
        "token_norm.bias": (8,),
        "trunk_norm.weight": (8,),
        "trunk_norm.bias": (8,),
        "pose_branch.fc1.weight": (4, 8),
        "pose_branch.fc1.bias": (4,),
        "pose_branch.fc2.weight": (9, 4),
        "pose_branch.fc2.bias": (9,),
    }
    assert "trunk.1.attn.qkv.weight" in shapes
    assert not [name for name in shapes if "q_norm" in name]


def test_parameter_count_of_vggt():
    with torch.device("meta"):
        head = CameraHead(CameraHeadConfig(), generator=torch.Generator())
    assert sum(weight.numel() for weight in head.parameters()) == 216_174_610


@pytest.mark.parametrize("shape", [(3, 8), (1, 3, 4), (1, 0, 8), (1, 2, 3, 8)])
def test_tokens_of_a_wrong_shape_are_refused(head, shape):
    message = r"axes \[scene, frame, 8\], got shape \(.*\); pass token 0 of each frame"
    with pytest.raises(ValueError, match=message):
        head(torch.zeros(shape, dtype=torch.float64))


def test_no_step_is_refused(head, tokens):
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0; VGGT uses 4"):
        head(tokens, iterations=0)


def test_short_weights_are_refused(head, tokens):
    message = "the camera head computes in float32 or wider, its weights are torch.bfloat16; call"
    with pytest.raises(ValueError, match=message):
        head.bfloat16()(tokens)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 1}, "width must be an integer of at least 2, got 1; VGGT uses 2048"),
        ({"depth": 0}, "depth must be an integer of at least 1, got 0; VGGT uses 4"),
        ({"heads": 3}, "positive multiple of the heads, got width 8 and 3 heads"),
        ({"mlp_ratio": 0.0}, "at least 1 hidden channel"),
        ({"layer_scale": float("inf")}, "layer_scale must be finite, got inf"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        CameraHeadConfig(**SMALL | sizes)

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attention_collapse.vggt.patch_encoder import (
    PatchEncoder,
    PatchEncoderConfig,
    resampling_weights,
)
from tolerances import FLOAT64, FLOAT64_NETWORK

# A position table of 4 x 4 patches of side 2.
SMALL = {
    "width": 8,
    "depth": 1,
    "heads": 2,
    "mlp_ratio": 2.0,
    "registers": 3,
    "image_size": 8,
    "patch_size": 2,
}
SIDE = 4
OTHER_GRIDS = [(2, 8), (3, 5), (6, 7), (1, 1)]


@pytest.fixture
def encoder(generator, stirred):
    return stirred(PatchEncoder(PatchEncoderConfig(**SMALL), generator=generator))


@pytest.fixture
def images(generator):
    def draw(rows: int, columns: int) -> torch.Tensor:
        shape = (2, 3, 2 * rows, 2 * columns)
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    return draw


def cubic(distance: torch.Tensor) -> torch.Tensor:
    """Keys' kernel with a = -1/2, from its two polynomial pieces."""
    d = distance.abs()
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


@pytest.mark.parametrize(("source", "target"), [(5, 3), (5, 8), (7, 2), (37, 28)])
def test_resampling_weights_are_the_stretched_cubic_kernel(source, target):
    inputs = torch.arange(source, dtype=torch.float64)
    places = (torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5
    weights = cubic((inputs - places[:, None]) / max(1.0, source / target))
    expected = weights / weights.sum(dim=1, keepdim=True)
    torch.testing.assert_close(resampling_weights(source, target), expected, rtol=0, atol=FLOAT64)


def test_resampling_to_the_same_count_changes_nothing():
    assert torch.equal(resampling_weights(5, 5), torch.eye(5, dtype=torch.float64))


def test_weights_kept_from_inference_mode_serve_a_gradient():
    # Counts that no other test uses: the weights are made here.
    with torch.inference_mode():
        resampling_weights(3, 11)
    positions = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (resampling_weights(3, 11) * positions).sum().backward()
    assert positions.grad.sum().item() == pytest.approx(11, abs=FLOAT64)


@pytest.mark.parametrize(("rows", "columns"), OTHER_GRIDS)
def test_other_grids_interpolate_the_patch_positions(encoder, rows, columns):
    table = encoder.position_table(rows, columns)
    assert torch.equal(table[:, :1], encoder.pos_embed[:, :1])
    learned = encoder.pos_embed[:, 1:].reshape(1, SIDE, SIDE, 8).permute(0, 3, 1, 2)
    resized = F.interpolate(learned, (rows, columns), mode="bicubic", antialias=True)
    expected = resized.flatten(2).transpose(1, 2)
    torch.testing.assert_close(table[:, 1:], expected, rtol=0, atol=FLOAT64_NETWORK)


def test_the_native_grid_reads_the_table_itself(encoder):
    assert encoder.position_table(SIDE, SIDE) is encoder.pos_embed


def test_the_position_table_follows_its_weights(encoder):
    with torch.inference_mode():
        before = encoder.position_table(3, 5)
    encoder.pos_embed.data.mul_(2)
    after = encoder.position_table(3, 5)
    assert torch.equal(after, 2 * before)
    after.sum().backward()
    # Weights of a row sum to one: each of the 15 places hands out a gradient of one.
    total = encoder.pos_embed.grad[0, 1:].sum(dim=0)
    torch.testing.assert_close(total, torch.full_like(total, 15), rtol=0, atol=FLOAT64_NETWORK)


def test_the_position_table_does_not_follow_autocast(generator):
    encoder = PatchEncoder(PatchEncoderConfig(**SMALL), generator=generator)
    expected = encoder.position_table(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.position_table(3, 5), expected)


@pytest.mark.parametrize(("rows", "columns"), [(SIDE, SIDE), (2, 3)])
def test_the_sequence_is_class_token_registers_patches(encoder, images, rows, columns):
    encoder.blocks = nn.Sequential()
    drawn = images(rows, columns)
    stream = encoder.residual_stream(drawn)
    position = encoder.position_table(rows, columns)
    assert stream.shape == (2, 1 + 3 + rows * columns, 8)
    for image, tokens in zip(drawn, stream, strict=True):
        assert torch.equal(tokens[:1], (encoder.cls_token + position[:, :1])[0])
        assert torch.equal(tokens[1:4], encoder.register_tokens[0])
        patches = encoder.patch_embed(image[None])[0]
        expected = patches + position[0, 1:]
        torch.testing.assert_close(tokens[4:], expected, rtol=0, atol=FLOAT64_NETWORK)


def test_the_result_is_the_normalised_patches(encoder, images):
    drawn = images(2, 3)
    stream = encoder.residual_stream(drawn)[:, 4:]
    centred = stream - stream.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    expected = centred / (variance + 1e-6).sqrt() * encoder.norm.weight + encoder.norm.bias
    torch.testing.assert_close(encoder(drawn), expected, rtol=0, atol=FLOAT64_NETWORK)


def test_every_norm_adds_1e_minus_6_to_the_variance(encoder):
    norms = [module for module in encoder.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 * SMALL["depth"] + 1
    alternating = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(SMALL["width"] // 2)
    for norm in norms:
        # A variance of 3e-6 plus the epsilon gives 4e-6: the norm divides by its root.
        normed = (norm(alternating * 3e-6**0.5) - norm.bias) / norm.weight
        expected = alternating * 0.75**0.5
        torch.testing.assert_close(normed, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_images_do_not_see_each_other(encoder, images):
    drawn = images(2, 3)
    alone = torch.cat([encoder(image[None]) for image in drawn])
    torch.testing.assert_close(encoder(drawn), alone, rtol=0, atol=FLOAT64_NETWORK)


def test_gradients_reach_every_parameter_but_the_mask_token(encoder, images):
    encoder(images(2, 3)).square().sum().backward()
    without = [name for name, weight in encoder.named_parameters() if weight.grad is None]
    assert without == ["mask_token"]
    trained = [weight for weight in encoder.parameters() if weight.requires_grad]
    assert all(weight.grad.abs().max() > 0 for weight in trained)


def test_short_patch_weights_leave_the_residual_stream_in_float32(generator):
    encoder = PatchEncoder(PatchEncoderConfig(**SMALL), generator=generator)
    encoder.blocks = nn.Sequential()
    drawn = torch.randn(1, 3, 4, 6, generator=generator)
    encoder.patch_embed.bfloat16()
    stream = encoder.residual_stream(drawn)
    expected = encoder.patch_embed(drawn.bfloat16()).float() + encoder.position_table(2, 3)[:, 1:]
    assert stream.dtype == torch.float32
    assert torch.equal(stream[:, 4:], expected)


def test_the_same_seed_gives_the_same_weights():
    first, second = (
        PatchEncoder(PatchEncoderConfig(**SMALL), generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert first.register_tokens.std() < 1e-5 < first.pos_embed.std()


def test_state_names_and_shapes_are_those_of_vggt(generator):
    encoder = PatchEncoder(PatchEncoderConfig(**SMALL), generator=generator)
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    own = {name: shape for name, shape in shapes.items() if not name.startswith("blocks.")}
    assert own == {
        "cls_token": (1, 1, 8),
        "pos_embed": (1, 17, 8),
        "register_tokens": (1, 3, 8),
        "mask_token": (1, 8),
        "patch_embed.proj.weight": (8, 3, 2, 2),
        "patch_embed.proj.bias": (8,),
        "norm.weight": (8,),
        "norm.bias": (8,),
    }
    assert "blocks.0.ls1.gamma" in shapes
    assert not [name for name in shapes if "q_norm" in name]


def test_parameter_count_of_vggt():
    with torch.device("meta"):
        encoder = PatchEncoder(PatchEncoderConfig(), generator=torch.Generator())
    # 24 (12 C^2 + 15 C) in blocks, (3 * 14^2 + 1) C in patches, 37^2 + 9 tokens and norms of C.
    assert sum(weight.numel() for weight in encoder.parameters()) == 304_372_736


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"depth": 0}, "depth must be an integer of at least 1, got 0; VGGT uses 24"),
        ({"registers": -1}, "registers must be an integer of at least 0, got -1; VGGT uses 4"),
        ({"image_size": 9}, "multiple of patch_size, got image_size 9 and patch_size 2; VGGT"),
        ({"heads": 3}, "positive multiple of the heads, got width 8 and 3 heads"),
        ({"mlp_ratio": 0.0}, "at least 1 hidden channel"),
        ({"layer_scale": float("nan")}, "layer_scale must be finite, got nan"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        PatchEncoderConfig(**SMALL | sizes)


def test_sides_that_would_lose_pixels_are_refused(encoder):
    message = "multiples of the patch size 2, got height 5 and width 6; resize or"
    with pytest.raises(ValueError, match=message):
        encoder(torch.zeros(1, 3, 5, 6, dtype=torch.float64))

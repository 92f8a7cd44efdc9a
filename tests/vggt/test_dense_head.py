import pytest
import torch
from torch import nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.dense_head import DenseHead, DenseHeadConfig
from tolerances import FLOAT64_NETWORK

SMALL = {
    "width": 6,
    "features": 8,
    "projections": (4, 8, 8, 12),
    "channels": 3,
    "activation": "linear",
    "confidence": "sigmoid",
    "patch_size": 4,
}
LAYOUT = TokenLayout(frames=3, rows=2, columns=3, special=2)


@pytest.fixture
def build(generator, stirred):
    def head(**sizes) -> DenseHead:
        return stirred(DenseHead(DenseHeadConfig(**SMALL | sizes), generator=generator))

    return head


@pytest.fixture
def layers(generator):
    shape = (2, LAYOUT.frames, LAYOUT.per_frame, SMALL["width"])
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(4)]


def assert_near(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_the_readout_is_activated_channels_last(build, layers):
    head = build(activation="inverse_log", confidence="one_plus_exp")
    first, _, last = head.scratch.output_conv2
    last.weight.data.mul_(0.01)
    output = head(layers, LAYOUT)
    assert output.values.shape == (2, 3, 8, 12, 3)
    assert output.confidence.shape == (2, 3, 8, 12)
    raw = last(first(head.features(layers, LAYOUT).flatten(0, 1)).relu()).unflatten(0, (2, 3))
    assert_near(output.values.movedim(-1, 2), raw[:, :, :3].sign() * raw[:, :, :3].abs().expm1())
    assert_near(output.confidence, 1 + raw[:, :, 3].exp())


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_the_result_does_not_depend_on_the_chunk(build, layers, chunk):
    head = build()
    expected, found = head(layers, LAYOUT), head(layers, LAYOUT, chunk=chunk)
    assert_near(found.values, expected.values)
    assert_near(found.confidence, expected.confidence)


def test_two_streams_are_read_side_by_side(build, layers):
    head = build()
    pairs = [(layer[..., :2].clone(), layer[..., 2:].clone()) for layer in layers]
    found = head(pairs, LAYOUT, chunk=4)
    assert torch.equal(found.values, head(layers, LAYOUT, chunk=4).values)


def test_special_tokens_are_not_read(build, layers):
    head = build()
    changed = [layer.clone() for layer in layers]
    for layer in changed:
        layer[:, :, : LAYOUT.special] += 100
    assert torch.equal(head(changed, LAYOUT).values, head(layers, LAYOUT).values)


def test_frames_do_not_see_each_other(build, layers):
    head = build()
    order = torch.tensor([2, 0, 1])
    permuted = head([layer[:, order] for layer in layers], LAYOUT)
    assert_near(permuted.values, head(layers, LAYOUT).values[:, order])


def test_the_four_levels_are_4_2_1_and_half_the_patch_grid(build, layers):
    head = build()
    seen = []
    head.scratch.register_forward_pre_hook(lambda _, args: seen.extend(args[0]))
    head(layers, LAYOUT)
    assert [tuple(level.shape[1:]) for level in seen] == [
        (4, 8, 12),
        (8, 4, 6),
        (8, 2, 3),
        (12, 1, 2),
    ]


def test_a_patch_becomes_a_cell_of_its_own(build, layers):
    # Row 1, column 0 of frame 0 in the third layer, whose level has the size of the patch grid.
    head = build(position_map=False)
    seen = []
    head.scratch.register_forward_pre_hook(lambda _, args: seen.append(args[0][2]))
    head(layers, LAYOUT)
    moved = [layer.clone() for layer in layers]
    moved[2][0, 0, LAYOUT.index(0, 1, 0), 0] += 1
    head(moved, LAYOUT)
    before, after = seen
    changed = (after - before).abs().amax(dim=1).nonzero().tolist()
    assert changed == [[0, 1, 0]]


@pytest.mark.parametrize("features_only", [True, False])
def test_the_place_of_a_cell_is_added_before_resizing_and_at_the_end(
    build, layers, monkeypatch, features_only
):
    sizes = []

    def record(channels, rows, columns, *, aspect, **options):
        sizes.append((channels, rows, columns, aspect))
        return torch.full((channels, rows, columns), 10.0, dtype=options["dtype"])

    monkeypatch.setattr("attention_collapse.vggt.dense_head.position_map", record)
    head = build(channels=None if features_only else 3)
    placed = head.features(layers, LAYOUT)
    grid = [(channels, 2, 3, 1.5) for channels in SMALL["projections"]]
    assert sizes == [*grid, (8 if features_only else 4, 8, 12, 1.5)]
    # The scale 0.1 times 10: the same as biases of the projections and of the last convolution.
    plain = build(channels=None if features_only else 3, position_map=False)
    plain.load_state_dict(head.state_dict())
    for project in plain.projects:
        project.bias.data += 1
    plain.scratch.output_conv1.bias.data += 1
    assert_near(plain.features(layers, LAYOUT), placed)


def test_features_come_at_a_fraction_of_the_image(build, layers):
    head = build(channels=None, down_ratio=2)
    assert head.features(layers, LAYOUT).shape == (2, 3, 8, 4, 6)
    with pytest.raises(ValueError, match="without channels has no readout; call features, or"):
        head(layers, LAYOUT)


def test_gradients_reach_every_parameter_and_layer(build, layers):
    head = build()
    for layer in layers:
        layer.requires_grad_()
    output = head(layers, LAYOUT, chunk=4)
    (output.values.square().sum() + output.confidence.square().sum()).backward()
    assert all(weight.grad.abs().max() > 0 for weight in head.parameters())
    for layer in layers:
        assert layer.grad[:, :, LAYOUT.special :].abs().amax(dim=-1).min() > 0


def test_the_norm_adds_1e_minus_5_to_the_variance(build):
    head = build()
    (norm,) = [module for module in head.modules() if isinstance(module, nn.LayerNorm)]
    alternating = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(SMALL["width"] // 2)
    normed = (norm(alternating * 3e-5**0.5) - norm.bias) / norm.weight
    assert_near(normed, alternating * 0.75**0.5)


def test_short_tokens_and_autocast_leave_the_head_in_float32(generator, layers):
    head = DenseHead(DenseHeadConfig(**SMALL), generator=generator)
    short = [layer.bfloat16() for layer in layers]
    expected = head([layer.float() for layer in short], LAYOUT)
    with torch.autocast("cpu", torch.bfloat16):
        output = head(short, LAYOUT)
    assert output.values.dtype == output.confidence.dtype == torch.float32
    assert torch.equal(output.values, expected.values)


@pytest.mark.parametrize(("channels", "count"), [(1, 32_654_562), (3, 32_654_628)])
def test_vggt_sizes(channels, count):
    layout = TokenLayout.from_image(1, 28, 42)
    with torch.device("meta"):
        head = DenseHead(DenseHeadConfig(channels=channels), generator=torch.Generator())
        layers = [torch.empty(1, 1, layout.per_frame, 2048)] * 4
    assert sum(weight.numel() for weight in head.parameters()) == count
    assert head(layers, layout).values.shape == (1, 1, 28, 42, channels)


def test_state_names_are_those_of_vggt(build):
    names = {name.removesuffix(".weight").removesuffix(".bias") for name in build().state_dict()}
    units = [
        f"refinenet{step}.resConfUnit{unit}.conv{layer}"
        for step, unit in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 2))
        for layer in (1, 2)
    ]
    fusion = [f"refinenet{step}.out_conv" for step in range(1, 5)]
    reduction = [f"layer{step}_rn" for step in range(1, 5)]
    tail = ["output_conv1", "output_conv2.0", "output_conv2.2"]
    scratch = {f"scratch.{name}" for name in (*units, *fusion, *reduction, *tail)}
    projects = {f"projects.{level}" for level in range(4)}
    assert names == {"norm", *projects, *(f"resize_layers.{n}" for n in (0, 1, 3)), *scratch}
    assert "scratch.layer1_rn.bias" not in build().state_dict()


def test_layers_that_do_not_fit_are_refused(build, layers):
    head = build()
    message = r"reads 4 layers .* 3 frames of 8 tokens, got the shapes \[.*\]; pass the layers and"
    frames = [layer[:, :2] for layer in layers]
    scenes = [layers[0][:1], *layers[1:]]
    for wrong in (layers[:3], [], frames, scenes, [layer[0] for layer in layers]):
        with pytest.raises(ValueError, match=message):
            head(wrong, LAYOUT)
    with pytest.raises(ValueError, match=r"must have 6 channels, got \[5, 6\]; the width of the"):
        head([layers[0][..., :5], *layers[1:]], LAYOUT)


def test_an_empty_chunk_and_short_weights_are_refused(build, layers):
    with pytest.raises(ValueError, match="chunk must be at least 1 image, got 0; VGGT uses 8"):
        build()(layers, LAYOUT, chunk=0)
    with pytest.raises(ValueError, match="the dense head computes in float32 or wider, its weig"):
        build().bfloat16()(layers, LAYOUT)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 0}, "width must be an integer of at least 1, got 0; VGGT uses 2048"),
        ({"channels": 0}, "channels must be an integer of at least 1, got 0; VGGT uses 1"),
        ({"projections": (4, 8, 8)}, r"projections must be 4 positive counts .* got \(4, 8, 8\)"),
        ({"projections": (4, 8, 8, 6)}, "positive multiple of 4 channels .*, got 6"),
        ({"features": 12}, "positive multiple of 4 channels .*, got 6"),
        ({"down_ratio": 0}, "down_ratio must be an integer of at least 1, got 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        DenseHeadConfig(**SMALL | sizes)


@pytest.mark.parametrize(
    ("field", "name", "known"),
    [("activation", "tanh", "exp, inverse_log, xy"), ("confidence", "relu", "one_plus_exp, exp, ")],
)
def test_an_unknown_activation_is_refused(field, name, known):
    config = DenseHeadConfig(**SMALL)
    # Set afterwards: the type check of the tests stops a wrong name before our own check.
    object.__setattr__(config, field, name)
    with pytest.raises(ValueError, match=f"no activation is called '{name}'; use one of {known}"):
        config.__post_init__()

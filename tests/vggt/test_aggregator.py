import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig, rotary_table
from attention_collapse.vggt import aggregator as aggregator_module
from tolerances import FLOAT64_NETWORK, SAMPLED_STANDARD_DEVIATION


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_output_holds_one_stream_per_layer_and_says_where_each_token_sits(small_aggregator, images):
    output = small_aggregator(depth=3)(images(2, 4))
    assert output.layout == TokenLayout(frames=4, rows=2, columns=3)
    assert list(output.layers) == [0, 1, 2]
    assert {tuple(stream.shape) for stream in output.layers.values()} == {(2, 4, 11, 32)}


def test_registers_decide_the_number_of_special_tokens(small_aggregator, images):
    output = small_aggregator(registers=0)(images(1, 2))
    assert output.layout.special == 1
    assert output.layers[0].shape == (1, 2, 7, 32)


def test_forward_equals_the_blocks_run_by_hand(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(1, 3)
    output, seen = observed(aggregator, scene)
    stream = first_tokens(aggregator, seen["patch_embedding.output"])
    table = rotary_table(
        torch.from_numpy(output.layout.positions()), dim=8, base=100.0, dtype=torch.float64
    )
    for layer in range(2):
        frame = aggregator.frame_blocks[layer](stream, rotary=table)
        whole = aggregator.global_blocks[layer](frame.reshape(1, 33, 16), rotary=table)
        stream = whole.reshape(3, 11, 16)
        close(output.layers[layer][0], torch.cat((frame, stream), dim=-1))


def first_tokens(aggregator, patches):
    """Camera, registers, patches of each frame; the first frame has special tokens of its own."""
    sets = [0] + [1] * (len(patches) - 1)
    camera, register = aggregator.camera_token[0, sets], aggregator.register_token[0, sets]
    return torch.cat((camera, register, patches), dim=1)


def test_one_rotary_table_serves_all_images_of_a_size(small_aggregator, images, monkeypatch):
    tables = []

    def build(*arguments, **options):
        tables.append(rotary_table(*arguments, **options))
        return tables[-1]

    monkeypatch.setattr(aggregator_module, "rotary_table", build)
    aggregator = small_aggregator(depth=3)
    with torch.inference_mode():
        aggregator(images(2, 3))
    assert [table.cos.shape for table in tables] == [(11, 8)]
    aggregator(images(1, 2)).layers[2].sum().backward()
    assert len(tables) == 1
    aggregator.float()(images(1, 2).float())
    assert [table.cos.dtype for table in tables] == [torch.float64, torch.float32]


def test_pixels_are_normalised_channel_by_channel(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(1, 2)
    _, seen = observed(aggregator, scene)
    mean = torch.tensor([0.485, 0.456, 0.406]).double()[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225]).double()[:, None, None]
    close(seen["patch_embedding.output"], aggregator.patch_embed((scene[0] - mean) / std))


def trace(observed, aggregator, images):
    return [
        name.removesuffix(".output")
        for name in observed(aggregator, images)[1]
        if name.count(".") == 2
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({}, "frame.00 global.00 frame.01 global.01 frame.02 global.02 frame.03 global.03"),
        (
            {"group_size": 2},
            "frame.00 frame.01 global.00 global.01 frame.02 frame.03 global.02 global.03",
        ),
        (
            {"order": ("global", "frame"), "group_size": 4},
            "global.00 global.01 global.02 global.03 frame.00 frame.01 frame.02 frame.03",
        ),
    ],
)
def test_blocks_run_in_the_configured_order(small_aggregator, images, observed, sizes, expected):
    assert trace(observed, small_aggregator(depth=4, **sizes), images(1, 2)) == expected.split()


@pytest.mark.parametrize("order", [("frame", "global"), ("global", "frame")])
@pytest.mark.parametrize("group_size", [1, 2])
def test_the_frame_half_comes_first_whatever_the_order(
    small_aggregator, images, order, group_size, observed
):
    aggregator = small_aggregator(order=order, group_size=group_size)
    output, seen = observed(aggregator, images(2, 3))
    for layer, stream in output.layers.items():
        frame = seen[f"frame.{layer:02d}.output"].reshape(2, 3, 11, 16)
        whole = seen[f"global.{layer:02d}.output"].reshape(2, 3, 11, 16)
        assert torch.equal(stream, torch.cat((frame, whole), dim=-1))


def test_every_block_reports_every_point_with_its_shape(small_aggregator, images, observed):
    _, seen = observed(small_aggregator(), images(2, 3))
    shapes = {"patch_embedding.output": (6, 6, 16)}
    for layer in range(2):
        for kind, batch, tokens in (("frame", 6, 11), ("global", 2, 33)):
            for point in ("query", "key", "value"):
                shapes[f"{kind}.{layer:02d}.attention.{point}"] = (batch, 2, tokens, 8)
            shapes[f"{kind}.{layer:02d}.attention.output"] = (batch, tokens, 16)
            shapes[f"{kind}.{layer:02d}.output"] = (batch, tokens, 16)
    assert {name: tuple(tensor.shape) for name, tensor in seen.items()} == shapes


def test_observation_streams_while_the_forward_runs(small_aggregator, images):
    # Stopping at the first global block proves that nothing is held back until the end.
    class StopError(Exception):
        pass

    def stop(name, tensor):
        if name == "global.00.attention.query":
            raise StopError

    with pytest.raises(StopError):
        small_aggregator()(images(1, 2), observe=stop)


def test_looking_does_not_change_the_result(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(1, 3)
    looked, _ = observed(aggregator, scene)
    assert torch.equal(looked.layers[1], aggregator(scene).layers[1])


@pytest.mark.parametrize("keep", [(1,), (2, 0), [0], (), (1, 1)])
def test_keep_chooses_the_layers_that_come_back(small_aggregator, images, keep):
    aggregator, scene = small_aggregator(depth=3), images(1, 2)
    everything, chosen = aggregator(scene).layers, aggregator(scene, keep=keep).layers
    assert list(chosen) == sorted(set(keep))
    for layer, stream in chosen.items():
        assert torch.equal(stream, everything[layer])


def test_a_layer_that_is_not_kept_is_freed_while_the_forward_runs(small_aggregator, images):
    storages, alive = {}, []

    def watch(name, tensor):
        if name.count(".") == 2:
            storages[name] = StorageWeakRef(tensor.untyped_storage())
        if name == "global.03.output":
            alive.extend(name for name, storage in storages.items() if not storage.expired())

    with torch.inference_mode():
        small_aggregator(depth=4, group_size=4)(images(1, 2), observe=watch, keep=(1,))
    assert alive == ["frame.01.output", "global.01.output", "global.02.output", "global.03.output"]


def test_state_names_and_shapes_are_those_of_vggt(generator):
    state = Aggregator(AggregatorConfig(depth=1), generator=generator).state_dict()
    block = {
        "norm1.weight": (1024,),
        "norm1.bias": (1024,),
        "attn.qkv.weight": (3072, 1024),
        "attn.qkv.bias": (3072,),
        "attn.q_norm.weight": (64,),
        "attn.q_norm.bias": (64,),
        "attn.k_norm.weight": (64,),
        "attn.k_norm.bias": (64,),
        "attn.proj.weight": (1024, 1024),
        "attn.proj.bias": (1024,),
        "ls1.gamma": (1024,),
        "norm2.weight": (1024,),
        "norm2.bias": (1024,),
        "mlp.fc1.weight": (4096, 1024),
        "mlp.fc1.bias": (4096,),
        "mlp.fc2.weight": (1024, 4096),
        "mlp.fc2.bias": (1024,),
        "ls2.gamma": (1024,),
    }
    expected = {
        "camera_token": (1, 2, 1, 1024),
        "register_token": (1, 2, 4, 1024),
        "patch_embed.proj.weight": (1024, 3, 14, 14),
        "patch_embed.proj.bias": (1024,),
    }
    for kind in ("frame", "global"):
        expected |= {f"{kind}_blocks.0.{name}": shape for name, shape in block.items()}
    assert {name: tuple(value.shape) for name, value in state.items()} == expected


def test_all_24_layers_have_a_frame_and_a_global_block(generator):
    config = AggregatorConfig(width=4, heads=1, patch_size=1)
    names = Aggregator(config, generator=generator).state_dict()
    last = ".ls2.gamma"
    blocks = [name.removesuffix(last) for name in names if name.endswith(last)]
    assert blocks == [f"{kind}_blocks.{i}" for kind in ("frame", "global") for i in range(24)]


def test_first_weights(generator):
    aggregator = Aggregator(AggregatorConfig(width=512, depth=1, heads=8), generator=generator)
    assert all(parameter.dtype == torch.float32 for parameter in aggregator.parameters())
    assert torch.equal(aggregator.frame_blocks[0].ls1.gamma, torch.full((512,), 0.01))
    for token in (aggregator.camera_token, aggregator.register_token):
        assert token.std().item() == pytest.approx(1e-6, rel=3 * SAMPLED_STANDARD_DEVIATION)
        assert not torch.equal(token[:, 0], token[:, 1])
    larger = AggregatorConfig(width=512, depth=1, heads=8, special_token_std=0.5)
    token = Aggregator(larger, generator=generator).register_token
    assert token.std().item() == pytest.approx(0.5, rel=3 * SAMPLED_STANDARD_DEVIATION)


def test_a_seed_fixes_the_weights_and_the_global_random_state_stays():
    config = AggregatorConfig(width=8, depth=2, heads=2, patch_size=2)
    state = torch.get_rng_state()
    first, again, other = (
        Aggregator(config, generator=torch.Generator().manual_seed(seed)).state_dict()
        for seed in (5, 5, 6)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if name.endswith("_token") or first[name].ndim > 1]
    assert len(drawn) == 19
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert not torch.equal(
        first["frame_blocks.0.attn.qkv.weight"], first["frame_blocks.1.attn.qkv.weight"]
    )


def test_gradients_reach_the_pixels_and_every_parameter(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(1, 2).requires_grad_()
    aggregator(scene).layers[1].square().sum().backward()
    assert scene.grad.abs().min() > 0
    assert all(parameter.grad.abs().max() > 0 for parameter in aggregator.parameters())


def test_the_forward_runs_in_inference_mode_and_leaves_no_trace(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(1, 2)
    before = {name: value.clone() for name, value in aggregator.state_dict().items()}
    pixels = scene.clone()
    with torch.inference_mode():
        first = aggregator(scene).layers[1]
    assert torch.equal(first, aggregator(scene).layers[1])
    assert torch.equal(scene, pixels)
    assert all(torch.equal(value, before[name]) for name, value in aggregator.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pixels_take_the_type_of_the_weights(small_aggregator, images, dtype):
    aggregator = small_aggregator().to(dtype)
    assert aggregator(images(1, 2)).layers[1].dtype == dtype


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.rand(2, 3, 4, 6), r"axes \[scene, frame, 3, .* got shape \(2, 3, 4, 6\); a single"),
        (torch.rand(1, 2, 4, 4, 6), r"axes \[scene, frame, 3, .* got shape \(1, 2, 4, 4, 6\)"),
        (torch.rand(1, 0, 3, 4, 6), r"at least one scene and one frame, got shape \(1, 0, 3"),
        (torch.rand(0, 1, 3, 4, 6), r"at least one scene and one frame, got shape \(0, 1, 3"),
        (torch.rand(1, 1, 3, 5, 6), "multiples of the patch size 2, got height 5 and width 6; res"),
        (torch.rand(1, 1, 3, 4, 0), "multiples of the patch size 2, got height 4 and width 0; res"),
        (torch.zeros(1, 1, 3, 4, 6, dtype=torch.uint8), r"floating-point .* got torch.uint8; div"),
        (torch.full((1, 1, 3, 4, 6), torch.nan), "every pixel must be finite, got 72 .*; replace"),
        (torch.full((1, 1, 3, 4, 6), 255.0), r"lie in \[0, 1\], got 255 to 255; divide 8-bit"),
        (torch.full((1, 1, 3, 4, 6), -0.5), r"lie in \[0, 1\], got -0.5 to -0.5; divide"),
        (torch.rand(1, 1, 3, 4, 6) / torch.tensor([1, 0]).repeat(3), "finite, got 36 that are NaN"),
    ],
)
def test_images_the_network_cannot_read_are_refused(small_aggregator, pixels, message):
    with pytest.raises(ValueError, match=message):
        small_aggregator()(pixels)


@pytest.mark.parametrize("keep", [(2,), (-1, 0), [0, 7]])
def test_layers_that_do_not_exist_cannot_be_kept(small_aggregator, images, keep):
    with pytest.raises(ValueError, match=r"layers from 0 to 1, got \[.*\]; the last layer is 1"):
        small_aggregator()(images(1, 1), keep=keep)

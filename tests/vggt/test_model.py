import logging
from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from attention_collapse.vggt import model
from attention_collapse.vggt.camera_head import CameraHeadConfig
from attention_collapse.vggt.checkpoint_file import CheckpointError
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.dense_head import DenseHeadConfig
from attention_collapse.vggt.model import VGGT
from attention_collapse.vggt.model_config import MINI, VGGTConfig
from attention_collapse.vggt.observation import Watch
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig
from attention_collapse.vggt.pose import decode_pose
from attention_collapse.vggt.reduction import identity
from tolerances import FLOAT64_NETWORK

SMALL_ENCODER = PatchEncoderConfig(
    width=8, depth=1, heads=2, mlp_ratio=2.0, registers=1, image_size=4, patch_size=2
)
SMALL_HEAD = DenseHeadConfig(width=16, features=8, projections=(4, 4, 8, 8), patch_size=2)
SMALL = VGGTConfig(
    aggregator=AggregatorConfig(
        width=8, depth=3, heads=2, mlp_ratio=2.0, patch_size=2, patch_encoder=SMALL_ENCODER
    ),
    camera=CameraHeadConfig(width=16, depth=1, heads=2, mlp_ratio=2.0),
    depth=SMALL_HEAD,
    points=replace(SMALL_HEAD, channels=3, activation="inverse_log"),
    kept_layers=(0, 0, 1, 2),
)


@pytest.fixture
def network(generator):
    """Every weight is off its first value, by less than would send exponentials out of range."""
    made = VGGT(SMALL, generator=generator).double()
    for weight in made.parameters():
        noise = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
        weight.data.add_(noise, alpha=0.1)
    return made


@pytest.fixture
def float32_network(network):
    return network.float()


def tensors(result) -> dict[str, Tensor]:
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def assert_same(result, expected):
    found, wanted = tensors(result), tensors(expected)
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=FLOAT64_NETWORK)


def released(network: nn.Module, path):
    """The network's weights as a released checkpoint holds them, with a head for tracks."""
    tracks = {
        "track_head.tracker.flow_head.weight": torch.ones(2),
        "track_head.bias": torch.ones(1),
    }
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state | tracks, path)
    return path


def test_each_head_reads_its_layers(network, images):
    scenes = images(2, 3)
    result = network(scenes)
    streams = network.aggregator(scenes)
    layers = [streams.layers[layer] for layer in (0, 0, 1, 2)]
    pose_encoding = network.camera_head(layers[-1][:, :, 0])[-1]
    depth = network.depth_head(layers, streams.layout)
    points = network.point_head(layers, streams.layout)
    expected = {
        "pose_encoding": pose_encoding,
        "depth": depth.values[..., 0],
        "depth_confidence": depth.confidence,
        "points": points.values,
        "points_confidence": points.confidence,
    }
    expected |= zip(
        ("world_to_camera", "intrinsics"), decode_pose(pose_encoding, (4, 6)), strict=True
    )
    assert tensors(result).keys() == expected.keys()
    for name, value in tensors(result).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=FLOAT64_NETWORK)
    assert result.layout == streams.layout


def test_the_order_of_later_frames_does_not_matter(network, images):
    scenes, order = images(1, 4), [0, 3, 1, 2]
    result, moved = tensors(network(scenes)), tensors(network(scenes[:, order]))
    for name in result:
        torch.testing.assert_close(
            moved[name], result[name][:, order], rtol=0, atol=FLOAT64_NETWORK
        )


@pytest.mark.parametrize("frame_chunk", [1, 2])
def test_chunks_do_not_matter(network, images, frame_chunk):
    scenes = images(2, 3)
    assert_same(network(scenes, frame_chunk=frame_chunk), network(scenes))


def test_every_weight_takes_part(network, images):
    result = tensors(network(images(1, 2)))
    sum(value.square().mean() for value in result.values()).backward()
    silent = {
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.any()
    }
    # The first is read by no forward; no gradient runs from the last step back to the second.
    assert silent == {"aggregator.patch_embed.mask_token", "camera_head.empty_pose_tokens"}


def test_what_is_inside_can_be_watched_and_reduced(network, images):
    scenes, seen, reduced = images(1, 2), {}, []

    def reducer(heads, tokens, *, layer, layout):
        reduced.append((layer, layout.frames))
        return identity(heads)

    watch = Watch(frozenset({"global.01.output"}), seen.__setitem__)
    result = network(scenes, observe=watch, reducer=reducer)
    assert seen.keys() == {"global.01.output"}
    assert reduced == [(0, 2), (1, 2), (2, 2)]
    assert_same(result, network(scenes))


def test_reconstruct_records_no_gradients(network, images):
    scenes = images(1, 2)
    result = network.reconstruct(scenes)
    assert all(value.is_inference() for value in tensors(result).values())
    assert_same(result, network(scenes))
    assert_same(network.reconstruct(scenes[0]), network(scenes))


def test_reconstruct_refuses_what_are_no_images(network):
    with pytest.raises(ValueError, match=r"got shape \(3, 4, 6\)"):
        network.reconstruct(torch.rand(3, 4, 6))
    with pytest.raises(ValueError, match="divide 8-bit pixels by 255"):
        network.reconstruct(torch.zeros(2, 3, 4, 6, dtype=torch.uint8))


def test_the_mini_network_runs(generator):
    mini = VGGT(MINI, generator=generator)
    assert sum(weight.numel() for weight in mini.parameters()) == 6_469_743
    result = mini.reconstruct(torch.rand(2, 3, 56, 56, generator=generator))
    assert result.points.shape == (1, 2, 56, 56, 3)
    assert all(value.isfinite().all() for value in tensors(result).values())


def test_a_checkpoint_gives_the_network_back(float32_network, images, tmp_path, caplog):
    path = released(float32_network, tmp_path / "model.safetensors")
    with caplog.at_level(logging.INFO, logger="attention_collapse"):
        loaded = VGGT.from_checkpoint(path, SMALL, device="cpu")
    assert [r.getMessage().split(": ")[1].split(" are")[0] for r in caplog.records] == [
        "2 entries track_head.*"
    ]
    scenes = images(1, 2).float()
    assert_same(loaded.reconstruct(scenes), float32_network.reconstruct(scenes))
    assert not loaded.aggregator.patch_embed.mask_token.requires_grad


def test_only_the_maps_of_the_aggregator_are_stored_short(float32_network, images, tmp_path):
    path = released(float32_network, tmp_path / "model.safetensors")
    loaded = VGGT.from_checkpoint(path, SMALL, device="cpu", dtype=torch.bfloat16)
    short = {name for name, weight in loaded.named_parameters() if weight.dtype != torch.float32}
    maps = [
        name
        for name, module in loaded.aggregator.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    assert short == {f"aggregator.{name}.{part}" for name in maps for part in ("weight", "bias")}
    result = loaded.reconstruct(images(1, 2))
    assert all(value.dtype == torch.float32 for value in tensors(result).values())


def test_the_format_follows_the_device(float32_network, tmp_path, monkeypatch):
    path = released(float32_network, tmp_path / "model.safetensors")
    asked = []

    def compute_dtype(device):
        asked.append(device)
        return torch.float16

    monkeypatch.setattr(model, "compute_dtype", compute_dtype)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded = VGGT.from_checkpoint(path, SMALL)
    assert asked == [torch.device("cpu")]
    assert loaded.aggregator.global_blocks[0].mlp.fc1.weight.dtype == torch.float16


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one of torch.float32, .*, got torch.float64; .*double"):
        VGGT.from_checkpoint(tmp_path / "absent", SMALL, device="cpu", dtype=torch.float64)


def test_another_network_s_checkpoint_is_refused(float32_network, tmp_path):
    path = released(float32_network, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the network; make the network with"):
        VGGT.from_checkpoint(path, MINI, device="cpu")


def test_the_hub_s_file_is_loaded(float32_network, tmp_path, monkeypatch):
    path = released(float32_network, tmp_path / "model.safetensors")
    asked = []

    def download(repository, *, revision):
        asked.append((repository, revision))
        return path

    monkeypatch.setattr(model, "download_checkpoint", download)
    loaded = VGGT.from_hub(config=SMALL, revision="v1", device="cpu")
    assert asked == [("facebook/VGGT-1B", "v1")]
    token = float32_network.aggregator.camera_token
    assert torch.equal(loaded.aggregator.camera_token, token)

"""The statements, the diagram, the hypotheses and the exercises of *VGGT in one chapter*."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from attention_collapse import scenes
from attention_collapse.figures.architecture import BOXES, LOOP
from attention_collapse.theory import rank_one
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import (
    VGGT,
    AggregatorConfig,
    Block,
    CameraHeadConfig,
    DenseHeadConfig,
    PatchEncoderConfig,
    VGGTConfig,
    rotary_table,
    rotate,
    unproject,
)
from tolerances import BLOCK_BIASES, FLOAT64_NETWORK, NORMALISED_LENGTH, quoted

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "vggt.ipynb"
DENSE = {"width": 64, "features": 8, "projections": (8, 8, 8, 8)}


def network(depth=2, width=32):
    """The chapter's network in small, in float64, with special tokens that one can tell apart."""
    sizes = {"width": width, "heads": 2}
    encoder = PatchEncoderConfig(**sizes, depth=1, image_size=28)
    config = VGGTConfig(
        aggregator=AggregatorConfig(**sizes, depth=depth, layer_scale=1.0, patch_encoder=encoder),
        camera=CameraHeadConfig(width=64, heads=2, layer_scale=1.0),
        depth=DenseHeadConfig(**DENSE),
        points=DenseHeadConfig(**DENSE, channels=3, activation="inverse_log"),
        kept_layers=(0, 0, 1, 1),
    )
    built = VGGT(config, generator=torch.Generator().manual_seed(0)).double()
    for token in (built.aggregator.camera_token, built.aggregator.register_token):
        token.data[:, 0] += 1
    return built


@pytest.fixture(scope="module")
def images():
    return scenes.orbit(4, image_size=(28, 42), seed=0, dtype=torch.float64).images


def results(reconstruction):
    return {
        name: value[0]
        for name, value in vars(reconstruction).items()
        if isinstance(value, torch.Tensor)
    }


def agree(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=FLOAT64_NETWORK, atol=FLOAT64_NETWORK)


# The diagram


def test_every_box_of_the_diagram_is_shown_in_the_chapter():
    text = "".join(
        line for cell in json.loads(CHAPTER.read_text())["cells"] for line in cell["source"]
    )
    shown = re.findall(r"^:pyobject: (\S+)$", text, re.MULTILINE)
    drawn = {*(box.function for box in BOXES), LOOP}
    assert sorted(drawn) == sorted(shown)


# The equations


@pytest.mark.claims("eq-block", "eq-head")
def test_a_block_is_what_the_two_equations_say():
    """Token by token, with loops over heads and no fused kernel."""
    generator = torch.Generator().manual_seed(0)
    block = Block(16, 2, layer_scale=0.3, generator=generator).double()
    for parameter in block.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.add_(noise, alpha=0.3)
    x = torch.randn(1, 6, 16, generator=generator, dtype=torch.float64)
    places = torch.tensor([[0, 0], [1, 1], [1, 2], [2, 1], [2, 2], [3, 1]])
    table = rotary_table(places, dim=8, dtype=torch.float64)
    middle = x + block.ls1.gamma * attention_by_hand(block.attn, block.norm1(x)[0], table)
    inner = F.linear(block.norm2(middle), block.mlp.fc1.weight, block.mlp.fc1.bias)
    normal = torch.distributions.Normal(0.0, 1.0)
    activated = inner * normal.cdf(inner)
    outer = F.linear(activated, block.mlp.fc2.weight, block.mlp.fc2.bias)
    agree(block(x, rotary=table), middle + block.ls2.gamma * outer)


def attention_by_hand(attention, tokens, table):
    projected = tokens @ attention.qkv.weight.T + attention.qkv.bias
    outputs = []
    for head in range(attention.heads):
        start = 8 * head
        query, key, value = (projected[:, part + start : part + start + 8] for part in (0, 16, 32))
        query, key = rotate(attention.q_norm(query), table), rotate(attention.k_norm(key), table)
        rows = []
        for one in query:
            weights = torch.exp(key @ one / 8**0.5)
            rows.append((weights[:, None] * value).sum(dim=0) / weights.sum())
        outputs.append(torch.stack(rows))
    return attention.proj(torch.cat(outputs, dim=-1))


# Who sees what


@pytest.mark.claims("prop-frame-block")
def test_a_frame_block_is_one_map_applied_to_each_frame(images):
    model, together, alone = network(), {}, {}
    model.reconstruct(images, observe=together.__setitem__)
    for frames in (1, 2, 3):
        model.reconstruct(images[:frames], observe=alone.__setitem__)
        agree(alone["frame.00.output"], together["frame.00.output"][:frames])
        tokens = alone["global.00.output"]
        reached = together["global.00.output"][:, : tokens.shape[1]]
        assert (tokens - reached).abs().amax(dim=-1).min() > 0


@pytest.mark.claims("prop-rotary", "eq-relative-place")
def test_scores_depend_on_the_difference_of_places_alone():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 16, generator=generator, dtype=torch.float64)
    places = torch.tensor([[1, 2], [4, 7], [11, 5], [14, 10], [0, 0], [3, 5]])
    table = rotary_table(places, dim=16, dtype=torch.float64)
    queries, keys = rotate(query.expand(6, 16), table), rotate(key.expand(6, 16), table)
    scores = queries @ keys.T
    agree(scores[0, 1], scores[2, 3])
    agree(scores[0, 1], (query @ keys[5])[0])
    assert abs(scores[0, 1] - scores[1, 0]) > 1e-3


@pytest.mark.claims("prop-rotary")
def test_the_same_cell_of_two_frames_has_the_same_place():
    positions = TokenLayout(frames=3, rows=2, columns=3).positions()
    assert len(positions) == TokenLayout(frames=3, rows=2, columns=3).per_frame
    assert (positions[:5] == 0).all()
    assert (positions[5:] > 0).all()


@pytest.mark.claims("prop-permutation")
def test_permuting_later_frames_permutes_every_result(images):
    model, order = network(), [0, 3, 1, 2]
    plain, permuted = (results(model.reconstruct(x)) for x in (images, images[order]))
    assert len(plain) == 7
    for name, value in plain.items():
        agree(permuted[name], value[order])


@pytest.mark.claims("prop-permutation")
def test_moving_the_first_frame_changes_every_result(images):
    model, order = network(), [1, 0, 2, 3]
    plain, permuted = (results(model.reconstruct(x)) for x in (images, images[order]))
    for name in ("pose_encoding", "depth", "points"):
        assert (permuted[name] - plain[name][order]).abs().max() > 1e-4, name


def test_true_depth_and_camera_give_the_true_points():
    scene = scenes.orbit(2, image_size=(28, 42), seed=0, dtype=torch.float64)
    points = unproject(
        scene.depth, scene.world_to_camera, scene.intrinsics, pixel_centre="half"
    ).world
    torch.testing.assert_close(points, scene.points, rtol=0, atol=FLOAT64_NETWORK)


# The hypotheses


@pytest.fixture(scope="module")
def observed():
    sizes = {"width": 128, "heads": 4}
    encoder = PatchEncoderConfig(**sizes, depth=2)
    config = AggregatorConfig(**sizes, depth=8, layer_scale=1.0, patch_encoder=encoder)
    dense = {"width": 256, "features": 8, "projections": (8, 8, 8, 8)}
    model = VGGT(
        VGGTConfig(
            aggregator=config,
            camera=CameraHeadConfig(width=256, heads=4),
            depth=DenseHeadConfig(**dense),
            points=DenseHeadConfig(**dense, channels=3),
            kept_layers=(1, 3, 5, 7),
        ),
        generator=torch.Generator().manual_seed(0),
    )
    seen = {}
    model.reconstruct(scenes.orbit(4, image_size=(56, 70), seed=0).images, observe=seen.__setitem__)
    return model, seen


def test_norms_grow_more_slowly_than_linearly(observed):
    _, seen = observed
    norms = [seen[f"global.{layer:02d}.output"].norm(dim=-1).mean() for layer in range(8)]
    growth = np.polyfit(np.log(np.arange(1, 9)), np.log(norms), 1)[0]
    assert 0.35 < growth < 0.65


def test_queries_have_one_norm_in_every_layer(observed):
    _, seen = observed
    for layer in range(8):
        lengths = seen[f"global.{layer:02d}.attention.query"].norm(dim=-1)
        torch.testing.assert_close(
            lengths, torch.full_like(lengths, 32**0.5), rtol=NORMALISED_LENGTH, atol=0
        )


def test_neither_attention_nor_frame_blocks_are_a_small_part_of_the_update(observed):
    _, seen = observed
    for layer in range(1, 8):
        start = seen[f"global.{layer - 1:02d}.output"][0]
        middle = seen[f"frame.{layer:02d}.output"].flatten(0, 1)
        end = seen[f"global.{layer:02d}.output"][0]
        frame, both = (middle - start).norm(), (end - middle).norm()
        assert 0.3 < frame / (frame + both) < 0.7
        attended = seen[f"global.{layer:02d}.attention.output"][0]
        share = attended.norm() / (attended.norm() + (end - middle - attended).norm())
        assert 0.3 < share < 0.8


def test_values_are_far_from_the_identity(observed):
    model, _ = observed
    for block in model.aggregator.global_blocks:
        value = (block.attn.proj.weight @ block.attn.qkv.weight[256:]).detach()
        assert value.trace() ** 2 / (128 * value.square().sum()) < 1e-2


def test_the_tokens_start_in_an_open_half_space(observed):
    _, seen = observed
    tokens = seen["frame.00.output"].flatten(0, 1).double().numpy()
    assert rank_one.half_space_margin(tokens) > 0


# Exercises


@pytest.mark.claims("exercise-block-parameters")
def test_exercise_block_parameters():
    for width, heads in ((16, 2), (48, 4)):
        block = Block(width, heads, generator=torch.Generator().manual_seed(0))
        count = sum(parameter.numel() for parameter in block.parameters())
        assert count == 12 * width**2 + 15 * width + 4 * (width // heads)
    assert 12 * 1024**2 + 15 * 1024 + 4 * 64 == 12_598_528
    share = 8 * 1024**2 / 12_598_528
    assert share == pytest.approx(2 / 3, rel=BLOCK_BIASES)


@pytest.mark.claims("exercise-tokens-of-a-frame")
def test_exercise_tokens_of_a_frame():
    layout = TokenLayout.from_image(1, 392, 518)
    assert (layout.rows, layout.columns, layout.per_frame) == (28, 37, 1041)
    for frames, compared_costs_more in ((5, False), (6, True)):
        tokens = frames * layout.per_frame
        linear, compared = 12 * 1024**2 * tokens, 2 * tokens**2 * 1024
        assert (compared > linear) == compared_costs_more


@pytest.mark.claims("exercise-equal-frames")
def test_exercise_equal_frames(images):
    same = images[[0, 1, 2, 1]]
    for value in results(network().reconstruct(same)).values():
        agree(value[1], value[3])
    first = results(network().reconstruct(images[[0, 1, 2, 0]]))
    assert (first["depth"][0] - first["depth"][3]).abs().max() > 1e-4


@pytest.mark.claims("exercise-kept-layers")
def test_exercise_kept_layers():
    layer = 2 * 1041 * 1024 * 4
    assert layer == 8_527_872
    assert 4 * layer / 1e9 == pytest.approx(0.034, abs=quoted(3))
    assert 24 * layer / 1e9 == pytest.approx(0.205, abs=quoted(3))
    small = network().aggregator.float()
    layers = small(torch.rand(1, 1, 3, 28, 42), keep=(0,)).layers
    stored = sum(half.nbytes for half in layers.halves(0))
    assert stored == 2 * (5 + 6) * 32 * 4

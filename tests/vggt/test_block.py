import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tolerances
from attention_collapse.vggt import Block, LayerScale, rotary_table
from tolerances import FLOAT64_NETWORK

WIDTH, HEADS = 16, 2

COMPILE_WHOLE = """
import torch
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Block, rotary_table
from attention_collapse.vggt.precision import cast_linear_weights
from tolerances import COMPILED

generator = torch.Generator().manual_seed(0)
layout = TokenLayout(frames=2, rows=2, columns=3)
table = rotary_table(torch.from_numpy(layout.positions()), dim=8)
of_frames = torch.randn(2, layout.per_frame, 16, generator=generator)
of_scene = of_frames.reshape(1, layout.count, 16)
for dtype, limit in COMPILED.items():
    block = Block(16, 2, layer_scale=1.0, generator=generator)
    cast_linear_weights(block, getattr(torch, dtype))
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    for tokens, chunk in ((of_frames, None), (of_scene, None), (of_scene, layout.per_frame)):
        expected = block(tokens, rotary=table, token_chunk=chunk, query_chunk=chunk)
        actual = compiled(tokens, rotary=table, token_chunk=chunk, query_chunk=chunk)
        torch.testing.assert_close(actual, expected, rtol=0, atol=limit)
"""


@pytest.fixture
def tokens(generator):
    return torch.randn(2, 5, WIDTH, dtype=torch.float64, generator=generator)


@pytest.fixture
def table():
    positions = torch.tensor([[0, 0], [1, 1], [1, 2], [2, 1], [2, 2]])
    return rotary_table(positions, dim=WIDTH // HEADS, dtype=torch.float64)


def test_block_adds_each_branch_to_the_residual_stream(generator, stirred, tokens, table):
    block = stirred(Block(WIDTH, HEADS, generator=generator))
    middle = tokens + block.ls1.gamma * block.attn(block.norm1(tokens), rotary=table)
    hidden = block.norm2(middle) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias
    # The exact GELU, t times the normal distribution function.
    activated = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    expected = middle + block.ls2.gamma * (activated @ block.mlp.fc2.weight.T + block.mlp.fc2.bias)
    torch.testing.assert_close(block(tokens, rotary=table), expected, rtol=0, atol=FLOAT64_NETWORK)


def test_both_norms_add_1e_minus_5_to_the_variance(generator, stirred):
    block = stirred(Block(WIDTH, HEADS, generator=generator))
    alternating = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(WIDTH // 2)
    for norm in (block.norm1, block.norm2):
        # A variance of 3e-5 plus the epsilon gives 4e-5: the norm divides by its root.
        normed = (norm(alternating * 3e-5**0.5) - norm.bias) / norm.weight
        expected = alternating * 0.75**0.5
        torch.testing.assert_close(normed, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_observation_names_and_order(generator, tokens, table):
    block = Block(WIDTH, HEADS, generator=generator).double()
    seen = {}
    result = block(tokens, rotary=table, observe=seen.__setitem__)
    assert list(seen) == [
        "attention.query",
        "attention.key",
        "attention.value",
        "attention.output",
        "output",
    ]
    attended = block.attn(block.norm1(tokens), rotary=table)
    assert torch.equal(seen["attention.output"], attended)
    assert torch.equal(seen["output"], result)
    assert torch.equal(result, block(tokens, rotary=table))


def test_layer_scale_starts_at_its_value_and_can_be_left_out(generator, tokens):
    assert torch.equal(LayerScale(3, 0.01).gamma, torch.tensor([0.01, 0.01, 0.01]))
    scaled, bare = (
        Block(WIDTH, HEADS, layer_scale=value, generator=torch.Generator().manual_seed(1)).double()
        for value in (1.0, None)
    )
    assert {"ls1.gamma", "ls2.gamma"} == set(scaled.state_dict()) - set(bare.state_dict())
    assert torch.equal(scaled(tokens), bare(tokens))


def test_state_names_are_those_of_vggt(generator):
    names = {name for name, _ in Block(WIDTH, HEADS, generator=generator).named_parameters()}
    linear = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"}
    norms = {"norm1", "norm2", "attn.q_norm", "attn.k_norm"}
    affine = {f"{layer}.{part}" for layer in linear | norms for part in ("weight", "bias")}
    assert names == affine | {"ls1.gamma", "ls2.gamma"}


def test_parameter_count_of_a_vggt_block(generator):
    block = Block(1024, 16, generator=generator)
    # 12 C^2 + 15 C + 4 d with C = 1024 channels and d = 64 channels per head.
    assert sum(parameter.numel() for parameter in block.parameters()) == 12_598_528


def test_gradients_reach_every_parameter_and_the_input(generator, stirred, tokens, table):
    block = stirred(Block(WIDTH, HEADS, generator=generator))
    tokens.requires_grad_()
    block(tokens, rotary=table).square().sum().backward()
    assert tokens.grad.abs().min() > 0
    assert all(parameter.grad.abs().max() > 0 for parameter in block.parameters())


def test_gradient_matches_a_finite_difference(generator, stirred, tokens, table):
    block = stirred(Block(WIDTH, HEADS, generator=generator))
    x = tokens[:1].clone().requires_grad_()
    direction = torch.randn(x.shape, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(
        lambda step: block(x + step * direction, rotary=table),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )


def test_an_mlp_without_channels_is_refused(generator):
    message = r"at least 1 hidden channel .* got width 16 times mlp_ratio 0\.05; VGGT uses a ratio"
    with pytest.raises(ValueError, match=message):
        Block(WIDTH, HEADS, mlp_ratio=0.05, generator=generator)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_layer_scale_that_is_not_finite_is_refused(generator, value):
    with pytest.raises(ValueError, match=f"layer_scale must be finite, got {value}; VGGT starts"):
        Block(WIDTH, HEADS, layer_scale=value, generator=generator)


def test_block_compiles_to_one_graph():
    # In a process of its own: the suite's type checks are no part of the graph.
    run = subprocess.run(
        [sys.executable, "-c", COMPILE_WHOLE],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(tolerances.__file__).parent)},
    )
    assert run.returncode == 0, run.stderr

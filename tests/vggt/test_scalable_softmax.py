import dataclasses
import math

import pytest
import torch

from attention_collapse.vggt import (
    MINI,
    MINI_SCALABLE,
    TINY,
    VGGT,
    AggregatorConfig,
    Attention,
    Block,
    ScalableSoftmax,
    cast_linear_weights,
)
from tolerances import FLOAT64_NETWORK

WIDTH, HEADS = 24, 3


def test_a_key_that_stands_out_keeps_its_share():
    """Weights are in proportion to N to the power s z: of s z = 2 among zeros, N^2 to 1."""
    for tokens in (10, 1000):
        query = torch.ones(1, 1, tokens, 1, dtype=torch.float64)
        key = torch.zeros(tokens, dtype=torch.float64)
        key[3] = 1.0
        scores = ScalableSoftmax(1, 2.0).double()(query)[0, 0, 0] * key
        share = torch.softmax(scores, dim=0)[3]
        expected = tokens**2 / (tokens**2 + tokens - 1)
        assert share.item() == pytest.approx(expected, rel=FLOAT64_NETWORK)


def test_every_head_has_its_own_factor(generator, stirred):
    """All that enters the softmax, shown and not, is scaled once."""
    tokens = torch.randn(2, 7, WIDTH, dtype=torch.float64, generator=generator)
    attention = stirred(Attention(WIDTH, HEADS, scalable_softmax=0.5, generator=generator))
    seen = {}
    result = attention(tokens, observe=seen.__setitem__)
    plain = attention.heads_of(tokens)
    for head, factor in enumerate(attention.softmax.factor):
        scores = factor * math.log(7) * plain.query[:, head] @ plain.key[:, head].mT / 8**0.5
        expected = torch.softmax(scores, -1) @ plain.value[:, head]
        scaled = factor * math.log(7) * plain.query[:, head]
        torch.testing.assert_close(seen["query"][:, head], scaled, rtol=0, atol=FLOAT64_NETWORK)
        mixed = attention.mix(attention.scaled(plain))[..., head * 8 : (head + 1) * 8]
        torch.testing.assert_close(mixed, expected, rtol=0, atol=FLOAT64_NETWORK)
    joined = attention.proj(attention.mix(attention.scaled(plain)))
    torch.testing.assert_close(result, joined, rtol=0, atol=FLOAT64_NETWORK)


def test_a_block_scales_by_all_tokens_whatever_its_chunks(generator, stirred):
    tokens = torch.randn(2, 6, WIDTH, dtype=torch.float64, generator=generator)
    block = stirred(Block(WIDTH, HEADS, scalable_softmax=0.5, generator=generator))
    with torch.no_grad():
        attended = tokens + block.ls1(block.attn(block.norm1(tokens)))
        expected = attended + block.ls2(block.mlp(block.norm2(attended)))
        for found in (block(tokens), block(tokens, token_chunk=2), block.by_batch(tokens, chunk=1)):
            torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64_NETWORK)


def test_only_global_blocks_have_factors_and_other_weights_are_the_same(generator):
    sizes = dataclasses.replace(TINY.aggregator, scalable_softmax=0.17)
    plain, scalable = (
        VGGT(config, generator=torch.Generator().manual_seed(0)).state_dict()
        for config in (TINY, dataclasses.replace(TINY, aggregator=sizes))
    )
    further = {name: tuple(scalable[name].shape) for name in scalable if name not in plain}
    names = [f"aggregator.global_blocks.{layer}.attn.softmax.factor" for layer in range(2)]
    assert further == dict.fromkeys(names, (3,))
    assert all(torch.equal(plain[name], scalable[name]) for name in plain)
    assert dataclasses.replace(MINI_SCALABLE, aggregator=MINI.aggregator) == MINI


def test_queries_of_16_bits_stay_short(generator):
    attention = Attention(WIDTH, HEADS, scalable_softmax=0.17, generator=generator)
    cast_linear_weights(attention, torch.bfloat16)
    scaled = attention.scaled(attention.heads_of(torch.randn(1, 5, WIDTH, generator=generator)))
    assert attention.softmax.factor.dtype == torch.float32
    assert {tensor.dtype for tensor in scaled} == {torch.bfloat16}


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_factor_that_is_not_positive_is_refused(value, generator):
    message = f"scalable_softmax must be finite and positive, got {value}; 0.17"
    with pytest.raises(ValueError, match=message):
        AggregatorConfig(scalable_softmax=value)
    with pytest.raises(ValueError, match=message):
        Attention(WIDTH, HEADS, scalable_softmax=value, generator=generator)

"""The bias inside attention that knows nothing of this package."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attention_collapse.vggt import biased_reference
from tolerances import BFLOAT16_UNIT, FLOAT64

PER_FRAME = 3


class Foreign(nn.Module):
    """Attention as others write it."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x, pos=None):
        heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(heads, 2 * heads, heads, **self.options)
        return mixed.transpose(1, 2).flatten(2)


def by_hand(x, bias, per_frame=PER_FRAME):
    heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
    scores = 2 * heads @ heads.mT / heads.shape[-1] ** 0.5
    scores[..., :per_frame] += bias
    return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)


def biased(modules, trained_frames=2):
    return biased_reference(modules, tokens_per_frame=PER_FRAME, trained_frames=trained_frames)


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6 * PER_FRAME, 8, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(("frames", "bias"), [(6, math.log(3)), (4, math.log(2)), (2, 0.0)])
def test_the_bias_follows_the_number_of_frames(tokens, frames, bias):
    module = Foreign(dropout_p=0.0, is_causal=False, attn_mask=None)
    x = tokens[:, : frames * PER_FRAME]
    with biased([module]):
        output = module(x, pos=None)
    torch.testing.assert_close(output, by_hand(x, bias), rtol=0, atol=FLOAT64)


def test_layers_and_a_head_over_one_token_of_each_frame_are_served_together(tokens):
    layer, trunk, cameras = Foreign(), Foreign(), tokens[:, ::PER_FRAME]
    head = biased_reference([trunk], tokens_per_frame=1, trained_frames=2)
    with biased([layer]), head:
        outputs = layer(tokens), trunk(cameras)
    expected = by_hand(tokens, math.log(3)), by_hand(cameras, math.log(3), per_frame=1)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=FLOAT64)


def test_short_numbers_are_served(tokens):
    module, short = Foreign(), tokens.bfloat16()
    with biased([module], 1):
        output = module(short)
    expected = by_hand(short.double(), math.log(6))
    # The weights and the output are rounded once each.
    rounding = 2 * BFLOAT16_UNIT * short.abs().max().item()
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=rounding)


def interrupted_run(module, tokens):
    with biased([module]):
        raise RuntimeError(f"interrupted after {module(tokens).shape}")


def test_afterwards_the_network_is_what_it_was(tokens):
    module, other = Foreign(), Foreign()
    plain = module(tokens)
    with biased([module]):
        assert not torch.equal(module(tokens), plain)
        assert torch.equal(other(tokens), plain)
    assert torch.equal(module(tokens), plain)
    with pytest.raises(RuntimeError, match="interrupted"):
        interrupted_run(module, tokens)
    assert torch.equal(module(tokens), plain)


def test_a_network_it_cannot_serve_is_refused(tokens):
    with pytest.raises(ValueError, match="at least one module"), biased([]):
        pass
    masked = Foreign(is_causal=True)
    with biased([masked]), pytest.raises(ValueError, match="plain attention, got the options is_c"):
        masked(tokens)
    module = Foreign()
    with biased([module]), pytest.raises(ValueError, match="whole frames of 3 tokens, got 4;"):
        module(tokens[:, :4])
    linear = nn.Linear(8, 8, dtype=torch.float64)
    with biased([linear]), pytest.raises(ValueError, match="scaled_dot_product_attention once"):
        linear(tokens)

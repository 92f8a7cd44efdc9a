"""The portable backend and the choice of one."""

import pytest
import torch
import torch.nn.functional as F

from attention_collapse.merging import portable
from attention_collapse.merging.attention import MergeRule, attend, merge_heads
from attention_collapse.merging.backend import Backend
from attention_collapse.merging.choice import choose_backend
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.members import Members
from attention_collapse.merging.portable import PortableBackend
from tolerances import BFLOAT16_UNIT, FLOAT64

BACKEND = PortableBackend()


@pytest.mark.parametrize("scores", [1, 7, 2**26])
def test_attention_is_that_of_the_fused_kernel_in_any_chunk(draw, monkeypatch, scores):
    monkeypatch.setattr(portable, "SCORES", scores)
    query, key, value, bias = draw(2, 3, 5, 8), draw(2, 3, 6, 8), draw(2, 3, 6, 4), draw(2, 6)
    mask = bias[:, None, None]
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    found = BACKEND.attend(query, key, value, bias)
    torch.testing.assert_close(found, expected, rtol=0, atol=FLOAT64)
    unbiased = BACKEND.attend(query, key, value, None)
    expected = F.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(unbiased, expected, rtol=0, atol=FLOAT64)


def test_a_bias_keeps_its_digits_beside_queries_of_16_bits():
    """Sizes whose logarithm is off by 1 / 40 in bfloat16, a factor in the odds of two values."""
    sizes = torch.tensor([[1.0, 9973.0]])
    bias = sizes.log()
    assert (bias.bfloat16().float() - bias).abs().max() > 1 / 60
    query = torch.zeros(1, 1, 1, 2, dtype=torch.bfloat16)
    key = torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16)
    value = torch.tensor([9973.0, 0.0], dtype=torch.bfloat16).view(1, 1, 2, 1)
    found = BACKEND.attend(query, key, value, bias).item()
    assert found == pytest.approx(value[0, 0, 0, 0].item() / 9974, rel=BFLOAT16_UNIT)


def test_sizes_are_added_to_scores_of_16_bits_in_float32(draw):
    heads = [draw(1, 2, 900, 16, dtype=torch.bfloat16) for _ in range(3)]
    groups = Groups((torch.arange(900) // 300)[None], 3)
    merged = merge_heads(*heads, groups, rule=MergeRule("size"))
    assert merged.bias.dtype == torch.float32
    assert attend(merged).dtype == torch.bfloat16


def test_the_spread_of_long_keys_survives_16_bits():
    """Keys 64 and, one in ten, 64.5: their mean is no number of bfloat16, and they are."""
    key = (64 + 0.5 * (torch.arange(400) % 10 == 0)).bfloat16().view(1, 1, 400, 1)
    groups = Groups(torch.zeros(1, 400, dtype=torch.int64), 1)
    merged = merge_heads(key, key, key, groups, rule=MergeRule("second_order"))
    assert merged.key[0, 0, 0, 1].item() == pytest.approx(0.25 * 0.1 * 0.9 / 2, rel=BFLOAT16_UNIT)


def test_tables_of_the_members_lead_to_the_groups():
    members = Members(torch.tensor([[2, 0, 1, 0], [1, 1, 2, 0]]), 3)
    assert members.sizes.tolist() == [[2, 1, 1], [1, 2, 1]]
    assert members.order.tolist() == [[1, 3, 2, 0], [3, 0, 1, 2]]
    assert members.sorted_groups.tolist() == [[0, 0, 1, 2], [0, 1, 1, 2]]
    assert members.starts.tolist() == [[0, 2, 3, 4], [0, 1, 3, 4]]
    assert members.order is members.order


def test_tokens_on_the_cpu_are_given_the_portable_backend(draw):
    tokens = draw(1, 2, 3)
    assert isinstance(choose_backend(tokens), PortableBackend)
    assert isinstance(choose_backend(tokens), Backend)
    with pytest.raises(ValueError, match="needs a CUDA device and the triton package; got device"):
        choose_backend(tokens, name="triton")
    with pytest.raises(ValueError, match="must be one of portable, triton; got 'cuda'"):
        choose_backend(tokens, name="cuda")
    with pytest.raises(ValueError, match="chunk must be at least 1 source, got 0"):
        PortableBackend(chunk=0)

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_collapse.vggt import Attention, rotary_table, rotate
from tolerances import FLOAT64_NETWORK

WIDTH, HEADS, TOKENS = 24, 3, 6


@pytest.fixture
def tokens(generator):
    return torch.randn(2, TOKENS, WIDTH, dtype=torch.float64, generator=generator)


@pytest.fixture
def table(generator):
    positions = torch.randint(0, 9, (TOKENS, 2), generator=generator)
    return rotary_table(positions, dim=WIDTH // HEADS, dtype=torch.float64)


def layer_norm(x, norm):
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + 1e-5).sqrt() * norm.weight + norm.bias


def one_head(attention, x, table, head):
    """Query, key and value of one head, from the rows of the first linear map that belong to it."""
    dim = WIDTH // HEADS
    rows = [slice(part * WIDTH + head * dim, part * WIDTH + (head + 1) * dim) for part in range(3)]
    query, key, value = (x @ attention.qkv.weight[row].T + attention.qkv.bias[row] for row in rows)
    query, key = layer_norm(query, attention.q_norm), layer_norm(key, attention.k_norm)
    return rotate(query, table), rotate(key, table), value


def observed(attention, x, table=None):
    seen = {}
    seen["result"] = attention(x, rotary=table, observe=seen.__setitem__)
    return seen


def test_attention_equals_the_explicit_softmax_head_by_head(generator, stirred, tokens, table):
    attention = stirred(Attention(WIDTH, HEADS, generator=generator))
    mixed = []
    for head in range(HEADS):
        query, key, value = one_head(attention, tokens, table, head)
        scores = torch.einsum("bqd,bkd->bqk", query, key) / (WIDTH // HEADS) ** 0.5
        weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
        mixed.append(torch.einsum("bqk,bkd->bqd", weights, value))
    expected = torch.cat(mixed, dim=-1) @ attention.proj.weight.T + attention.proj.bias
    torch.testing.assert_close(
        attention(tokens, rotary=table), expected, rtol=0, atol=FLOAT64_NETWORK
    )


def test_observed_tensors_are_those_that_enter_the_softmax(generator, stirred, tokens, table):
    attention = stirred(Attention(WIDTH, HEADS, generator=generator))
    seen = observed(attention, tokens, table)
    assert list(seen) == ["query", "key", "value", "output", "result"]
    for head in range(HEADS):
        for name, expected in zip(
            ("query", "key", "value"), one_head(attention, tokens, table, head), strict=True
        ):
            torch.testing.assert_close(seen[name][:, head], expected, rtol=0, atol=FLOAT64_NETWORK)
    assert torch.equal(seen["output"], seen["result"])


def test_looking_does_not_change_the_result(generator, tokens, table):
    attention = Attention(WIDTH, HEADS, generator=generator).double()
    assert torch.equal(
        observed(attention, tokens, table)["result"], attention(tokens, rotary=table)
    )


@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_observation_does_not_depend_on_the_kernel(generator, stirred, tokens, table, backend):
    attention = stirred(Attention(WIDTH, HEADS, generator=generator))
    free = observed(attention, tokens, table)
    with sdpa_kernel(backend):
        pinned = observed(attention, tokens, table)
    assert list(pinned) == list(free)
    for name in ("query", "key", "value"):
        assert torch.equal(pinned[name], free[name])
    torch.testing.assert_close(pinned["output"], free["output"], rtol=0, atol=FLOAT64_NETWORK)


def test_without_positions_attention_is_equivariant_to_permutations(generator, stirred, tokens):
    attention = stirred(Attention(WIDTH, HEADS, generator=generator))
    order = torch.randperm(TOKENS, generator=generator)
    torch.testing.assert_close(
        attention(tokens[:, order]), attention(tokens)[:, order], rtol=0, atol=FLOAT64_NETWORK
    )


def test_positions_matter(generator, tokens, table):
    attention = Attention(WIDTH, HEADS, generator=generator).double()
    assert (attention(tokens, rotary=table) - attention(tokens)).abs().max() > 1e-3


def test_state_names_are_those_of_vggt(generator):
    full = Attention(WIDTH, HEADS, generator=generator)
    assert {name: tuple(value.shape) for name, value in full.state_dict().items()} == {
        "qkv.weight": (72, 24),
        "qkv.bias": (72,),
        "q_norm.weight": (8,),
        "q_norm.bias": (8,),
        "k_norm.weight": (8,),
        "k_norm.bias": (8,),
        "proj.weight": (24, 24),
        "proj.bias": (24,),
    }
    plain = Attention(
        WIDTH, HEADS, qk_norm=False, qkv_bias=False, proj_bias=False, generator=generator
    )
    assert list(plain.state_dict()) == ["qkv.weight", "proj.weight"]


@pytest.mark.parametrize(("width", "heads"), [(10, 3), (8, 0), (0, 2)])
def test_a_width_that_the_heads_cannot_share_is_refused(generator, width, heads):
    message = f"multiple of the heads, got width {width} and {heads} heads; VGGT has"
    with pytest.raises(ValueError, match=message):
        Attention(width, heads, generator=generator)

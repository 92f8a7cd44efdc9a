"""The counts against torch: its own counter for work, the tensors it handles for traffic."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from attention_collapse.theory.cost import (
    BlockShape,
    Cost,
    attention_cost,
    attention_weights_bytes,
    block_cost,
    scene_cost,
)
from attention_collapse.vggt.block import Block

SHAPE = BlockShape(width=48, hidden=192, bytes_per_number=8)


def block():
    generator = torch.Generator().manual_seed(0)
    return Block(48, 4, generator=generator).double().requires_grad_(False)


def counted(function):
    """Floating-point operations that torch counts, with attention as two plain products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


class Traffic(TorchDispatchMode):
    """Bytes of what matrix products and fused attention read and write."""

    products = ("addmm", "_scaled_dot_product_flash_attention_for_cpu")

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if function.overloadpacket.__name__ in self.products:
            output = result[0] if isinstance(result, tuple) else result
            tensors = [x for x in arguments if isinstance(x, torch.Tensor)] + [output]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return result


@pytest.mark.parametrize("tokens", [1, 7, 60])
def test_work_of_a_block(tokens):
    x = torch.randn(1, tokens, 48, dtype=torch.float64)
    assert block_cost(SHAPE, tokens).flops == counted(lambda: block()(x))


@pytest.mark.parametrize("tokens", [7, 60])
def test_traffic_of_a_block(tokens):
    x = torch.randn(1, tokens, 48, dtype=torch.float64)
    with Traffic() as traffic:
        block()(x)
    assert block_cost(SHAPE, tokens).traffic == traffic.bytes


@pytest.mark.parametrize(("queries", "keys"), [(60, 60), (60, 20), (20, 20)])
def test_attention_of_some_queries_to_some_keys(queries, keys):
    query = torch.randn(1, 4, queries, 12, dtype=torch.float64)
    key = torch.randn(1, 4, keys, 12, dtype=torch.float64)
    cost = attention_cost(SHAPE, queries=queries, keys=keys)
    assert cost.flops == counted(lambda: F.scaled_dot_product_attention(query, key, key))
    with Traffic() as traffic:
        F.scaled_dot_product_attention(query, key, key)
    assert cost.traffic == traffic.bytes


def merged_block(x, groups, *, merge_queries):
    """A block whose keys and values, and queries if asked, are averaged over runs of tokens."""
    module = block()
    query, key, value = module.attn.heads_of(module.norm1(x))
    key, value = (y.unflatten(2, (groups, -1)).mean(3) for y in (key, value))
    if merge_queries:
        query = query.unflatten(2, (groups, -1)).mean(3)
    joined = module.attn.proj(
        F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    )
    if merge_queries:
        joined = joined.repeat_interleave(x.shape[1] // groups, dim=1)
    x = x + module.ls1(joined)
    return x + module.ls2(module.mlp(module.norm2(x)))


@pytest.mark.parametrize("merge_queries", [True, False])
def test_a_merged_block(merge_queries):
    x = torch.randn(1, 60, 48, dtype=torch.float64)
    queries = 20 if merge_queries else None
    cost = block_cost(SHAPE, 60, queries=queries, keys=20)
    assert cost.flops == counted(lambda: merged_block(x, 20, merge_queries=merge_queries))
    with Traffic() as traffic:
        merged_block(x, 20, merge_queries=merge_queries)
    assert cost.traffic == traffic.bytes


def test_a_scene_is_its_frame_blocks_and_its_global_blocks():
    x = torch.randn(3, 7, 48, dtype=torch.float64)
    costs = scene_cost(SHAPE, frames=3, per_frame=7, depth=2)
    assert costs["frame"].flops == 2 * counted(lambda: block()(x))
    assert costs["global"].flops == 2 * counted(lambda: block()(x.reshape(1, 21, 48)))
    assert costs["global"] == block_cost(SHAPE, 21) * 2


def test_a_merged_scene_changes_global_attention_alone():
    plain = scene_cost(SHAPE, frames=30, per_frame=10, depth=2)
    merged = scene_cost(SHAPE, frames=30, per_frame=10, depth=2, merged=0.25)
    assert merged["frame"] == plain["frame"]
    assert merged["global"] == block_cost(SHAPE, 300, queries=75, keys=75) * 2


def test_costs_add():
    assert Cost(1, 2) + Cost(3, 4) * 2 == Cost(7, 10)


def test_size_of_the_weights_that_are_not_stored():
    weights = torch.empty(4, 60, 20, dtype=torch.float64)
    size = attention_weights_bytes(SHAPE, queries=60, keys=20, heads=4)
    assert size == weights.numel() * weights.element_size()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 0}, "frames must be finite and at least 1; got 0: a sequence"),
        ({"per_frame": 0}, "per_frame must be finite and at least 1; got 0: count"),
        ({"depth": 0}, "depth must be finite and at least 1; got 0: count the global"),
        ({"merged": 0.0}, "merged must be above 0 and at most 1; got 0.0: 1 merges"),
        ({"merged": 1.5}, "merged must be above 0 and at most 1; got 1.5"),
    ],
)
def test_a_scene_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        scene_cost(SHAPE, **({"frames": 2, "per_frame": 7} | arguments))


@pytest.mark.parametrize("name", ["width", "hidden", "bytes_per_number"])
def test_a_shape_refuses_sizes_below_one(name):
    with pytest.raises(ValueError, match=f"{name} must be finite and at least 1; got 0: pass"):
        BlockShape(**{name: 0})


def test_attention_refuses_no_tokens():
    with pytest.raises(ValueError, match="queries must be .* got 0: count the tokens that ask"):
        attention_cost(SHAPE, queries=0, keys=5)
    with pytest.raises(ValueError, match="keys must be .* got 0: count the tokens that are read"):
        block_cost(SHAPE, 5, keys=0)
    with pytest.raises(ValueError, match="heads must be .* got 0: count what attention holds"):
        attention_weights_bytes(SHAPE, queries=5, keys=5, heads=0)
    with pytest.raises(ValueError, match="tokens must be .* got 0: count the tokens of the block"):
        block_cost(SHAPE, 0)

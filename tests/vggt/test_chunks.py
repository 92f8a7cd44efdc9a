import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from attention_collapse.vggt import Block, rotary_table
from attention_collapse.vggt.aggregator import Aggregator
from attention_collapse.vggt.chunks import even_chunk, in_chunks
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.observation import Watch
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig
from attention_collapse.vggt.precision import cast_linear_weights
from tolerances import FLOAT64_NETWORK


class LiveMemory(TorchDispatchMode):
    """The largest number of bytes that tensors made inside held at one time."""

    def __init__(self):
        super().__init__()
        self.storages, self.peak = {}, 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.storages = {
            key: entry for key, entry in self.storages.items() if not entry[0].expired()
        }
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return result


@pytest.mark.parametrize("chunk", [None, 1, 2, 5, 9])
def test_chunks_are_joined_in_order(chunk):
    tokens, sizes = torch.arange(10).reshape(2, 5), []

    def double(part):
        sizes.append(part.shape[1])
        return 2 * part

    assert torch.equal(in_chunks(double, tokens, chunk=chunk, dim=1), 2 * tokens)
    assert max(sizes) == min(chunk or 5, 5)


@pytest.mark.parametrize(("count", "largest", "chunk"), [(100, 32, 25), (7, 3, 3), (3, 8, 3)])
def test_chunks_are_as_few_and_as_even_as_can_be(count, largest, chunk):
    assert even_chunk(count, largest) == chunk


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("encoder", [False, True])
def test_the_result_does_not_depend_on_the_chunks(small_aggregator, images, chunk, encoder):
    sizes = {"width": 16, "depth": 1, "heads": 2, "image_size": 4, "patch_size": 2}
    aggregator = small_aggregator(patch_encoder=PatchEncoderConfig(**sizes) if encoder else None)
    scene = images(2, 3)
    whole, chunked = aggregator(scene), aggregator(scene, frame_chunk=chunk)
    for layer in whole.layers:
        torch.testing.assert_close(
            chunked.layers[layer], whole.layers[layer], rtol=0, atol=FLOAT64_NETWORK
        )


def test_gradients_pass_through_chunks(small_aggregator, images):
    aggregator, gradients = small_aggregator(), []
    for chunk in (None, 1):
        scene = images(1, 2) if not gradients else scene.detach()
        scene.requires_grad_()
        aggregator(scene, frame_chunk=chunk).layers[1].square().sum().backward()
        gradients.append(scene.grad)
    torch.testing.assert_close(*gradients, rtol=FLOAT64_NETWORK, atol=FLOAT64_NETWORK)


def test_a_block_without_qkv_bias_and_norm_can_be_cut(generator, stirred):
    block = stirred(Block(16, 2, qk_norm=False, qkv_bias=False, generator=generator))
    tokens = torch.randn(2, 7, 16, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(
        block(tokens, token_chunk=3, query_chunk=2), block(tokens), rtol=0, atol=FLOAT64_NETWORK
    )


def test_memory_grows_by_the_kept_halves_and_little_more(generator):
    """Peak bytes per frame beyond its image, in float32 streams of a frame.

    Two kept layers are 4 halves. When the last global block has attended it holds its input (the
    third half), queries, keys and values, half a stream each in bfloat16, and the mixtures, which
    lie side by side as they come: 5 streams, 1 more than are kept. Without chunks the MLP alone
    holds 4.
    """
    config = AggregatorConfig(width=16, depth=4, heads=2, patch_size=2)
    network = Aggregator(config, generator=generator).eval()
    cast_linear_weights(network, torch.bfloat16)
    # The table of positions is made once and stays.
    network(torch.rand(1, 1, 3, 8, 10, generator=generator))
    peaks = {}
    for chunk in (1, None):
        for frames in (40, 42):
            images = torch.rand(1, frames, 3, 8, 10, generator=generator)
            with torch.inference_mode(), LiveMemory() as memory:
                kept = network(images, keep=(1, 3), frame_chunk=chunk)
            peaks[chunk, frames] = memory.peak
    stream, image = kept.layout.per_frame * 16 * 4, 3 * 8 * 10 * 4
    slope = {chunk: (peaks[chunk, 42] - peaks[chunk, 40]) / 2 - image for chunk in (1, None)}
    assert slope[1] == 5 * stream
    assert slope[None] > 10 * stream


def test_chunks_without_a_query_are_refused(small_aggregator, images, generator):
    message = "query_chunk must be at least 1 query, got 0; pass None"
    aggregator, block = small_aggregator(), Block(16, 2, generator=generator)
    with pytest.raises(ValueError, match=message):
        aggregator(images(1, 2), query_chunk=0)
    with pytest.raises(ValueError, match=message):
        block(torch.zeros(1, 8, 16), query_chunk=0)


@pytest.mark.parametrize("query_chunk", [1, 7, 100])
def test_the_result_does_not_depend_on_the_queries_at_a_time(small_aggregator, images, query_chunk):
    aggregator, scene = small_aggregator(), images(2, 3)
    whole = aggregator(scene)
    chunked = aggregator(scene, frame_chunk=2, query_chunk=query_chunk)
    for layer in whole.layers:
        torch.testing.assert_close(
            chunked.layers[layer], whole.layers[layer], rtol=0, atol=FLOAT64_NETWORK
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("only", [None, "output", "attention.key", "attention.weights"])
def test_looking_changes_no_bit_and_is_cut_alike(generator, stirred, dtype, only):
    block = stirred(Block(64, 2, generator=generator)).float()
    cast_linear_weights(block, dtype)
    tokens, seen, sizes = torch.randn(1, 37, 64, generator=generator), {}, []
    for linear in (block.attn.qkv, block.attn.proj, block.mlp.fc1):
        linear.register_forward_hook(lambda _, given, __: sizes.append(given[0].shape[1]))
    observe = seen.__setitem__ if only is None else Watch(frozenset({only}), seen.__setitem__)
    options = {"token_chunk": 5, "query_chunk": 8}
    with torch.inference_mode():
        looked = block(tokens, observe=observe, **options)
        assert max(sizes) == 5
        assert torch.equal(looked, block(tokens, **options))
    assert only is None or set(seen) == {only}
    assert seen.get("attention.key", torch.empty(1, 2, 37)).shape[2] == 37


@pytest.mark.parametrize("chunk", [0, -2])
def test_chunks_below_one_frame_are_refused(small_aggregator, images, chunk):
    with pytest.raises(ValueError, match=f"at least 1 frame, got {chunk}; pass None for all"):
        small_aggregator()(images(1, 2), frame_chunk=chunk)


@pytest.mark.parametrize("chunk", [0, 3, 6])
def test_chunks_that_cut_a_frame_are_refused(generator, chunk):
    block = Block(16, 2, generator=generator)
    table = rotary_table(torch.zeros(4, 2, dtype=torch.int64), dim=8)
    message = f"positive multiple of 4, the tokens of the rotary table, got {chunk}; pass whole"
    with pytest.raises(ValueError, match=message):
        block(torch.zeros(1, 8, 16), rotary=table, token_chunk=chunk)


def test_nothing_is_cut_where_gradients_are_kept(small_aggregator, images, monkeypatch):
    aggregator, scene, cuts = small_aggregator(), images(2, 3), []
    kind = type(aggregator.global_blocks[0])
    advance = kind.advance

    def noted(block, x, mixed, out=None):
        cuts.append(tuple(x.shape[:2]))
        return advance(block, x, mixed, out)

    monkeypatch.setattr(kind, "advance", noted)
    aggregator(scene, frame_chunk=1)
    whole = set(cuts)
    assert {count for count, _ in whole} == {2, 6}
    cuts.clear()
    with torch.no_grad():
        aggregator(scene, frame_chunk=2)
    # Six images in threes of two; frames 1 and 2 of both scenes, then frame 3.
    tokens = next(tokens for count, tokens in whole if count == 6)
    assert set(cuts) == {(2, tokens), (2, 2 * tokens)}

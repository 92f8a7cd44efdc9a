from functools import partial

import pytest
import torch

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.attention import Attention, fused_attention
from attention_collapse.vggt.key_bias import with_key_bias
from attention_collapse.vggt.observation import Watch, attention_weights
from attention_collapse.vggt.reduction import Heads, Reducer, Reduction, identity
from tolerances import BFLOAT16_UNIT, FLOAT64_NETWORK, SPLIT_BIAS


def leave_all(heads, tokens, *, layer, layout):
    return identity(heads)


def average_pairs(heads, tokens, *, layer, layout):
    """Tokens 2 i and 2 i + 1 attend as their mean; a last single token stands for itself."""
    count = tokens.shape[1]
    groups = torch.arange(count) // 2
    sizes = torch.bincount(groups).to(tokens)
    sums = torch.zeros(len(sizes), count).to(tokens)
    sums[groups, torch.arange(count)] = 1
    means = sums / sizes[:, None]
    return Reduction(
        Heads(*(means @ tensor for tensor in heads)),
        restore=lambda output: output[:, groups],
        key_bias=sizes.log().expand(len(tokens), -1),
    )


def test_the_identity_is_bit_equal_to_no_reducer(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(2, 3)
    plain, reduced = aggregator(scene), aggregator(scene, reducer=leave_all)
    assert all(torch.equal(plain.layers[layer], reduced.layers[layer]) for layer in plain.layers)


def test_pairs_of_equal_tokens_attend_exactly_as_one(generator, stirred):
    """Seven tokens, three pairs of equals and one that is single, without positions."""
    attention = stirred(Attention(16, 2, generator=generator))
    different = torch.randn(2, 4, 16, dtype=torch.float64, generator=generator)
    tokens = different.repeat_interleave(2, dim=1)[:, :7]

    def reduce(heads, x):
        return average_pairs(heads, x, layer=0, layout=None)

    torch.testing.assert_close(
        attention(tokens, reduce=reduce), attention(tokens), rtol=0, atol=FLOAT64_NETWORK
    )


def tilted(draw_count, generator):
    """Heads of 16 bits whose keys alternate between two sizes of groups."""
    normal = torch.randn(3, 1, 2, draw_count, 16, dtype=torch.float64, generator=generator)
    sizes = torch.tensor([1.0, 9973.0]).double().repeat(draw_count)[:draw_count]
    return Heads(*normal.bfloat16()), sizes.log()[None]


def test_a_bias_acts_on_heads_of_16_bits_as_in_float32(generator):
    """The sizes are so large that a bias of bfloat16 would be off by a hundredth."""
    heads, bias = tilted(40, generator)
    wide = Heads(*(tensor.double() for tensor in heads))
    exact = fused_attention(wide, key_bias=bias)
    unbiased = fused_attention(heads) - fused_attention(wide)
    # Weights of keys with a large and a small size, of which the mask would move the ratio.
    share = attention_weights(with_key_bias(heads, bias).query.double(), wide_key(heads, bias))
    expected = attention_weights(wide.query, wide.key, bias)
    torch.testing.assert_close(share, expected, rtol=SPLIT_BIAS, atol=0)
    found = fused_attention(heads, key_bias=bias)
    assert found.dtype == torch.bfloat16
    assert (found - exact).abs().max() <= 2 * unbiased.abs().max()


def wide_key(heads, bias):
    """The extended keys, scaled for a softmax that divides by the root of their dimension."""
    key = with_key_bias(heads, bias).key.double()
    return key * (key.shape[-1] / heads.key.shape[-1]) ** 0.5


def test_an_infinite_bias_leaves_a_key_out(generator):
    heads, _ = tilted(5, generator)
    bias = torch.tensor([[0.0, -torch.inf, 0.0, 0.0, 0.0]])
    kept = Heads(*(tensor[:, :, [0, 2, 3, 4]] for tensor in heads))._replace(query=heads.query)
    found, expected = fused_attention(heads, key_bias=bias), fused_attention(kept)
    torch.testing.assert_close(found, expected, rtol=0, atol=BFLOAT16_UNIT)


def test_the_attention_of_a_reduction_takes_the_place_of_the_softmax(generator, stirred):
    attention = stirred(Attention(16, 2, generator=generator))
    tokens = torch.randn(2, 4, 16, dtype=torch.float64, generator=generator)
    bias = torch.randn(2, 4, dtype=torch.float64, generator=generator)

    def twice(heads, *, key_bias):
        return 2 * fused_attention(heads, key_bias=key_bias)

    def reduce(heads, x, attend=None):
        return Reduction(heads, restore=lambda output: output, key_bias=bias, attend=attend)

    one = attention(tokens, reduce=reduce) - attention.proj.bias
    other = attention(tokens, reduce=partial(reduce, attend=twice)) - attention.proj.bias
    torch.testing.assert_close(other, 2 * one, rtol=0, atol=FLOAT64_NETWORK)


def test_a_reducer_that_holds_state_is_made_for_every_forward(small_aggregator, images):
    made = []

    class Counted:
        def for_forward(self):
            layers = []
            made.append(layers)

            def reduce(heads, tokens, *, layer, layout):
                layers.append(layer)
                return identity(heads)

            return reduce

    aggregator = small_aggregator()
    for _ in range(2):
        aggregator(images(1, 2), reducer=Counted())
    assert made == [list(range(aggregator.config.depth))] * 2


def test_tokens_of_a_pair_leave_attention_with_the_same_update(small_aggregator, images):
    aggregator, seen = small_aggregator(), {}
    watch = Watch(frozenset({"global.01.attention.output"}), seen.__setitem__)
    plain = aggregator(images(1, 2)).layers[1]
    reduced = aggregator(images(1, 2), reducer=average_pairs, observe=watch)
    update = seen["global.01.attention.output"]
    assert torch.equal(update[:, 0::2], update[:, 1::2])
    assert (reduced.layers[1] - plain).abs().max() > 1e-3


def test_a_reducer_is_told_layer_layout_and_tokens(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(2, 3)
    calls = []

    def note(heads, tokens, *, layer, layout):
        calls.append((layer, layout, heads, tokens))
        return identity(heads)

    assert isinstance(note, Reducer)
    seen = {}
    aggregator(scene, reducer=note, observe=seen.__setitem__, frame_chunk=1)
    assert [layer for layer, *_ in calls] == [0, 1]
    for layer, layout, heads, tokens in calls:
        assert layout == TokenLayout(frames=3, rows=2, columns=3)
        stream = seen[f"frame.{layer:02d}.output"].reshape(2, 33, 16)
        expected = aggregator.global_blocks[layer].norm1(stream)
        torch.testing.assert_close(tokens, expected, rtol=0, atol=FLOAT64_NETWORK)
        for name, tensor in heads._asdict().items():
            assert torch.equal(tensor, seen[f"global.{layer:02d}.attention.{name}"])


def test_chunks_do_not_change_a_reduced_forward(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(1, 3)
    whole = aggregator(scene, reducer=average_pairs).layers[1]
    chunked = aggregator(scene, reducer=average_pairs, frame_chunk=2).layers[1]
    torch.testing.assert_close(chunked, whole, rtol=0, atol=FLOAT64_NETWORK)


def test_weights_of_a_reduced_attention_are_of_the_reduced_tokens(small_aggregator, images):
    seen, name = {}, "global.00.attention.weights"
    watch = Watch(frozenset({name}), seen.__setitem__)
    small_aggregator()(images(1, 3), reducer=average_pairs, observe=watch)
    assert seen[name].shape == (1, 2, 17, 17)


@pytest.mark.parametrize(
    ("queries", "keys", "values", "biases", "message"),
    [
        (2, 2, 3, 2, "got 2 queries, 2 keys, 3 values and 2 biases; reduce keys"),
        (2, 3, 3, 2, "got 2 queries, 3 keys, 3 values and 2 biases"),
        (0, 2, 2, 2, "got 0 queries, 2 keys"),
        (2, 0, 0, 0, "got 2 queries, 0 keys"),
    ],
)
def test_a_reduction_that_does_not_fit_is_refused(queries, keys, values, biases, message):
    heads = Heads(*(torch.zeros(1, 1, count, 4) for count in (queries, keys, values)))
    with pytest.raises(ValueError, match=message):
        Reduction(heads, restore=lambda output: output, key_bias=torch.zeros(1, biases))


def test_a_reduction_without_a_way_back_is_refused(small_aggregator, images):
    def drop(heads, tokens, *, layer, layout):
        return Reduction(Heads(*(t[:, :, :5] for t in heads)), restore=lambda output: output)

    message = r"restore must give back every token, shape \(1, 22, 16\), got \(1, 5, 16\) from"
    with pytest.raises(ValueError, match=message):
        small_aggregator()(images(1, 2), reducer=drop)

"""The reference bias against the attention that it stands for."""

import math

import pytest
import torch

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import AdjustedScores, length_scale, reference_bias
from attention_collapse.vggt.attention import Attention
from attention_collapse.vggt.observation import Watch
from attention_collapse.vggt.reduction import Heads
from tolerances import FLOAT64, FLOAT64_NETWORK


def close(computed, expected, tolerance=FLOAT64_NETWORK):
    torch.testing.assert_close(computed, expected, rtol=0, atol=tolerance)


def test_the_bias_is_the_logarithm_of_the_growth_and_never_below_zero():
    assert math.exp(reference_bias(512, 8)) == pytest.approx(64, rel=FLOAT64)
    assert reference_bias(8, 8) == reference_bias(2, 8) == 0
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 8; count the first"):
        reference_bias(0, 8)


def test_the_scale_is_a_ratio_of_logarithms():
    assert length_scale(8**4, 8) == pytest.approx(4, rel=FLOAT64)
    with pytest.raises(ValueError, match="at least 2, whose logarithm is positive, got 1 and 8"):
        length_scale(1, 8)


def test_copies_of_the_later_frames_are_not_felt_under_the_bias(small_aggregator, images):
    """Two later frames shown three times each: the odds of the reference are restored exactly."""
    aggregator, scene = small_aggregator(), images(2, 3)
    copied = scene[:, [0, 1, 2, 1, 2, 1, 2]]
    once = aggregator(scene).layers[1]
    cured = aggregator(copied, reducer=AdjustedScores(bias=math.log(3))).layers[1]
    close(cured[:, :3], once)
    close(cured[:, 3:5], once[:, 1:])
    assert (aggregator(copied).layers[1][:, :3] - once).abs().max() > 1e-3


def test_the_weights_are_those_of_changed_scores(small_aggregator, images):
    aggregator, scene, seen = small_aggregator(), images(1, 3), {}
    names = {f"global.00.attention.{point}" for point in ("query", "key", "weights")}
    watch = Watch(frozenset(names), seen.__setitem__)
    aggregator(scene, observe=watch, reducer=AdjustedScores(bias=0.7, scale=1.3))
    query, key, weights = (seen[f"global.00.attention.{n}"] for n in ("query", "key", "weights"))
    scores = 1.3 * query @ key.mT / query.shape[-1] ** 0.5
    scores[..., : TokenLayout(3, 2, 3).per_frame] += 0.7
    close(weights, scores.softmax(-1))


def test_no_change_is_bit_equal_to_no_reducer(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(2, 3)
    plain, changed = aggregator(scene), aggregator(scene, reducer=AdjustedScores())
    assert torch.equal(plain.layers[1], changed.layers[1])


def test_heads_of_16_bits_get_a_bias_of_32():
    heads = Heads(*torch.randn(3, 2, 1, 6, 4).bfloat16())
    reduction = AdjustedScores(bias=4.9)(
        heads, heads.value[:, 0], layer=0, layout=TokenLayout(1, 1, 1)
    )
    assert reduction.key_bias.dtype == torch.float32
    assert reduction.key_bias.shape == (2, 6)


@pytest.mark.parametrize("change", [{"bias": math.inf}, {"scale": 0.0}, {"scale": math.nan}])
def test_impossible_changes_are_refused(change):
    with pytest.raises(ValueError, match="0 and 1 leave the scores as they are"):
        AdjustedScores(**change)


def test_attention_alone_takes_it(generator):
    attention = Attention(16, 2, generator=generator).double()
    tokens = torch.randn(1, 12, 16, dtype=torch.float64, generator=generator)
    layout = TokenLayout(2, 1, 1)

    def reduce(heads, x):
        return AdjustedScores(bias=-1.0)(heads, x, layer=0, layout=layout)

    query, key, value = attention.heads_of(tokens)
    scores = query @ key.mT / 8**0.5
    scores[..., :6] -= 1
    mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
    close(attention(tokens, reduce=reduce), attention.proj(mixed))

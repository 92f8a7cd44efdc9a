import gc
import math
import weakref

import pytest
import torch
from torch import nn

from attention_collapse.measure import attention_maps
from attention_collapse.measure.observe import LayerRecorder, Spectra, record_queries_and_keys
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig, rotary_table, rotate
from tolerances import FLOAT64, STREAMED_NETWORK

SIZES = AggregatorConfig(width=32, depth=2, heads=2)
LAYOUT = TokenLayout.from_image(2, 28, 42)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


class ForeignAttention(nn.Module):
    """Attention as another code base may write it: whole projections, split into heads later."""

    def __init__(self):
        super().__init__()
        self.to_query, self.to_key, self.to_value = (nn.Linear(8, 8).double() for _ in range(3))

    def forward(self, x):
        query, key, value = (split(part(x)) for part in (self.to_query, self.to_key, self.to_value))
        return nn.functional.scaled_dot_product_attention(query, key, value)


def split(projected):
    """Two heads of four dimensions."""
    return projected.unflatten(-1, (2, 4)).transpose(1, 2)


@pytest.fixture
def network():
    generator = torch.Generator().manual_seed(0)
    return Aggregator(SIZES, generator=generator).double().eval()


@pytest.fixture
def images():
    return torch.rand(
        1, 2, 3, 28, 42, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("layers", [None, {"global.00", "global.01"}])
def test_a_recorder_measures_every_global_layer_of_our_network(network, images, layers):
    recorder, seen = LayerRecorder(layout=LAYOUT, layers=layers), {}
    with torch.inference_mode():
        network(images, observe=recorder, keep=())
        network(images, observe=seen.__setitem__, keep=())
    assert set(recorder.statistics) == {"global.00", "global.01"}
    query, key = (seen[f"global.01.attention.{point}"][0] for point in ("query", "key"))
    whole = attention_maps.attention_weights(query, key)
    found = recorder.statistics["global.01"]
    exact = attention_maps.row_entropy(whole).mean(-1)
    torch.testing.assert_close(found["row_entropy"], exact, rtol=STREAMED_NETWORK, atol=0)
    assert found["mean_cosine"].shape == ()
    assert "singular_values" not in found


def test_spectra_are_of_the_chosen_layers_and_do_not_depend_on_the_others(network, images):
    every = LayerRecorder(spectra=Spectra(None, count=2))
    one = LayerRecorder(layers={"global.01"}, spectra=Spectra({"global.01"}, count=2))
    with torch.inference_mode():
        for recorder in (every, one):
            network(images, observe=recorder, keep=())
    first, second = (each.statistics["global.01"]["singular_values"] for each in (every, one))
    assert torch.equal(first, second)


def test_no_tensor_is_kept_once_a_layer_is_measured():
    recorder = LayerRecorder()
    query, key = normal(1, 2, 9, 4), normal(1, 2, 9, 4, seed=1)
    watched = [weakref.ref(query), weakref.ref(key)]
    recorder("layer.attention.query", query)
    recorder("layer.attention.key", key)
    del query, key
    gc.collect()
    assert [reference() for reference in watched] == [None, None]


def test_batches_count_as_heads():
    recorder = LayerRecorder()
    recorder("a.attention.query", normal(3, 2, 9, 4))
    recorder("a.attention.key", normal(3, 2, 9, 4, seed=1))
    assert recorder.statistics["a"]["row_entropy"].shape == (6,)


def test_a_layer_that_has_collapsed_is_recorded():
    recorder, tokens = LayerRecorder(spectra=Spectra(None, count=2)), torch.full((1, 9, 8), 0.1)
    for point in ("query", "key"):
        recorder(f"a.attention.{point}", tokens[None].double())
    recorder("a.output", tokens)
    found = recorder.statistics["a"]
    assert found["spread"] == 0
    assert found["distance_from_rank_one"] <= FLOAT64
    assert math.isnan(found["participation_ratio"])


def test_keys_without_their_queries_are_refused():
    recorder = LayerRecorder()
    with pytest.raises(ValueError, match="after no queries: report both, queries first"):
        recorder("a.attention.key", normal(1, 2, 9, 4))
    recorder("b.attention.query", normal(1, 2, 9, 4))
    with pytest.raises(ValueError, match="got keys of 'a' after queries of 'b'"):
        recorder("a.attention.key", normal(1, 2, 9, 4))


def test_a_foreign_module_is_recorded_through_its_children():
    module, recorder, x = ForeignAttention(), LayerRecorder(), normal(1, 9, 8)
    with record_queries_and_keys(
        module, recorder, query="to_query", key="to_key", place=lambda _, given: split(given)
    ) as layers:
        module(x)
    assert layers == ("",)
    whole = attention_maps.attention_weights(split(module.to_query(x)), split(module.to_key(x)))[0]
    exact = attention_maps.row_entropy(whole).mean(-1).detach()
    found = recorder.statistics[""]["row_entropy"]
    torch.testing.assert_close(found, exact, rtol=STREAMED_NETWORK, atol=0)


def test_hooks_go_when_the_recording_ends():
    module, seen = ForeignAttention(), []
    options = {"query": "to_query", "key": "to_key"}
    with record_queries_and_keys(module, lambda name, _: seen.append(name), **options):
        module(normal(1, 9, 8))
    module(normal(1, 9, 8))
    assert seen == [".attention.query", ".attention.key"]


def test_our_network_seen_from_outside_gives_the_numbers_it_gives_itself(network, images):
    """Children of its attention see queries and keys before the rotation, which ``place`` adds."""
    inside, outside = (LayerRecorder() for _ in range(2))
    positions = torch.from_numpy(LAYOUT.positions())
    table = rotary_table(positions, dim=16, dtype=torch.float64)
    placed = []

    def place(path, tensor):
        placed.append(path)
        return rotate(tensor, table=table)

    with torch.inference_mode():
        network(images, observe=inside, keep=())
        with record_queries_and_keys(network, outside, place=place) as layers:
            network(images, keep=())
    assert layers[0] == "frame_blocks.0.attn"
    assert set(placed) == set(layers)
    for layer in (0, 1):
        own = inside.statistics[f"global.{layer:02d}"]
        foreign = outside.statistics[f"global_blocks.{layer}.attn"]
        for name in foreign:
            torch.testing.assert_close(
                foreign[name], own[name], rtol=STREAMED_NETWORK, atol=FLOAT64
            )


def test_a_network_without_such_children_is_refused():
    recording = record_queries_and_keys(nn.Linear(2, 2), LayerRecorder())
    with pytest.raises(ValueError, match="children 'q_norm' and 'k_norm', got none in Linear"):
        recording.__enter__()

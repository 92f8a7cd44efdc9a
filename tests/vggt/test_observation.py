import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from attention_collapse.vggt import observation
from attention_collapse.vggt.aggregator import observation_points
from attention_collapse.vggt.observation import Watch, attention_weights, scoped
from tolerances import BFLOAT16_UNIT, FLOAT64_NETWORK

NAME = "global.01.attention.weights"


def watched(aggregator, images, *names, **options):
    seen = {}
    output = aggregator(images, observe=Watch(frozenset(names), seen.__setitem__), **options)
    return output, seen


def test_a_watch_sees_the_points_it_names_and_no_other(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(1, 2)
    names = ("patch_embedding.output", "frame.00.attention.key", "global.01.output")
    _, seen = watched(aggregator, scene, *names)
    assert tuple(seen) == names
    everything = observed(aggregator, scene)[1]
    assert all(torch.equal(seen[name], everything[name]) for name in names)


def test_a_plain_observer_sees_all_points_but_the_weights(small_aggregator, images, observed):
    aggregator = small_aggregator()
    points = observation_points(aggregator.config)
    _, seen = observed(aggregator, images(1, 2))
    assert points - set(seen) == {name for name in points if name.endswith(".weights")}


def test_weights_are_those_that_mix_the_values(small_aggregator, images):
    aggregator, scene = small_aggregator(), images(2, 3)
    block = "global.01.attention."
    _, seen = watched(aggregator, scene, *(block + p for p in ("weights", "value", "output")))
    weights = seen[NAME]
    assert weights.shape == (2, 2, 33, 33)
    torch.testing.assert_close(
        weights.sum(dim=-1), torch.ones_like(weights[..., 0]), rtol=0, atol=FLOAT64_NETWORK
    )
    mixed = (weights @ seen[block + "value"]).transpose(1, 2).flatten(2)
    expected = aggregator.global_blocks[1].attn.proj(mixed)
    torch.testing.assert_close(seen[block + "output"], expected, rtol=0, atol=FLOAT64_NETWORK)


def test_weights_do_not_depend_on_the_rows_made_at_once(generator, monkeypatch):
    query, key = torch.randn(2, 1, 2, 7, 4, dtype=torch.float64, generator=generator)
    whole = attention_weights(query, key)
    monkeypatch.setattr(observation, "WEIGHT_ROWS", 3)
    torch.testing.assert_close(attention_weights(query, key), whole, rtol=0, atol=FLOAT64_NETWORK)


def test_a_bias_of_a_key_counts_it_so_many_times(generator):
    query, key = torch.randn(2, 1, 2, 5, 4, dtype=torch.float64, generator=generator)
    bias = torch.tensor([[0.0, 3.0, 0.0, 0.0, 0.0]], dtype=torch.float64).log1p()
    repeated = attention_weights(query, key[:, :, [0, 1, 1, 1, 1, 2, 3, 4]])
    expected = torch.cat(
        (repeated[..., :1], repeated[..., 1:5].sum(-1, True), repeated[..., 5:]), -1
    )
    torch.testing.assert_close(
        attention_weights(query, key, bias), expected, rtol=0, atol=FLOAT64_NETWORK
    )


def test_weights_have_the_type_of_the_query(generator):
    query, key = torch.randn(2, 1, 2, 5, 4, generator=generator)
    weights = attention_weights(query.bfloat16(), key.bfloat16())
    assert weights.dtype == torch.bfloat16
    expected = attention_weights(query.bfloat16().double(), key.bfloat16().double())
    torch.testing.assert_close(weights.double(), expected, rtol=4 * BFLOAT16_UNIT, atol=0)


def test_chunks_do_not_change_what_is_observed(small_aggregator, images, observed):
    aggregator, scene = small_aggregator(), images(1, 3)
    whole, chunked = {}, {}
    aggregator(scene, observe=whole.__setitem__)
    aggregator(scene, observe=chunked.__setitem__, frame_chunk=2)
    assert list(chunked) == list(whole)
    for name, tensor in chunked.items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=FLOAT64_NETWORK)


def test_the_network_lets_go_of_what_it_showed(small_aggregator, images):
    storages, alive = {}, []

    def watch(name, tensor):
        storages[name] = StorageWeakRef(tensor.untyped_storage())
        if name == "frame.01.output":
            alive.extend(name for name, storage in storages.items() if not storage.expired())

    names = observation_points(small_aggregator().config)
    with torch.inference_mode():
        small_aggregator()(images(1, 2), observe=Watch(names, watch), keep=())
    assert alive == ["global.00.output", "frame.01.output"]


def test_the_part_of_a_watch_below_a_scope():
    seen = []
    watch = Watch(frozenset({"a.b.c", "ab.c"}), lambda name, _: seen.append(name))
    inside = scoped(scoped(watch, "a"), "b")
    assert inside.names == {"c"}
    inside("c", torch.zeros(()))
    inside("d", torch.zeros(()))
    assert seen == ["a.b.c"]
    assert scoped(watch, "c") is None
    assert scoped(None, "a") is None


def test_a_watch_on_a_point_that_does_not_exist_is_refused(small_aggregator, images):
    message = r"got \['global.07.output'\] \(1 unknown\); names look like 'patch_embedding.output'"
    with pytest.raises(ValueError, match=message):
        watched(small_aggregator(), images(1, 1), "global.07.output", "global.01.output")

import pytest
import torch

from attention_collapse.vggt.residual_streams import ResidualStreams


@pytest.fixture
def halves(generator):
    draw = [torch.randn(1, 2, 3, 4, generator=generator) for _ in range(4)]
    return {7: (draw[0], draw[1]), 2: (draw[2], draw[3])}


def test_a_layer_is_its_two_halves_side_by_side_frame_first(halves):
    streams = ResidualStreams(halves)
    frame, whole = halves[7]
    assert torch.equal(streams[7], torch.cat((frame, whole), dim=-1))
    assert list(streams) == [2, 7]
    assert len(streams) == 2


def test_halves_are_not_copied(halves):
    stored = ResidualStreams(halves).halves(2)
    assert stored[0] is halves[2][0]
    assert stored[1] is halves[2][1]


def test_an_aggregator_stores_no_joined_stream(small_aggregator, images, observed):
    output, seen = observed(small_aggregator(), images(1, 2))
    for layer in output.layers:
        for kind, half in zip(("frame", "global"), output.layers.halves(layer), strict=True):
            observed_stream = seen[f"{kind}.{layer:02d}.output"]
            assert half.data_ptr() == observed_stream.data_ptr()


def test_a_layer_that_was_not_kept_is_named(halves):
    streams = ResidualStreams(halves)
    assert 3 not in streams
    with pytest.raises(KeyError, match=r"layer 3 was not kept, only \[2, 7\]: name it in keep"):
        streams[3]

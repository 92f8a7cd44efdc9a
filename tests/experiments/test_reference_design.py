import pytest
import torch

from attention_collapse.experiments import reference_design
from attention_collapse.experiments.reference_design import ReferenceDesign
from attention_collapse.vggt import Aggregator, AggregatorConfig
from tolerances import FLOAT64_NETWORK

SIZES = {"width": 16, "depth": 3, "heads": 2, "patch_size": 2, "layer_scale": 1.0}


@pytest.fixture
def aggregator():
    return Aggregator(
        AggregatorConfig(**SIZES), generator=torch.Generator().manual_seed(0)
    ).double()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, 3, 4, 6, dtype=torch.float64, generator=generator)


def test_it_computes_what_the_aggregator_computes(aggregator, images):
    expected = aggregator(images)
    output = ReferenceDesign(aggregator)(images, keep=(1,), frame_chunk=2)
    assert output.layout == expected.layout
    assert list(output.layers) == [0, 1, 2]
    for layer, stream in expected.layers.items():
        torch.testing.assert_close(output.layers[layer], stream, rtol=0, atol=FLOAT64_NETWORK)


def test_every_layer_is_stored_joined(aggregator, images):
    layers = ReferenceDesign(aggregator)(images).layers
    for layer in layers:
        frame, whole = layers.halves(layer)
        assert frame.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()


def test_every_block_makes_two_tables(aggregator, images, monkeypatch):
    calls, make = [], reference_design._gathered_table

    def count(*arguments):
        calls.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(reference_design, "_gathered_table", count)
    ReferenceDesign(aggregator)(images)
    assert len(calls) == 2 * 2 * 3


@pytest.mark.parametrize(
    "sizes", [{"order": ("global", "frame")}, {"group_size": 3}, {"rotary_base": None}]
)
def test_another_order_or_no_positions_are_refused(sizes):
    config = AggregatorConfig(**SIZES | sizes)
    network = Aggregator(config, generator=torch.Generator())
    with pytest.raises(ValueError, match="leave all three at their defaults"):
        ReferenceDesign(network)

import dataclasses

import numpy as np
import pytest
import torch

from attention_collapse.experiments import knock_out
from attention_collapse.experiments.trained_network import load_network
from attention_collapse.vggt import Watch

SMALL = knock_out.CANARY


@pytest.fixture(scope="module")
def network():
    aggregator = load_network("seed:0", "tiny", storage="float64", device="cpu").aggregator
    for block in aggregator.global_blocks:
        torch.nn.init.constant_(block.attn.proj.bias, 0.1)
    return aggregator


@pytest.fixture(scope="module")
def measurement():
    return knock_out.run(SMALL, device="cpu")


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, 3, 28, 28, dtype=torch.float64, generator=generator)


def outputs(network, images):
    seen = {}
    names = {f"global.{layer:02d}.attention.output" for layer in range(2)}
    with torch.inference_mode():
        network(images, observe=Watch(frozenset(names), seen.__setitem__))
    return [seen[name] for name in sorted(seen)]


def test_a_layer_without_its_attention_adds_nothing(network, images):
    with knock_out.without(network, (1,), None):
        first, second = outputs(network, images)
    assert first.any()
    assert not second.any()


def test_heads_are_the_parts_of_a_layer(network, images):
    """The outputs of a layer with one head at a time sum up to its own, but for the bias."""
    whole, bias = outputs(network, images)[0], network.global_blocks[0].attn.proj.bias
    alone = []
    for head in range(3):
        others = [other for other in range(3) if other != head]
        with knock_out.without(network, (0,), others):
            alone.append(outputs(network, images)[0] - bias)
        # A head reaches every channel of the output.
        assert alone[-1].any(1).all()
    torch.testing.assert_close(sum(alone) + bias, whole)


def test_the_weights_come_back(network, images):
    before = outputs(network, images)
    with pytest.raises(KeyError), knock_out.without(network, range(2), None):
        raise KeyError
    for one, other in zip(before, outputs(network, images), strict=True):
        assert torch.equal(one, other)


def test_without_all_no_frame_learns_of_another(network, images):
    other = images.clone()
    other[0, 2] = 1 - other[0, 2]
    with knock_out.without(network, range(2), None), torch.inference_mode():
        first, second = (network(each).layers[1][0, :2] for each in (images, other))
    assert torch.equal(first, second)


def test_every_removal_is_measured_by_itself(measurement):
    arrays = measurement.arrays
    sizes = {"scene": 1, "frame_count": 1, "layer": 2, "head": 3}
    for name, array in arrays.items():
        assert [sizes[axis] for axis in measurement.axes[name]] == list(array.shape), name
    assert set(measurement.units) == set(arrays)
    heads = arrays["points_without_head"].ravel()
    every = [*arrays["points"].ravel(), *arrays["points_without_layer"].ravel(), *heads]
    assert len(set(every)) == len(every)
    assert np.isfinite(list(knock_out.canary_values(measurement).values())).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (1,)}, "frames must be at least 2 and scene_seeds name a scene"),
        ({"scene_seeds": ()}, "scene_seeds name a scene"),
        ({"weights": "seed:"}, "a seed of weights is a number"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments import depth_skip, iterated_depth, orbit_frames
from attention_collapse.experiments.block_parts import (
    IteratedSteps,
    PartialSteps,
    Parts,
    pass_block,
)
from attention_collapse.experiments.layer_steps import LayerSteps
from attention_collapse.experiments.trained_network import load_network, trained_layout
from tolerances import COLLAPSED_WITHOUT_SKIP, NORM_EPSILON_SHARE, STREAMED_NETWORK

LAYOUT = trained_layout("tiny", 2)


@pytest.fixture(scope="module", autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def network():
    return load_network("seed:0", "tiny", storage="float64", device="cpu").aggregator


@pytest.fixture(scope="module")
def images():
    return scenes.orbit(2, image_size=(28, 28), seed=0, dtype=torch.float64).images


def test_with_all_parts_the_stream_is_that_of_the_network(network, images):
    partial = PartialSteps(network, LAYOUT, Parts())
    whole = LayerSteps(network, LAYOUT, frame_chunk=2)
    found, expected = partial.start(images), whole.start(images)
    for layer in range(2):
        found, expected = partial.step(found, layer), whole.step(expected, layer)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("part", [field.name for field in dataclasses.fields(Parts)])
def test_every_part_changes_the_stream(network, images, part):
    whole, without = (
        PartialSteps(network, LAYOUT, parts) for parts in (Parts(), Parts(**{part: False}))
    )
    start = whole.start(images)
    assert not torch.allclose(whole.step(start, 1), without.step(start, 1))


def test_without_its_skip_attention_replaces_the_tokens(network, images):
    """Zero attention leaves nothing, and with its skip everything."""
    block, tokens = network.global_blocks[0], PartialSteps(network, LAYOUT, Parts()).start(images)
    weight = block.ls1.gamma.clone()
    block.ls1.gamma.zero_()
    kept = pass_block(block, tokens, Parts(mlp=False), None)
    replaced = pass_block(block, tokens, Parts(mlp=False, attention_skip=False), None)
    block.ls1.gamma.copy_(weight)
    assert torch.equal(kept, tokens)
    assert not replaced.any()


def test_a_common_norm_keeps_the_ratios_of_tokens(network):
    """Without its own norm a token twice as long stays twice as long for the queries."""
    block = network.global_blocks[0]
    x = torch.randn(1, 6, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    seen = {}
    handle = block.attn.register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    pass_block(block, torch.cat((x, 2 * x), dim=1), Parts(own_norm=False), None)
    handle.remove()
    torch.testing.assert_close(seen["x"][:, 6:], 2 * seen["x"][:, :6])
    assert float(seen["x"].square().mean()) == pytest.approx(1, rel=NORM_EPSILON_SHARE)


def test_an_iteration_is_the_block_again_and_again(network, images):
    parts = Parts(rotary=False)
    steps = IteratedSteps(network, LAYOUT, parts, layer=1, counts=(1, 3))
    whole = PartialSteps(network, LAYOUT, Parts())
    expected = whole.within_frames(whole.step(whole.start(images), 0), 1)
    found = steps.start(images)
    assert torch.equal(found, expected)
    seen = []
    for layer in range(2):
        found = steps.step(found, layer, observe=lambda name, tensor: seen.append(name))
    partial = PartialSteps(network, LAYOUT, parts)
    for turn in range(3):
        if turn:
            expected = partial.within_frames(expected, 1)
        expected = partial.over_frames(expected, 1, None)
    torch.testing.assert_close(found, expected)
    outputs = [name for name in seen if name.endswith("1.output") or name.endswith("0.output")]
    assert outputs == ["global.00.output", "global.01.output"]


def test_attention_alone_leaves_frames_out(network, images):
    """With no frame block and no positions, the tokens of two frames are one set."""
    steps = IteratedSteps(
        network, LAYOUT, iterated_depth.SETTINGS["attention"], layer=0, counts=(2,)
    )
    start = steps.start(images)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(0))
    mixed = start.flatten(0, 1)[order].reshape(start.shape)
    expected = steps.step(start, 0).flatten(0, 1)[order]
    torch.testing.assert_close(steps.step(mixed, 0).flatten(0, 1), expected)


@pytest.fixture(scope="module")
def skips():
    return depth_skip.run(depth_skip.CANARY, device="cpu")


def test_without_skips_tokens_collapse_with_depth(skips):
    """At drawn weights: the spread after two layers, with its skips and without."""
    assert skips.arrays["settings"].tolist() == list(depth_skip.SETTINGS)
    spread = skips.arrays["spread"][:, 0, 0, -1]
    assert spread[2] < COLLAPSED_WITHOUT_SKIP * spread[0]
    assert spread[3] < COLLAPSED_WITHOUT_SKIP * spread[0]


def test_with_skips_the_numbers_are_those_of_the_orbit(skips):
    expected = orbit_frames.run(orbit_frames.CANARY, device="cpu").arrays
    for name in ("row_entropy", "stable_rank", "mean_cosine"):
        np.testing.assert_allclose(
            skips.arrays[name][0, 0, 0], expected[name][0, 0], rtol=STREAMED_NETWORK
        )


def test_iterations_have_axes_and_finite_canaries(skips):
    iterations = iterated_depth.run(iterated_depth.CANARY, device="cpu")
    for measurement, module in ((skips, depth_skip), (iterations, iterated_depth)):
        sizes = {"setting": 4, "scene": 1, "frame_count": 1, "head": 3, "block": 2, "layer": 2}
        for name, array in measurement.arrays.items():
            assert len(measurement.axes[name]) == array.ndim, name
            for axis, length in zip(measurement.axes[name], array.shape, strict=True):
                assert sizes.setdefault(axis, length) == length, (name, axis)
        assert set(measurement.units) == set(measurement.arrays)
        values = module.canary_values(measurement)
        assert np.isfinite(list(values.values())).all()
    differ = iterations.arrays["spread"][:, 0, 0, 0, -1]
    assert all(one != other for one, other in itertools.pairwise(differ))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": (1, 0)}, "blocks must ascend from 0 or more"),
        ({"blocks": (0, 2)}, "blocks must be among the 2 of the network"),
        ({"applications": (0, 1)}, "applications must ascend from 1 or more"),
        ({"applications": ()}, "applications must ascend from 1 or more"),
    ],
)
def test_bad_iterations_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(iterated_depth.CANARY, **settings)

import pytest
import torch

from attention_collapse.vggt.initialisation import (
    convolution,
    linear,
    patch_convolution,
    upsampling_convolution,
)
from tolerances import SAMPLED_STANDARD_DEVIATION


@pytest.mark.parametrize("inputs", [64, 1024])
def test_linear_keeps_the_variance_of_its_inputs(generator, inputs):
    layer = linear(inputs, 256, generator=generator)
    assert layer.weight.std().item() * inputs**0.5 == pytest.approx(
        1, rel=SAMPLED_STANDARD_DEVIATION
    )
    assert not layer.bias.any()


def test_linear_without_a_bias_has_none(generator):
    assert linear(4, 4, bias=False, generator=generator).bias is None


def test_patch_convolution_counts_all_values_of_a_patch(generator):
    layer = patch_convolution(3, 256, patch_size=4, generator=generator)
    assert layer.weight.shape == (256, 3, 4, 4)
    assert layer.stride == (4, 4)
    assert layer.weight.std().item() * 48**0.5 == pytest.approx(1, rel=SAMPLED_STANDARD_DEVIATION)
    assert not layer.bias.any()


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_convolution_keeps_the_variance_of_its_inputs(generator, kernel_size):
    layer = convolution(64, 256, kernel_size=kernel_size, bias=False, generator=generator)
    assert layer.bias is None
    assert layer.weight.std().item() * 8 * kernel_size == pytest.approx(
        1, rel=SAMPLED_STANDARD_DEVIATION
    )


def test_convolution_keeps_or_halves_the_size_of_a_map(generator):
    maps = torch.randn(1, 2, 5, 8, generator=generator)
    for kernel_size, stride, size in ((1, 1, (5, 8)), (3, 1, (5, 8)), (3, 2, (3, 4))):
        layer = convolution(2, 3, kernel_size=kernel_size, stride=stride, generator=generator)
        assert layer(maps).shape == (1, 3, *size)
        assert not layer.bias.any()


def test_upsampling_convolution_keeps_the_variance_of_its_inputs(generator):
    layer = upsampling_convolution(64, factor=2, generator=generator)
    assert not layer.bias.any()
    maps = torch.randn(4, 64, 16, 16, generator=generator)
    enlarged = layer(maps)
    assert enlarged.shape == (4, 64, 32, 32)
    assert layer.weight.std().item() * 8 == pytest.approx(1, rel=SAMPLED_STANDARD_DEVIATION)
    # Each cell of the result reads one cell of the input.
    maps[:, :, 3, 5] += 1
    changed = (layer(maps) - enlarged)[0].abs().amax(dim=0).nonzero().tolist()
    assert changed == [[6, 10], [6, 11], [7, 10], [7, 11]]


def test_layers_are_made_on_the_default_device():
    generator = torch.Generator()
    with torch.device("meta"):
        layers = [
            linear(2, 2, generator=generator),
            convolution(2, 2, kernel_size=1, generator=generator),
            patch_convolution(3, 2, patch_size=2, generator=generator),
            upsampling_convolution(2, factor=2, generator=generator),
        ]
    assert {weight.device.type for layer in layers for weight in layer.parameters()} == {"meta"}


def test_the_generator_alone_decides_the_weights():
    state = torch.get_rng_state()
    first, again, other = (
        linear(8, 8, generator=torch.Generator().manual_seed(seed)).weight for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)

import pytest
import torch

from attention_collapse.vggt.initialisation import linear, patch_convolution
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


def test_the_generator_alone_decides_the_weights():
    state = torch.get_rng_state()
    first, again, other = (
        linear(8, 8, generator=torch.Generator().manual_seed(seed)).weight for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)

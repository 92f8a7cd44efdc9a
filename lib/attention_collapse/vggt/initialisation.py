"""Layers with weights drawn from an explicit generator.

The global random state is neither read nor moved, so a seed fixes a network whatever ran before.
"""

import torch
from torch import nn
from torch.nn.utils import skip_init


def linear(
    inputs: int, outputs: int, *, bias: bool = True, generator: torch.Generator
) -> nn.Linear:
    r"""A linear layer with weights :math:`\mathcal{N}(0, 1/\text{inputs})` and zero bias.

    Home section: *The phenomenon*.
    """
    layer = skip_init(nn.Linear, inputs, outputs, bias=bias)
    _draw(layer, generator)
    return layer


def patch_convolution(
    channels: int, width: int, *, patch_size: int, generator: torch.Generator
) -> nn.Conv2d:
    r"""A convolution that maps each square patch to one vector of ``width`` numbers.

    Kernel and stride are both ``patch_size``. The weights are :math:`\mathcal{N}(0, 1/n)` with
    :math:`n` the number of values in one patch; the bias is zero.

    Home section: *The phenomenon*.
    """
    layer = skip_init(nn.Conv2d, channels, width, kernel_size=patch_size, stride=patch_size)
    _draw(layer, generator)
    return layer


def _draw(layer: nn.Linear | nn.Conv2d, generator: torch.Generator) -> None:
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=fan_in**-0.5, generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)

"""Layers with weights drawn from an explicit generator.

The global random state is neither read nor moved, so a seed fixes a network whatever ran before.
Layers are made on torch's default device: ``with torch.device("meta")`` makes names and shapes
without any storage.
"""

from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils import skip_init

Layer = TypeVar("Layer", bound=nn.Module)


def linear(
    inputs: int, outputs: int, *, bias: bool = True, generator: torch.Generator
) -> nn.Linear:
    r"""A linear layer with weights :math:`\mathcal{N}(0, 1/\text{inputs})` and zero bias.

    Home section: *The phenomenon*.
    """
    layer = _undrawn(nn.Linear, inputs, outputs, bias=bias)
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
    layer = _undrawn(nn.Conv2d, channels, width, kernel_size=patch_size, stride=patch_size)
    _draw(layer, generator)
    return layer


def convolution(
    inputs: int,
    outputs: int,
    *,
    kernel_size: int,
    stride: int = 1,
    bias: bool = True,
    generator: torch.Generator,
) -> nn.Conv2d:
    r"""A convolution, zero-padded so that stride 1 keeps the size of a map; odd kernels only.

    The weights are :math:`\mathcal{N}(0, 1/n)` with :math:`n` the number of values under the
    kernel; the bias is zero.

    Home section: *The phenomenon*.
    """
    layer = _undrawn(
        nn.Conv2d,
        inputs,
        outputs,
        kernel_size=kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=bias,
    )
    _draw(layer, generator)
    return layer


def upsampling_convolution(
    channels: int, *, factor: int, generator: torch.Generator
) -> nn.ConvTranspose2d:
    r"""A transposed convolution that turns each cell of a map into ``factor`` x ``factor`` cells.

    The cells do not overlap, so each reads the ``channels`` numbers of one input cell: the weights
    are :math:`\mathcal{N}(0, 1/\text{channels})`, the bias is zero.

    Home section: *The phenomenon*.
    """
    layer = _undrawn(nn.ConvTranspose2d, channels, channels, kernel_size=factor, stride=factor)
    nn.init.normal_(layer.weight, std=channels**-0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _undrawn(kind: type[Layer], *sizes: int, **options: Any) -> Layer:
    return skip_init(kind, *sizes, device=torch.get_default_device(), **options)


def _draw(layer: nn.Linear | nn.Conv2d, generator: torch.Generator) -> None:
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=fan_in**-0.5, generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)

"""Fusion of the dense head: four feature maps of different size become one, coarse to fine."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.initialisation import convolution

READOUT_WIDTH = 32

# Numbers in one resized tensor: the largest count that every kernel of torch can index.
RESIZE_LIMIT = 1_610_612_736


def resize(
    maps: Float[Tensor, "image channel row column"], size: tuple[int, int]
) -> Float[Tensor, "image channel new_row new_column"]:
    """The maps at ``size`` (rows, columns), bilinear; the corner cells keep their centres.

    A result of more numbers than a kernel can index is made a few images at a time.

    Args:
        maps: Feature maps.
        size: Rows and columns of the result.

    Home section: *The phenomenon*.
    """
    images = max(1, RESIZE_LIMIT // (maps.shape[1] * size[0] * size[1]))
    parts = [
        F.interpolate(part, size=size, mode="bilinear", align_corners=True)
        for part in maps.split(images)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class ResidualUnit(nn.Module):
    r"""Two convolutions beside a rectified residual.

    .. math:: r = \operatorname{ReLU}(x), \qquad y = r + W_2 * \operatorname{ReLU}(W_1 * r)

    The residual is :math:`r`, not :math:`x`: VGGT was trained with a rectifier that overwrites its
    input before the sum reads it, so this is the function that its weights belong to. State names:
    ``conv1``, ``conv2``.

    Args:
        features: Channels of the map.
        generator: Source of the weights.

    Source: RefineNet (arXiv 1611.06612), with the residual as in VGGT (arXiv 2503.11651).
    Home section: *The phenomenon*.
    """

    def __init__(self, features: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.conv1 = convolution(features, features, kernel_size=3, generator=generator)
        self.conv2 = convolution(features, features, kernel_size=3, generator=generator)

    def forward(
        self, maps: Float[Tensor, "image channel row column"]
    ) -> Float[Tensor, "image channel row column"]:
        """The rectified maps plus their correction."""
        rectified = maps.relu()
        return rectified + self.conv2(self.conv1(rectified).relu())


class FusionBlock(nn.Module):
    """One step from coarse to fine: add the finer map, refine, enlarge, mix the channels.

    State names are VGGT's: ``resConfUnit1`` (refines the finer map; absent from the coarsest step,
    which has one input), ``resConfUnit2`` (refines the sum), ``out_conv``.

    Args:
        features: Channels of the maps.
        coarsest: Leave out the second input.
        generator: Source of the weights.

    Source: DPT (arXiv 2103.13413), section 3.1. Home section: *The phenomenon*.
    """

    def __init__(
        self, features: int, *, coarsest: bool = False, generator: torch.Generator
    ) -> None:
        super().__init__()
        if not coarsest:
            self.resConfUnit1 = ResidualUnit(features, generator=generator)
        self.resConfUnit2 = ResidualUnit(features, generator=generator)
        self.out_conv = convolution(features, features, kernel_size=1, generator=generator)

    def forward(
        self,
        coarse: Float[Tensor, "image channel row column"],
        fine: Float[Tensor, "image channel row column"] | None = None,
        *,
        size: tuple[int, int],
    ) -> Float[Tensor, "image channel new_row new_column"]:
        """The fused map at ``size``.

        Args:
            coarse: Result of the step before, or the coarsest map.
            fine: Map of this step; ``None`` for the coarsest step.
            size: Rows and columns of the result.
        """
        if fine is not None:
            coarse = coarse + self.resConfUnit1(fine)
        return self.out_conv(resize(self.resConfUnit2(coarse), size))


class FeatureFusion(nn.Module):
    """The map of features that four levels agree on, and the readout of its pixels.

    State names are VGGT's, counted from the finest level 1 to the coarsest level 4:
    ``layer1_rn`` to ``layer4_rn`` bring the levels to the same channels, ``refinenet4`` to
    ``refinenet1`` fuse them, ``output_conv1`` closes the fusion, ``output_conv2`` is the readout.

    Args:
        levels: Channels of the four levels, finest first.
        features: Channels of the fusion.
        outputs: Channels of the readout, which then gets half of the features; ``None`` leaves
            the readout out and all features come through.
        generator: Source of the weights.

    Source: DPT (arXiv 2103.13413), section 3.1. Home section: *The phenomenon*.
    """

    def __init__(
        self,
        levels: Sequence[int],
        features: int,
        *,
        outputs: int | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        for level, channels in enumerate(levels, start=1):
            reduce = convolution(channels, features, kernel_size=3, bias=False, generator=generator)
            setattr(self, f"layer{level}_rn", reduce)
        for level in range(1, 5):
            step = FusionBlock(features, coarsest=level == 4, generator=generator)
            setattr(self, f"refinenet{level}", step)
        passed = features if outputs is None else features // 2
        self.output_conv1 = convolution(features, passed, kernel_size=3, generator=generator)
        self.output_conv2 = None if outputs is None else _readout(passed, outputs, generator)

    def forward(
        self, levels: Sequence[Float[Tensor, "image _ _ _"]]
    ) -> Float[Tensor, "image channel row column"]:
        """The fused features at twice the size of the finest level.

        Args:
            levels: The four maps, finest first.
        """
        first, second, third, fourth = (
            getattr(self, f"layer{level}_rn")(maps) for level, maps in enumerate(levels, start=1)
        )
        fused = self.refinenet4(fourth, size=_size(third))
        fused = self.refinenet3(fused, third, size=_size(second))
        fused = self.refinenet2(fused, second, size=_size(first))
        rows, columns = _size(first)
        fused = self.refinenet1(fused, first, size=(2 * rows, 2 * columns))
        return self.output_conv1(fused)


def _readout(features: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(
        convolution(features, READOUT_WIDTH, kernel_size=3, generator=generator),
        nn.ReLU(),
        convolution(READOUT_WIDTH, outputs, kernel_size=1, generator=generator),
    )


def _size(maps: Float[Tensor, "image channel row column"]) -> tuple[int, int]:
    return tuple(maps.shape[-2:])

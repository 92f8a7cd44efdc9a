"""Patch embedding: pixels in, one token per patch out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.initialisation import patch_convolution


class PatchEmbedding(nn.Module):
    r"""One linear map of each patch's pixels, :math:`x_p = W\,\mathrm{vec}(\text{patch}_p) + b`.

    The map is a convolution whose stride equals its kernel, so patches do not overlap. It carries
    no position: positions enter through the rotary embedding only. State name: ``proj``.

    Args:
        width: Channels of a token.
        patch_size: Side of a patch in pixels.
        generator: Source of the weights.

    Source: the convolutional variant of VGGT's patch embedding (arXiv 2503.11651).
    Home section: *The phenomenon*.
    """

    def __init__(self, width: int, *, patch_size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.proj = patch_convolution(3, width, patch_size=patch_size, generator=generator)

    def forward(
        self, images: Float[Tensor, "image 3 image_height image_width"]
    ) -> Float[Tensor, "image patch width"]:
        """The patch tokens of each image, row by row, in the type of the weights.

        Raises:
            ValueError: A side of the images is not a positive multiple of the patch size.
        """
        height, width = images.shape[-2:]
        (patch_size, _) = self.proj.kernel_size
        if min(height, width) < 1 or height % patch_size or width % patch_size:
            raise ValueError(
                f"image sides must be positive multiples of the patch size {patch_size}, got "
                f"height {height} and width {width}; resize or crop the images"
            )
        return self.proj(images.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)

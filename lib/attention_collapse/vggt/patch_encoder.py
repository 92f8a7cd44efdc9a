"""Patch encoder: a vision transformer on each image alone, from pixels to patch tokens."""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from attention_collapse.vggt.attention import head_dimension
from attention_collapse.vggt.block import Block, check_layer_scale
from attention_collapse.vggt.full_precision import full_precision
from attention_collapse.vggt.mlp import hidden_width
from attention_collapse.vggt.patch_embedding import PatchEmbedding
from attention_collapse.vggt.validation import require_minimum

ENCODER_NORM_EPSILON = 1e-6
"""Added to the variance in every LayerNorm of the patch encoder."""

# First scales: positions small beside a patch token of size one, the other tokens close to zero.
POSITION_STD = 0.02
TOKEN_STD = 1e-6

# Pairs of counts whose weights stay in memory, source times target numbers each.
CACHED_RESAMPLINGS = 64


@dataclass(frozen=True)
class PatchEncoderConfig:
    """Sizes of a patch encoder; the defaults are VGGT's.

    Args:
        width: Channels of a token.
        depth: Number of blocks.
        heads: Attention heads of a block.
        mlp_ratio: Hidden channels of a block's MLP over ``width``.
        registers: Register tokens of an image; the class token comes on top.
        image_size: Side in pixels of the square image that the position table was made for.
        patch_size: Side of a patch in pixels.
        layer_scale: First value of the residual scales; ``None`` leaves them out.

    Raises:
        ValueError: A size is too small or not finite, or two sizes do not fit each other.

    Source: DINOv2 (arXiv 2304.07193) with registers (arXiv 2309.16588), as VGGT
    (arXiv 2503.11651) uses it. Home section: *The phenomenon*.
    """

    width: int = 1024
    depth: int = 24
    heads: int = 16
    mlp_ratio: float = 4.0
    registers: int = 4
    image_size: int = 518
    patch_size: int = 14
    layer_scale: float | None = 1.0

    def __post_init__(self) -> None:
        require_minimum(self, depth=1, registers=0, image_size=1, patch_size=1)
        hidden_width(self.width, self.mlp_ratio)
        head_dimension(self.width, self.heads)
        if self.layer_scale is not None:
            check_layer_scale(self.layer_scale)
        if self.image_size % self.patch_size:
            raise ValueError(
                "image_size must be a multiple of patch_size, got image_size "
                f"{self.image_size} and patch_size {self.patch_size}; VGGT uses 518 and 14"
            )

    @property
    def grid_side(self) -> int:
        """Patches along a side of the position table."""
        return self.image_size // self.patch_size


class PatchEncoder(nn.Module):
    r"""Patch tokens of each image after attention inside that image.

    The sequence is a class token, the registers and the patches. Class token and patches carry a
    learned position; the registers carry none. The position table belongs to a square grid of
    patches, and other grids read it by interpolation (see ``resampling_weights``). After the
    blocks and a LayerNorm the patches are returned; class token and registers only take part.

    State names are VGGT's: ``cls_token``, ``pos_embed``, ``register_tokens``, ``mask_token``,
    ``patch_embed.proj``, ``blocks``, ``norm``. The mask token stands in for hidden patches while
    such an encoder is pre-trained; it is kept for its name and never read.

    Args:
        config: Sizes.
        generator: Source of the first weights; the same seed gives the same weights.

    Source: DINOv2 (arXiv 2304.07193) with registers (arXiv 2309.16588).
    Home section: *The phenomenon*.
    """

    def __init__(self, config: PatchEncoderConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        width, positions = config.width, 1 + config.grid_side**2
        self.cls_token = _tokens(1, width, TOKEN_STD, generator)
        self.pos_embed = _tokens(positions, width, POSITION_STD, generator)
        self.register_tokens = _tokens(config.registers, width, TOKEN_STD, generator)
        self.mask_token = nn.Parameter(torch.zeros(1, width), requires_grad=False)
        self.patch_embed = PatchEmbedding(width, patch_size=config.patch_size, generator=generator)
        self.blocks = nn.Sequential(*(_block(config, generator) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(width, eps=ENCODER_NORM_EPSILON)

    def forward(
        self, images: Float[Tensor, "image 3 image_height image_width"]
    ) -> Float[Tensor, "image patch width"]:
        """The normalised patch tokens of each image, row by row.

        Args:
            images: Pixels minus their mean over their standard deviation; the sides are multiples
                of the patch size.

        Raises:
            ValueError: A side of the images is not a positive multiple of the patch size.
        """
        return self.norm(self.residual_stream(images)[:, 1 + self.config.registers :])

    def residual_stream(
        self, images: Float[Tensor, "image 3 image_height image_width"]
    ) -> Float[Tensor, "image token width"]:
        """The residual stream after the last block: class token, registers, patches.

        Raises:
            ValueError: A side of the images is not a positive multiple of the patch size.
        """
        count, _, height, width = images.shape
        embedded = self.patch_embed(images.to(self.patch_embed.proj.weight.dtype))
        patch_size = self.config.patch_size
        position = self.position_table(height // patch_size, width // patch_size)
        first = (self.cls_token + position[:, :1]).expand(count, -1, -1)
        registers = self.register_tokens.expand(count, -1, -1)
        return self.blocks(torch.cat((first, registers, embedded + position[:, 1:]), dim=1))

    def position_table(self, rows: int, columns: int) -> Float[Tensor, "1 position width"]:
        """The positions of the class token and of a grid of patches, row by row.

        On the table's own square grid these are the learned positions. On any other grid, also one
        of the same count, the patch positions are interpolated along rows and columns.

        Args:
            rows: Patch rows of the image.
            columns: Patch columns of the image.
        """
        side = self.config.grid_side
        if (rows, columns) == (side, side):
            return self.pos_embed
        first, patches = self.pos_embed[:, :1], self.pos_embed[0, 1:]
        with full_precision(patches.device):
            along_rows = resampling_weights(side, rows).to(patches)
            along_columns = resampling_weights(side, columns).to(patches)
            resampled_rows = torch.tensordot(along_rows, patches.unflatten(0, (side, side)), dims=1)
            grid = along_columns @ resampled_rows
        return torch.cat((first, grid.flatten(0, 1)[None]), dim=1)


@lru_cache(maxsize=CACHED_RESAMPLINGS)
def resampling_weights(source: int, target: int) -> Float64[Tensor, "target source"]:
    r"""The matrix that resamples ``source`` evenly spaced values to ``target``.

    Row :math:`i` holds the cubic convolution kernel (:math:`a = -1/2`) around the place

    .. math:: (i + \tfrac12)\, \frac{\text{source}}{\text{target}} - \tfrac12

    of output :math:`i` between the inputs, scaled to sum to one. Where the target is coarser the
    kernel is stretched by source over target, which keeps fine detail from folding into it. A map
    is resampled by one such matrix for its rows and one for its columns.

    The weights depend on two counts only and are kept between calls, in float64 on the CPU; a
    caller converts them and leaves them unchanged.

    Args:
        source: Number of input values.
        target: Number of output values.

    Source: Keys, Cubic convolution interpolation for digital image processing (1981), as torch
    and Pillow apply it when they resize an image. Home section: *Notation*.
    """
    # Weights born in inference mode could not serve a later call that records gradients.
    with torch.inference_mode(mode=False):
        unit_rows = torch.eye(source, dtype=torch.float64, device="cpu")[None, None]
        size = (target, source)
        return F.interpolate(unit_rows, size=size, mode="bicubic", antialias=True)[0, 0]


def _tokens(count: int, width: int, std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(1, count, width).normal_(std=std, generator=generator))


def _block(config: PatchEncoderConfig, generator: torch.Generator) -> Block:
    return Block(
        config.width,
        config.heads,
        mlp_ratio=config.mlp_ratio,
        layer_scale=config.layer_scale,
        qk_norm=False,
        norm_epsilon=ENCODER_NORM_EPSILON,
        generator=generator,
    )

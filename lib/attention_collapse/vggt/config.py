"""Sizes of the network, refused early when they do not fit each other."""

import math
from dataclasses import dataclass

from attention_collapse.vggt.attention import head_dimension
from attention_collapse.vggt.block import check_layer_scale
from attention_collapse.vggt.mlp import hidden_width
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig
from attention_collapse.vggt.rope import check_rotary
from attention_collapse.vggt.scalable_softmax import check_softmax_factor
from attention_collapse.vggt.validation import require_minimum


@dataclass(frozen=True)
class AggregatorConfig:
    """Sizes of an aggregator; the defaults are VGGT's.

    Args:
        width: Channels of a token.
        depth: Number of frame blocks, and of global blocks.
        heads: Attention heads of a block.
        mlp_ratio: Hidden channels of a block's MLP over ``width``.
        registers: Register tokens of a frame; the camera token comes on top.
        patch_size: Side of a patch in pixels.
        rotary_base: Base of the rotary frequencies; ``None`` leaves positions out.
        layer_scale: First value of the residual scales; ``None`` leaves them out.
        special_token_std: Standard deviation of the first camera and register tokens: by default
            close to zero, yet not equal to each other.
        qk_norm: Normalise query and key.
        scalable_softmax: First value of the factors of global blocks that make scores grow with
            the logarithm of the tokens, see ``ScalableSoftmax``; ``None``, as in VGGT, leaves them
            out.
        order: Which kind of attention comes first in a group: ``"frame"`` or ``"global"``.
        group_size: Blocks of one kind that run before the other kind takes over.
        patch_encoder: Sizes of the transformer that turns patches into tokens, as VGGT-1B has it;
            ``None`` maps the pixels of each patch to a token by one linear map.

    Raises:
        ValueError: A size is too small or not finite, two sizes do not fit each other, or the
            order is not one of the two.

    Source: VGGT (arXiv 2503.11651), section 3. Home section: *The phenomenon*.
    """

    width: int = 1024
    depth: int = 24
    heads: int = 16
    mlp_ratio: float = 4.0
    registers: int = 4
    patch_size: int = 14
    rotary_base: float | None = 100.0
    layer_scale: float | None = 0.01
    special_token_std: float = 1e-6
    qk_norm: bool = True
    scalable_softmax: float | None = None
    order: tuple = ("frame", "global")
    group_size: int = 1
    patch_encoder: PatchEncoderConfig | None = None

    def __post_init__(self) -> None:
        require_minimum(self, depth=1, registers=0, patch_size=1, group_size=1)
        hidden_width(self.width, self.mlp_ratio)
        dim = head_dimension(self.width, self.heads)
        if self.rotary_base is not None:
            check_rotary(dim, self.rotary_base)
        if self.layer_scale is not None:
            check_layer_scale(self.layer_scale)
        if self.scalable_softmax is not None:
            check_softmax_factor(self.scalable_softmax)
        if not 0 <= self.special_token_std < math.inf:
            raise ValueError(
                "special_token_std must be finite and not negative, got "
                f"{self.special_token_std}; VGGT starts at 1e-6"
            )
        if self.order not in (("frame", "global"), ("global", "frame")):
            raise ValueError(
                f"order must name each kind of attention once, got {self.order!r}; "
                'use ("frame", "global") or ("global", "frame")'
            )
        if self.depth % self.group_size:
            raise ValueError(
                f"the depth must be a multiple of group_size, got depth {self.depth} and "
                f"group_size {self.group_size}; with group_size 1 any depth fits"
            )
        if self.patch_encoder is not None:
            self._check_patch_encoder(self.patch_encoder)

    def _check_patch_encoder(self, encoder: PatchEncoderConfig) -> None:
        for name in ("width", "patch_size"):
            own, other = getattr(self, name), getattr(encoder, name)
            if own != other:
                raise ValueError(
                    f"the patch encoder must have the aggregator's {name}, got {other} and {own}; "
                    "its tokens enter the aggregator as they are"
                )

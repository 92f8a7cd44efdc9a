"""The aggregator: blocks that attend inside each frame and over all frames, in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.attention import Observe, scoped
from attention_collapse.vggt.block import Block
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.patch_embedding import PatchEmbedding
from attention_collapse.vggt.rope import RotaryTable, rotary_table

# Per-channel mean and standard deviation of ImageNet's pixels in [0, 1], as VGGT was trained with.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)

# Pixels may leave [0, 1] by this much: the rounding of a resize or of a short number format.
PIXEL_TOLERANCE = 1e-3

# First scale of the camera and register tokens: close to zero, yet not equal to each other.
SPECIAL_TOKEN_STD = 1e-6


@dataclass(frozen=True)
class AggregatorOutput:
    """What the aggregator hands to its heads.

    Args:
        layers: By layer, the residual streams after its frame block (first half of the channels)
            and after its global block (second half), for the layers that were asked for.
        layout: Where each token of a scene sits.

    Home section: *The phenomenon*.
    """

    layers: dict[int, Float[Tensor, "scene frame token two_width"]]
    layout: TokenLayout


class Aggregator(nn.Module):
    r"""Residual streams of all frames of a scene, by alternating attention.

    Each image is normalised and cut into patch tokens, which follow the frame's special tokens.
    The first frame has special tokens of its own and all other frames share a second set; nothing
    else tells frames apart, so the result is equivariant to permutations of frames
    :math:`2, \dots, S`. A frame block mixes the tokens of one frame, a global block those of all
    frames of the scene.

    State names are VGGT's: ``patch_embed``, ``camera_token``, ``register_token``,
    ``frame_blocks``, ``global_blocks``. First weights, in float32 on the CPU: linear maps and
    convolutions :math:`\mathcal{N}(0, 1/\text{inputs})`, special tokens
    :math:`\mathcal{N}(0, 10^{-12})`, biases 0, norms 1 and 0, residual scales ``layer_scale``.

    Args:
        config: Sizes.
        generator: Source of the first weights; the same seed gives the same weights.

    Source: VGGT (arXiv 2503.11651), section 3. Home section: *The phenomenon*.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: AggregatorConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)
        self.patch_embed = PatchEmbedding(
            config.width, patch_size=config.patch_size, generator=generator
        )
        self.frame_blocks = _blocks(config, generator)
        self.global_blocks = _blocks(config, generator)
        self.camera_token = _special_tokens(1, config.width, generator)
        self.register_token = _special_tokens(config.registers, config.width, generator)

    def forward(
        self,
        images: Tensor,
        *,
        observe: Observe | None = None,
        keep: Sequence[int] | None = None,
    ) -> AggregatorOutput:
        """The residual streams after the layers in ``keep``.

        Args:
            images: Pixels in [0, 1], ``[scene frame 3 height width]``, the sides multiples of the
                patch size; converted to the type of the weights. The first frame of a scene is
                its reference frame.
            observe: Called with every observation point as the forward reaches it:
                ``patch_embedding.output`` ``[scene*frame patch width]``, and for both kinds and
                every layer the points of ``Block``, as in ``frame.07.attention.query`` or
                ``global.07.output``. Tensors of frame blocks have ``scene*frame`` entries along
                their first axis; those of global blocks have one entry for each scene and the
                tokens of all frames end to end.
            keep: Layers to return, counted from 0; ``None`` returns all. No other layer is stored.

        Raises:
            ValueError: The images have a wrong shape or type, no scene, no frame, a side that is
                not a multiple of the patch size, or a pixel that is not finite or not in [0, 1];
                or ``keep`` names a layer that does not exist.
        """
        layout = _image_layout(images, self.config)
        kept = _kept_layers(keep, self.config.depth)
        tokens = self._embed(images, observe)
        layers = self._alternate(tokens, self._rotary(layout), kept, observe)
        return AggregatorOutput(layers, layout)

    def _embed(
        self,
        images: Float[Tensor, "scene frame 3 image_height image_width"],
        observe: Observe | None,
    ) -> Float[Tensor, "scene frame token width"]:
        scenes, frames = images.shape[:2]
        pixels = (images.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        patches = self.patch_embed(pixels.flatten(0, 1))
        if observe is not None:
            observe("patch_embedding.output", patches)
        special = torch.cat((self.camera_token, self.register_token), dim=2)
        first, other = special.split(1, dim=1)
        by_frame = torch.cat((first, other.expand(-1, frames - 1, -1, -1)), dim=1)
        by_scene = by_frame.expand(scenes, -1, -1, -1)
        return torch.cat((by_scene, patches.unflatten(0, (scenes, frames))), dim=2)

    def _rotary(self, layout: TokenLayout) -> RotaryTable | None:
        """The one table of a forward: every block and every frame reads it."""
        if self.config.rotary_base is None:
            return None
        return rotary_table(
            torch.from_numpy(layout.positions()),
            dim=self.config.width // self.config.heads,
            base=self.config.rotary_base,
            dtype=torch.promote_types(self.camera_token.dtype, torch.float32),
            device=self.camera_token.device,
        )

    def _alternate(
        self,
        tokens: Float[Tensor, "scene frame token width"],
        rotary: RotaryTable | None,
        kept: frozenset[int],
        observe: Observe | None,
    ) -> dict[int, Float[Tensor, "scene frame token two_width"]]:
        layers = {}
        for start in range(0, self.config.depth, self.config.group_size):
            group = range(start, start + self.config.group_size)
            streams = {}
            for kind in self.config.order:
                for layer in group:
                    tokens = self._mix(kind, layer, tokens, rotary, observe)
                    if layer in kept:
                        streams[kind, layer] = tokens
            for layer in sorted(kept.intersection(group)):
                halves = streams["frame", layer], streams["global", layer]
                layers[layer] = torch.cat(halves, dim=-1)
        return layers

    def _mix(
        self,
        kind: str,
        layer: int,
        tokens: Float[Tensor, "scene frame token width"],
        rotary: RotaryTable | None,
        observe: Observe | None,
    ) -> Float[Tensor, "scene frame token width"]:
        if kind == "frame":
            block, sequences = self.frame_blocks[layer], tokens.flatten(0, 1)
        else:
            block, sequences = self.global_blocks[layer], tokens.flatten(1, 2)
        watch = scoped(observe, f"{kind}.{layer:02d}")
        mixed = block(sequences, rotary=rotary, observe=watch)
        return mixed.reshape(tokens.shape)


def _blocks(config: AggregatorConfig, generator: torch.Generator) -> nn.ModuleList:
    return nn.ModuleList(
        Block(
            config.width,
            config.heads,
            mlp_ratio=config.mlp_ratio,
            layer_scale=config.layer_scale,
            qk_norm=config.qk_norm,
            generator=generator,
        )
        for _ in range(config.depth)
    )


def _special_tokens(slots: int, width: int, generator: torch.Generator) -> nn.Parameter:
    """Two sets of ``slots`` tokens: the first for frame 0, the second for every other frame."""
    tokens = torch.empty(1, 2, slots, width)
    return nn.Parameter(tokens.normal_(std=SPECIAL_TOKEN_STD, generator=generator))


def _image_layout(images: Tensor, config: AggregatorConfig) -> TokenLayout:
    shape = tuple(images.shape)
    if len(shape) != 5 or shape[2] != 3:
        raise ValueError(
            f"images must have the axes [scene, frame, 3, height, width], got shape {shape}; "
            "a single scene enters as images[None]"
        )
    if 0 in shape[:2]:
        raise ValueError(
            f"images must hold at least one scene and one frame, got shape {shape}; "
            "pass one image or more"
        )
    if not images.is_floating_point():
        raise ValueError(
            f"images must be floating-point numbers in [0, 1], got {images.dtype}; "
            "divide 8-bit pixels by 255"
        )
    _, frames, _, height, width = shape
    layout = TokenLayout.from_image(
        frames, height, width, patch_size=config.patch_size, special=1 + config.registers
    )
    _require_pixels(images)
    return layout


def _require_pixels(images: Float[Tensor, "scene frame 3 image_height image_width"]) -> None:
    # One pass and one transfer from the device: a NaN goes through the reduction.
    low, high = torch.stack(images.detach().aminmax()).tolist()
    if low >= -PIXEL_TOLERANCE and high <= 1 + PIXEL_TOLERANCE:
        return
    not_finite = int((~images.isfinite()).sum())
    if not_finite:
        raise ValueError(
            f"every pixel must be finite, got {not_finite} that are NaN or infinite; "
            "replace them first"
        )
    raise ValueError(
        f"pixels must lie in [0, 1], got {low:.4g} to {high:.4g}; divide 8-bit pixels by 255, and "
        "do not normalise them: the network does"
    )


def _kept_layers(keep: Sequence[int] | None, depth: int) -> frozenset[int]:
    if keep is None:
        return frozenset(range(depth))
    absent = sorted(set(keep).difference(range(depth)))
    if absent:
        raise ValueError(
            f"keep must name layers from 0 to {depth - 1}, got {absent}; "
            f"the last layer is {depth - 1}"
        )
    return frozenset(keep)

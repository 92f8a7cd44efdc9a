"""Heads for small networks: one linear map for each patch, one step for each camera."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.attention import NORM_EPSILON
from attention_collapse.vggt.camera_head import ANGLES, PoseBranch
from attention_collapse.vggt.dense_activation import (
    ConfidenceActivation,
    ValueActivation,
    activate_confidence,
    activate_values,
    check_activation,
)
from attention_collapse.vggt.dense_head import DenseOutput, Streams
from attention_collapse.vggt.full_precision import full_precision, require_full_precision
from attention_collapse.vggt.initialisation import linear
from attention_collapse.vggt.validation import require_minimum

# First pose of the camera head: no translation, no rotation, fields of view of 1 radian.
FIRST_POSE = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
# How far a fresh camera head strays from it.
FIRST_POSE_STD = 0.02


@dataclass(frozen=True)
class LinearHeadConfig:
    """Sizes of a linear head; the defaults are those of the depth head of ``MINI``.

    Args:
        width: Channels of a token, twice the width of the aggregator.
        channels: Values of a pixel, to which the confidence is added.
        activation: Activation of the values.
        confidence: Activation of the confidence.
        patch_size: Side of a patch in pixels.

    Raises:
        ValueError: A size is too small, or no activation has the given name.

    Home section: *The phenomenon*.
    """

    width: int = 384
    channels: int = 1
    activation: ValueActivation = "exp"
    confidence: ConfidenceActivation = "one_plus_exp"
    patch_size: int = 7

    def __post_init__(self) -> None:
        require_minimum(self, width=1, channels=1, patch_size=1)
        check_activation(self.activation, ValueActivation)
        check_activation(self.confidence, ConfidenceActivation)


class LinearHead(nn.Module):
    r"""Values and confidence of every pixel, by one linear map of each patch's last token.

    The numbers of all pixels of a patch are :math:`W \operatorname{LN}(x) + b`, then activated as
    in ``DenseHead``, whose call this head shares. State names: ``norm``, ``proj``.

    Args:
        config: Sizes.
        generator: Source of the first weights; the same seed gives the same weights.

    Source: the linear heads of CroCo (arXiv 2210.10716) and DUSt3R (arXiv 2312.14132).
    Home section: *The phenomenon*.
    """

    def __init__(self, config: LinearHeadConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        outputs = (config.channels + 1) * config.patch_size**2
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.proj = linear(config.width, outputs, generator=generator)

    def forward(
        self, layers: Sequence[Streams], layout: TokenLayout, *, chunk: int = 8
    ) -> DenseOutput:
        """The values and the confidence of every pixel.

        Args:
            layers: Residual streams after some layers, of which the last is read: a tensor
                ``[scene frame token two_width]`` or a pair that stands side by side. Converted to
                the type of the weights. Autocast has no effect in here.
            layout: Where each token of a scene sits.
            chunk: Frames in work at a time. It bounds the memory, not the result.

        Raises:
            ValueError: The last layer does not fit the head or the layout, ``chunk`` is below 1,
                or the weights are shorter than float32.
        """
        streams = layers[-1] if isinstance(layers[-1], tuple) else (layers[-1],)
        self._check(streams, layout, chunk)
        with full_precision(self.norm.weight.device):
            frames = zip(*(stream.split(chunk, dim=1) for stream in streams), strict=True)
            outputs = [self.pixels(parts, layout) for parts in frames]
        values, confidence = (torch.cat(parts, dim=1) for parts in zip(*outputs, strict=True))
        return DenseOutput(values, confidence)

    def pixels(
        self, streams: Sequence[Tensor], layout: TokenLayout
    ) -> tuple[
        Float[Tensor, "scene frame image_height image_width channel"],
        Float[Tensor, "scene frame image_height image_width"],
    ]:
        """Values and confidence of the pixels of these frames, in the type of the weights."""
        raw = self._read_out(streams, layout)
        return (
            activate_values(raw[..., :-1], self.config.activation),
            activate_confidence(raw[..., -1], self.config.confidence),
        )

    def _read_out(
        self, streams: Sequence[Tensor], layout: TokenLayout
    ) -> Float[Tensor, "scene frame image_height image_width channel"]:
        patches = torch.cat([stream[:, :, layout.special :] for stream in streams], dim=-1)
        numbers = self.proj(self.norm(patches.to(self.norm.weight.dtype)))
        size = self.config.patch_size
        grid = numbers.unflatten(-1, (size, size, -1)).unflatten(2, (layout.rows, layout.columns))
        return grid.transpose(3, 4).flatten(4, 5).flatten(2, 3)

    def _check(self, streams: Sequence[Tensor], layout: TokenLayout, chunk: int) -> None:
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1 frame, got {chunk}; 8 is the default")
        require_full_precision(self.norm.weight, "linear head")
        shapes = [tuple(stream.shape) for stream in streams]
        leading = (layout.frames, layout.per_frame)
        fitting = all(len(shape) == 4 and shape[1:3] == leading for shape in shapes)
        if not fitting or sum(shape[-1] for shape in shapes) != self.config.width:
            raise ValueError(
                "the last layer must have the axes [scene, frame, token, width], here with "
                f"{layout.frames} frames of {layout.per_frame} tokens and {self.config.width} "
                f"channels, got the shapes {shapes}; pass the layers and the layout of one "
                "aggregator output"
            )


@dataclass(frozen=True)
class DirectCameraHeadConfig:
    """Size of a direct camera head; the default is that of ``MINI``.

    Args:
        width: Channels of a camera token, twice the width of the aggregator.

    Raises:
        ValueError: The width is too small.

    Home section: *The phenomenon*.
    """

    width: int = 384

    def __post_init__(self) -> None:
        require_minimum(self, width=2)


class DirectCameraHead(nn.Module):
    r"""The pose encoding of each frame, by one small MLP of its normalised camera token.

    Nothing is refined and no attention runs; the aggregator has compared the frames. A fresh head
    reports no translation and no rotation, up to 2 %. The two fields of view are cut off below at
    zero. The call is that of ``CameraHead``. State names: ``token_norm``, ``pose_branch``.

    Args:
        config: Size.
        generator: Source of the first weights; the same seed gives the same weights.

    Home section: *The phenomenon*.
    """

    def __init__(self, config: DirectCameraHeadConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.token_norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.pose_branch = PoseBranch(config.width, generator=generator)
        readout = self.pose_branch.fc2
        nn.init.normal_(
            readout.weight, std=FIRST_POSE_STD * readout.in_features**-0.5, generator=generator
        )
        with torch.no_grad():
            readout.bias.copy_(torch.tensor(FIRST_POSE))

    def forward(
        self, camera_tokens: Tensor, *, reference_bias: float = 0.0
    ) -> tuple[Float[Tensor, "scene frame encoding"]]:
        """The pose encoding of each frame, the only one.

        Args:
            camera_tokens: Camera token of each frame after the last layer of the aggregator,
                ``[scene frame two_width]``; converted to the type of the weights. Autocast has no
                effect in here.
            reference_bias: As in ``CameraHead``; without effect, as each frame is read by itself.

        Raises:
            ValueError: The tokens have a wrong shape, or the weights are shorter than float32.
        """
        require_full_precision(self.token_norm.weight, "camera head")
        shape = tuple(camera_tokens.shape)
        if len(shape) != 3 or 0 in shape or shape[-1] != self.config.width:
            raise ValueError(
                f"camera tokens must have the axes [scene, frame, {self.config.width}], got shape "
                f"{shape}; pass token 0 of each frame, the two streams of the last layer side by "
                "side"
            )
        with full_precision(camera_tokens.device):
            tokens = self.token_norm(camera_tokens.to(self.token_norm.weight.dtype))
            encoding = self.pose_branch(tokens)
        return (torch.cat((encoding[..., :-ANGLES], encoding[..., -ANGLES:].relu()), dim=-1),)

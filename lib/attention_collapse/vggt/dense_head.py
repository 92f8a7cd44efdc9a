"""Dense head: from patch tokens of four layers to a value and a confidence at every pixel."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.attention import NORM_EPSILON
from attention_collapse.vggt.dense_activation import (
    ConfidenceActivation,
    ValueActivation,
    activate_confidence,
    activate_values,
    check_activation,
)
from attention_collapse.vggt.dense_fusion import FeatureFusion, resize
from attention_collapse.vggt.full_precision import full_precision, require_full_precision
from attention_collapse.vggt.initialisation import convolution, upsampling_convolution
from attention_collapse.vggt.position_map import check_position_channels, position_map
from attention_collapse.vggt.validation import require_minimum

LEVELS = 4

POSITION_SCALE = 0.1

Streams = Tensor | tuple[Tensor, Tensor]
"""One layer: a tensor, or two whose channels stand side by side (frame block, global block)."""


@dataclass(frozen=True)
class DenseHeadConfig:
    """Sizes of a dense head; the defaults are those of VGGT's depth head.

    VGGT's point head has 3 channels and the activation ``inverse_log``.

    Args:
        width: Channels of a token, twice the width of the aggregator.
        features: Channels of the fusion.
        projections: Channels of the four levels, finest first.
        channels: Values of a pixel, to which the confidence is added; ``None`` makes a feature
            extractor without a readout.
        activation: Activation of the values.
        confidence: Activation of the confidence.
        position_map: Add the place of each cell in its image.
        patch_size: Side of a patch in pixels.
        down_ratio: Side of the image over the side of the result.

    Raises:
        ValueError: A size is too small, two sizes do not fit each other, or no activation has the
            given name.

    Source: VGGT (arXiv 2503.11651), section 3.3; DPT (arXiv 2103.13413).
    Home section: *The phenomenon*.
    """

    width: int = 2048
    features: int = 256
    projections: tuple = (256, 512, 1024, 1024)
    channels: int | None = 1
    activation: ValueActivation = "exp"
    confidence: ConfidenceActivation = "one_plus_exp"
    position_map: bool = True
    patch_size: int = 14
    down_ratio: int = 1

    def __post_init__(self) -> None:
        require_minimum(self, width=1, features=2, patch_size=1, down_ratio=1)
        if self.channels is not None:
            require_minimum(self, channels=1)
        if len(self.projections) != LEVELS or min(self.projections) < 1:
            raise ValueError(
                f"projections must be {LEVELS} positive counts of channels, finest level first, "
                f"got {self.projections}; VGGT uses (256, 512, 1024, 1024)"
            )
        if self.position_map:
            for channels in (*self.projections, self.feature_channels):
                check_position_channels(channels)
        check_activation(self.activation, ValueActivation)
        check_activation(self.confidence, ConfidenceActivation)

    @property
    def feature_channels(self) -> int:
        """Channels of the feature map that leaves the fusion."""
        return self.features if self.channels is None else self.features // 2


@dataclass(frozen=True)
class DenseOutput:
    """What a dense head says about every pixel.

    Args:
        values: Depth (1 channel) or point in the world (3 channels), in the scale of the scene.
        confidence: Confidence in the values.

    Home section: *The phenomenon*.
    """

    values: Float[Tensor, "scene frame image_height image_width channel"]
    confidence: Float[Tensor, "scene frame image_height image_width"]


class DenseHead(nn.Module):
    r"""Values and confidence of every pixel, from the patch tokens of four layers.

    Each layer becomes one level of a pyramid: the tokens are normalised, laid out as a map,
    projected and brought to 4, 2, 1 and 1/2 times the patch grid. The levels are fused from coarse
    to fine, the result is enlarged to the image, and two convolutions read out each pixel. Before
    its size changes, and again at full size, a map gets 0.1 times its ``position_map``. Frames do
    not see each other, so they can be worked off in chunks.

    State names are VGGT's: ``norm``, ``projects``, ``resize_layers``, ``scratch``.

    Args:
        config: Sizes.
        generator: Source of the first weights; the same seed gives the same weights.

    Source: DPT (arXiv 2103.13413), section 3, as in VGGT (arXiv 2503.11651).
    Home section: *The phenomenon*.
    """

    def __init__(self, config: DenseHeadConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.projects = nn.ModuleList(
            convolution(config.width, channels, kernel_size=1, generator=generator)
            for channels in config.projections
        )
        self.resize_layers = _resize_layers(config.projections, generator)
        self.scratch = FeatureFusion(
            config.projections,
            config.features,
            outputs=None if config.channels is None else config.channels + 1,
            generator=generator,
        )

    def forward(
        self, layers: Sequence[Streams], layout: TokenLayout, *, chunk: int = 8
    ) -> DenseOutput:
        """The values and the confidence of every pixel.

        Args:
            layers: Residual streams after four layers, from early to late, each
                ``[scene frame token two_width]`` or a pair of tensors that share all axes but the
                last; a pair is joined chunk by chunk. Converted to the type of the weights.
                Autocast has no effect in here.
            layout: Where each token of a scene sits; the image has ``patch_size`` pixels for each
                row and column of patches.
            chunk: Images in work at a time. It bounds the memory; the result does not depend on
                it beyond rounding.

        Raises:
            ValueError: The layers do not fit the head or the layout, ``chunk`` is below 1, the
                head has no readout, or the weights are shorter than float32.
        """
        if self.config.channels is None:
            raise ValueError(
                "a head without channels has no readout; call features, or give the config channels"
            )
        raw = self._by_chunk(self._read_out, layers, layout, chunk)
        return DenseOutput(
            activate_values(raw[..., :-1], self.config.activation),
            activate_confidence(raw[..., -1], self.config.confidence),
        )

    def features(
        self, layers: Sequence[Streams], layout: TokenLayout, *, chunk: int = 8
    ) -> Float[Tensor, "scene frame channel row column"]:
        """The fused features of every pixel, before any readout; arguments as in ``forward``.

        Raises:
            ValueError: The layers do not fit the head or the layout, ``chunk`` is below 1, or the
                weights are shorter than float32.
        """
        return self._by_chunk(self._fuse, layers, layout, chunk)

    def _by_chunk(
        self,
        compute: Callable[[list[Tensor], TokenLayout], Tensor],
        layers: Sequence[Streams],
        layout: TokenLayout,
        chunk: int,
    ) -> Float[Tensor, "scene frame _ _ _"]:
        """What ``compute`` makes of the patch tokens, a few images at a time."""
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1 image, got {chunk}; VGGT uses 8")
        require_full_precision(self.norm.weight, "dense head")
        streams = [layer if isinstance(layer, tuple) else (layer,) for layer in layers]
        scenes = self._check(streams, layout)
        with full_precision(self.norm.weight.device):
            results = [
                compute(patches, layout)
                for patches in _chunks(streams, layout, chunk, self.norm.weight.dtype)
            ]
        return torch.cat(results).unflatten(0, (scenes, layout.frames))

    def _read_out(
        self, patches: list[Float[Tensor, "image patch two_width"]], layout: TokenLayout
    ) -> Float[Tensor, "image image_height image_width channel"]:
        return self.scratch.output_conv2(self._fuse(patches, layout)).permute(0, 2, 3, 1)

    def _fuse(
        self, patches: list[Float[Tensor, "image patch two_width"]], layout: TokenLayout
    ) -> Float[Tensor, "image channel row column"]:
        aspect = layout.columns / layout.rows
        levels = []
        for tokens, project, scale in zip(patches, self.projects, self.resize_layers, strict=True):
            grid = self.norm(tokens).transpose(1, 2).unflatten(2, (layout.rows, layout.columns))
            levels.append(scale(self._place(project(grid), aspect)))
        rows, columns = (
            count * self.config.patch_size // self.config.down_ratio
            for count in (layout.rows, layout.columns)
        )
        return self._place(resize(self.scratch(levels), (rows, columns)), aspect)

    def _place(
        self, maps: Float[Tensor, "image channel row column"], aspect: float
    ) -> Float[Tensor, "image channel row column"]:
        """The maps with the place of each cell added."""
        if not self.config.position_map:
            return maps
        places = position_map(*maps.shape[1:], aspect=aspect, dtype=maps.dtype, device=maps.device)
        return torch.add(maps, places, alpha=POSITION_SCALE)

    def _check(self, layers: list[tuple[Tensor, ...]], layout: TokenLayout) -> int:
        """The number of scenes, once all layers are known to fit."""
        shapes = [tuple(stream.shape) for layer in layers for stream in layer]
        leading = (layout.frames, layout.per_frame)
        scenes = {shape[0] for shape in shapes if len(shape) == 4 and shape[1:3] == leading}
        fitting = all(len(shape) == 4 and shape[1:3] == leading for shape in shapes)
        widths = {sum(stream.shape[-1] for stream in layer) for layer in layers}
        if len(layers) != LEVELS or not fitting or len(scenes) != 1 or 0 in scenes:
            raise ValueError(
                f"a dense head reads {LEVELS} layers with the axes [scene, frame, token, width], "
                f"here with {layout.frames} frames of {layout.per_frame} tokens, got the shapes "
                f"{shapes}; pass the layers and the layout of one aggregator output"
            )
        if widths != {self.config.width}:
            raise ValueError(
                f"each layer must have {self.config.width} channels, got {sorted(widths)}; "
                "the width of the head is twice that of the aggregator"
            )
        return scenes.pop()


def _chunks(
    layers: list[tuple[Tensor, ...]], layout: TokenLayout, chunk: int, dtype: torch.dtype
) -> Iterator[list[Float[Tensor, "image patch two_width"]]]:
    """The patch tokens of each layer for the next few images."""
    flat = [[stream.flatten(0, 1) for stream in streams] for streams in layers]
    for start in range(0, flat[0][0].shape[0], chunk):
        stop = start + chunk
        yield [
            torch.cat([stream[start:stop, layout.special :].to(dtype) for stream in streams], -1)
            for streams in flat
        ]


def _resize_layers(projections: Sequence[int], generator: torch.Generator) -> nn.ModuleList:
    """What brings the four levels to 4, 2, 1 and 1/2 times the patch grid."""
    finest, fine, _, coarsest = projections
    return nn.ModuleList(
        (
            upsampling_convolution(finest, factor=4, generator=generator),
            upsampling_convolution(fine, factor=2, generator=generator),
            nn.Identity(),
            convolution(coarsest, coarsest, kernel_size=3, stride=2, generator=generator),
        )
    )

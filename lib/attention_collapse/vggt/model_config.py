"""Sizes of the whole network, and the networks of the book."""

from dataclasses import dataclass, replace

from attention_collapse.vggt.camera_head import CameraHeadConfig
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.dense_head import LEVELS, DenseHeadConfig
from attention_collapse.vggt.linear_head import DirectCameraHeadConfig, LinearHeadConfig
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig

CameraConfig = CameraHeadConfig | DirectCameraHeadConfig
PixelConfig = DenseHeadConfig | LinearHeadConfig

CHANNELS = {"depth": 1, "points": 3}


@dataclass(frozen=True)
class VGGTConfig:
    """Sizes of the network; those of the released one are ``VGGT_1B``.

    Args:
        aggregator: Sizes of the aggregator.
        camera: Sizes of the camera head.
        depth: Sizes of the head for depth, 1 value for each pixel.
        points: Sizes of the head for points, 3 values for each pixel.
        kept_layers: Layers that the depth and point heads read, counted from 0. The last one is
            the last layer of the aggregator, which the camera head reads too. A ``DenseHead``
            reads four.

    Raises:
        ValueError: Two sizes do not fit each other, or a layer does not exist.

    Source: VGGT (arXiv 2503.11651), section 3. Home section: *The phenomenon*.
    """

    aggregator: AggregatorConfig
    camera: CameraConfig
    depth: PixelConfig
    points: PixelConfig
    kept_layers: tuple

    def __post_init__(self) -> None:
        for name in ("camera", *CHANNELS):
            self._check_width(name)
        for name in CHANNELS:
            self._check_pixels(name)
        self._check_layers()

    def _check_width(self, name: str) -> None:
        width, fitting = getattr(self, name).width, 2 * self.aggregator.width
        if width != fitting:
            raise ValueError(
                f"the width of the {name} head must be twice that of the aggregator, {fitting}, "
                f"got {width}; a head reads the two streams of a layer side by side"
            )

    def _check_pixels(self, name: str) -> None:
        head, channels, patch_size = getattr(self, name), CHANNELS[name], self.aggregator.patch_size
        if head.channels != channels:
            raise ValueError(
                f"the {name} head must have {channels} channels, got {head.channels}; depth is "
                "1 number for each pixel, a point 3"
            )
        if head.patch_size != patch_size or getattr(head, "down_ratio", 1) != 1:
            raise ValueError(
                f"the {name} head must give one result for each pixel of the aggregator's patches "
                f"of side {patch_size}, got the patch size {head.patch_size} and the down_ratio "
                f"{getattr(head, 'down_ratio', 1)}; use patch size {patch_size} and down_ratio 1"
            )

    def _check_layers(self) -> None:
        layers, last = self.kept_layers, self.aggregator.depth - 1
        if not layers or layers[-1] != last or min(layers) < 0 or max(layers) > last:
            raise ValueError(
                f"kept_layers must name layers from 0 to {last} and end with {last}, which the "
                f"camera head reads, got {layers}; VGGT uses (4, 11, 17, 23) of 24"
            )
        dense = any(isinstance(getattr(self, name), DenseHeadConfig) for name in CHANNELS)
        if dense and len(layers) != LEVELS:
            raise ValueError(
                f"a dense head reads {LEVELS} layers, got kept_layers {layers}; name {LEVELS}, "
                "repeating one if the aggregator has fewer"
            )


VGGT_1B = VGGTConfig(
    aggregator=AggregatorConfig(patch_encoder=PatchEncoderConfig()),
    camera=CameraHeadConfig(),
    depth=DenseHeadConfig(),
    points=DenseHeadConfig(channels=3, activation="inverse_log"),
    kept_layers=(4, 11, 17, 23),
)
"""The released network: 1.19 G parameters, without its head for tracks."""

MINI = VGGTConfig(
    aggregator=AggregatorConfig(
        width=192,
        depth=6,
        heads=6,
        patch_size=7,
        layer_scale=0.2,
        special_token_std=0.5,
        patch_encoder=PatchEncoderConfig(
            width=192,
            depth=2,
            heads=6,
            registers=0,
            image_size=56,
            patch_size=7,
            layer_scale=0.2,
        ),
    ),
    camera=DirectCameraHeadConfig(width=384),
    depth=LinearHeadConfig(width=384, patch_size=7),
    points=LinearHeadConfig(width=384, channels=3, activation="inverse_log", patch_size=7),
    kept_layers=(5,),
)
"""A network of the same form that trains in minutes: 6.4 M parameters, images of 56 x 56 pixels.

Two blocks inside each image stand for the 24 of VGGT's patch encoder, six layers for its 24, and
linear heads for its dense ones. Special tokens start as large as other tokens, so that the
reference frame is told apart from the first step on.
"""

MINI_SCALABLE = replace(MINI, aggregator=replace(MINI.aggregator, scalable_softmax=0.17))
"""``MINI`` with scores that grow with the tokens, at first those of 350 tokens, 5 frames, as in it.
"""

TINY = VGGTConfig(
    aggregator=AggregatorConfig(
        width=48,
        depth=2,
        heads=3,
        patch_size=7,
        layer_scale=0.2,
        special_token_std=0.5,
        patch_encoder=PatchEncoderConfig(
            width=48, depth=1, heads=3, registers=0, image_size=28, patch_size=7, layer_scale=0.2
        ),
    ),
    camera=DirectCameraHeadConfig(width=96),
    depth=LinearHeadConfig(width=96, patch_size=7),
    points=LinearHeadConfig(width=96, channels=3, activation="inverse_log", patch_size=7),
    kept_layers=(1,),
)
"""A network of the form of ``MINI`` that a laptop trains while you wait."""

"""The aggregator: blocks that attend inside each frame and over all frames, in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.aggregator_input import (
    PIXEL_MEAN,
    PIXEL_STD,
    check_chunks,
    image_layout,
    kept_layers,
    per_channel,
)
from attention_collapse.vggt.block import Block
from attention_collapse.vggt.chunks import FRAME_CHUNK, even_chunk, has_gradients, in_chunks
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.observation import BLOCK_POINTS, Observe, check_watched, scoped
from attention_collapse.vggt.patch_embedding import PatchEmbedding
from attention_collapse.vggt.patch_encoder import PatchEncoder
from attention_collapse.vggt.reduction import Reducer, ReducerOfForward, started
from attention_collapse.vggt.residual_streams import ResidualStreams
from attention_collapse.vggt.rope import RotaryTable, rotary_table


@dataclass(frozen=True)
class AggregatorOutput:
    """What the aggregator hands to its heads.

    Args:
        layers: By layer, the residual streams after its frame block (first half of the channels)
            and after its global block (second half), for the layers that were asked for. Each is
            joined when it is read, ``[scene frame token two_width]``.
        layout: Where each token of a scene sits.

    Home section: *The phenomenon*.
    """

    layers: ResidualStreams
    layout: TokenLayout


@dataclass(frozen=True)
class _Pass:
    """What every block of one forward is given beside the tokens."""

    layout: TokenLayout
    rotary: RotaryTable | None
    observe: Observe | None
    reducer: Reducer | None
    frame_chunk: int | None
    query_chunk: int | None


class Aggregator(nn.Module):
    r"""Residual streams of all frames of a scene, by alternating attention.

    Each image is normalised and turned into patch tokens, which follow the frame's special tokens.
    The first frame has special tokens of its own and all other frames share a second set; nothing
    else tells frames apart, so the result is equivariant to permutations of frames
    :math:`2, \dots, S`. A frame block mixes the tokens of one frame, a global block those of all
    frames of the scene.

    State names are VGGT's: ``patch_embed``, ``camera_token``, ``register_token``,
    ``frame_blocks``, ``global_blocks``. First weights, in float32 on the CPU: linear maps and
    convolutions :math:`\mathcal{N}(0, 1/\text{inputs})`, special tokens with the standard
    deviation ``special_token_std``, biases 0, norms 1 and 0, residual scales ``layer_scale``.

    The residual stream and the norms compute in the type of the special tokens, and each linear
    map in the type of its weights, which ``cast_linear_weights`` makes shorter.

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
        self.register_buffer("pixel_mean", per_channel(PIXEL_MEAN), persistent=False)
        self.register_buffer("pixel_std", per_channel(PIXEL_STD), persistent=False)
        self.patch_embed = _patch_embedding(config, generator)
        self.frame_blocks = _blocks(config, generator)
        self.global_blocks = _blocks(config, generator, scalable_softmax=config.scalable_softmax)
        self.camera_token = _special_tokens(1, config, generator)
        self.register_token = _special_tokens(config.registers, config, generator)
        self._tables: dict[tuple, RotaryTable] = {}

    def forward(
        self,
        images: Tensor,
        *,
        observe: Observe | None = None,
        keep: Sequence[int] | None = None,
        reducer: Reducer | ReducerOfForward | None = None,
        frame_chunk: int | None = FRAME_CHUNK,
        query_chunk: int | None = None,
    ) -> AggregatorOutput:
        """The residual streams after the layers in ``keep``.

        The device is waited for only before the first frame block, where the pixels are checked
        and, once for each size of image, the table of positions is copied. A CUDA graph that
        records the forward has no pixels to check.

        Args:
            images: Pixels in [0, 1], ``[scene frame 3 height width]``, the sides multiples of the
                patch size; converted to the type of the special tokens. The first frame of a scene
                is its reference frame.
            observe: Called with every observation point as the forward reaches it:
                ``patch_embedding.output`` ``[scene*frame patch width]``, and for both kinds and
                every layer the points of ``Block``, as in ``frame.07.attention.query`` or
                ``global.07.output``. Tensors of frame blocks have ``scene*frame`` entries along
                their first axis; those of global blocks have one entry for each scene and the
                tokens of all frames end to end. A ``Watch`` sees the points that it names.
            keep: Layers to return, counted from 0; ``None`` returns all. No other layer is stored.
            reducer: Decides in every global block which tokens attention runs on.
            frame_chunk: Frames at a time, at most, that pass through the norms, the linear maps
                and the MLPs; ``None`` takes all at once. It bounds the memory, and the result is
                the same up to rounding. Nothing is cut where gradients are kept. Observed frame
                blocks take all frames at once, and reduced global blocks but for their MLP.
            query_chunk: Queries at a time in the softmax of a global block that is not reduced.
                The fused kernels do not need it; where there is none, it bounds the scores that
                are held.

        Raises:
            ValueError: The images have a wrong shape or type, no scene, no frame, a side that is
                not a multiple of the patch size, or a pixel that is not finite or not in [0, 1];
                ``keep`` or a ``Watch`` names what does not exist; or a chunk is below 1.
        """
        layout = image_layout(images, self.config)
        kept = kept_layers(keep, self.config.depth)
        check_chunks(frame_chunk, query_chunk)
        check_watched(observe, observation_points(self.config))
        chunk = None if has_gradients(self, images) else frame_chunk
        reducer = started(reducer)
        shared = _Pass(layout, self.rotary(layout), observe, reducer, chunk, query_chunk)
        return AggregatorOutput(self._alternate(images, shared, kept), layout)

    def _alternate(
        self,
        images: Float[Tensor, "scene frame 3 image_height image_width"],
        shared: _Pass,
        kept: frozenset[int],
    ) -> ResidualStreams:
        tokens = self.embed(images, observe=shared.observe, frame_chunk=shared.frame_chunk)
        streams = {}
        for start in range(0, self.config.depth, self.config.group_size):
            group = range(start, start + self.config.group_size)
            for kind in self.config.order:
                for layer in group:
                    tokens = self._mix(kind, layer, tokens, shared)
                    if layer in kept:
                        streams[kind, layer] = tokens
        return ResidualStreams(
            {layer: (streams["frame", layer], streams["global", layer]) for layer in kept}
        )

    def embed(
        self,
        images: Float[Tensor, "scene frame 3 image_height image_width"],
        *,
        observe: Observe | None = None,
        frame_chunk: int | None = None,
    ) -> Float[Tensor, "scene frame token width"]:
        """The residual stream before the first block; arguments as in ``forward``."""
        scenes, frames = images.shape[:2]
        patches = in_chunks(self._patches, images.flatten(0, 1), chunk=frame_chunk, dim=0)
        if observe is not None:
            observe("patch_embedding.output", patches)
        special = torch.cat((self.camera_token, self.register_token), dim=2)
        first, other = special.split(1, dim=1)
        by_frame = torch.cat((first, other.expand(-1, frames - 1, -1, -1)), dim=1)
        by_scene = by_frame.expand(scenes, -1, -1, -1)
        return torch.cat((by_scene, patches.unflatten(0, (scenes, frames))), dim=2)

    def _patches(
        self, images: Float[Tensor, "image 3 image_height image_width"]
    ) -> Float[Tensor, "image patch width"]:
        pixels = images.to(self.pixel_mean.dtype)
        return self.patch_embed((pixels - self.pixel_mean) / self.pixel_std)

    def rotary(self, layout: TokenLayout) -> RotaryTable | None:
        """The one table of a forward, which every block and every frame reads, if there is one.

        It is kept for later images of that size: to copy it to a device is to wait for the device.
        """
        if self.config.rotary_base is None:
            return None
        tokens = self.camera_token
        dtype = torch.promote_types(tokens.dtype, torch.float32)
        key = (layout.rows, layout.columns, dtype, tokens.device)
        if key not in self._tables:
            # A table born in inference mode could not serve a later call that records gradients.
            with torch.inference_mode(mode=False):
                self._tables[key] = rotary_table(
                    torch.from_numpy(layout.positions()),
                    dim=self.config.width // self.config.heads,
                    base=self.config.rotary_base,
                    dtype=dtype,
                    device=tokens.device,
                )
        return self._tables[key]

    def _mix(
        self,
        kind: str,
        layer: int,
        tokens: Float[Tensor, "scene frame token width"],
        shared: _Pass,
    ) -> Float[Tensor, "scene frame token width"]:
        watch = scoped(shared.observe, f"{kind}.{layer:02d}")
        mix = self._mix_frames if kind == "frame" else self._mix_scenes
        return mix(layer, tokens, shared, watch).reshape(tokens.shape)

    def _mix_frames(
        self,
        layer: int,
        tokens: Float[Tensor, "scene frame token width"],
        shared: _Pass,
        watch: Observe | None,
    ) -> Float[Tensor, "image token width"]:
        block, images = self.frame_blocks[layer], tokens.flatten(0, 1)
        if watch is None:
            return block.by_batch(images, rotary=shared.rotary, chunk=shared.frame_chunk)
        return block(images, rotary=shared.rotary, observe=watch)

    def _mix_scenes(
        self,
        layer: int,
        tokens: Float[Tensor, "scene frame token width"],
        shared: _Pass,
        watch: Observe | None,
    ) -> Float[Tensor, "scene frames_token width"]:
        layout, reducer = shared.layout, shared.reducer
        chunk = shared.frame_chunk and even_chunk(layout.frames, shared.frame_chunk)
        return self.global_blocks[layer](
            tokens.flatten(1, 2),
            rotary=shared.rotary,
            observe=watch,
            reduce=None if reducer is None else partial(reducer, layer=layer, layout=layout),
            token_chunk=chunk and chunk * layout.per_frame,
            query_chunk=shared.query_chunk,
        )


def observation_points(config: AggregatorConfig) -> frozenset[str]:
    """The name of every point where a caller can look inside an aggregator.

    Home section: *The phenomenon*.
    """
    blocks = {
        f"{kind}.{layer:02d}.{point}"
        for kind in ("frame", "global")
        for layer in range(config.depth)
        for point in BLOCK_POINTS
    }
    return frozenset(blocks | {"patch_embedding.output"})


def _patch_embedding(
    config: AggregatorConfig, generator: torch.Generator
) -> PatchEmbedding | PatchEncoder:
    if config.patch_encoder is not None:
        return PatchEncoder(config.patch_encoder, generator=generator)
    return PatchEmbedding(config.width, patch_size=config.patch_size, generator=generator)


def _blocks(
    config: AggregatorConfig, generator: torch.Generator, **own: float | None
) -> nn.ModuleList:
    return nn.ModuleList(
        Block(
            config.width,
            config.heads,
            mlp_ratio=config.mlp_ratio,
            layer_scale=config.layer_scale,
            qk_norm=config.qk_norm,
            generator=generator,
            **own,
        )
        for _ in range(config.depth)
    )


def _special_tokens(
    slots: int, config: AggregatorConfig, generator: torch.Generator
) -> nn.Parameter:
    """Two sets of ``slots`` tokens: the first for frame 0, the second for every other frame."""
    tokens = torch.empty(1, 2, slots, config.width)
    return nn.Parameter(tokens.normal_(std=config.special_token_std, generator=generator))

"""Trained layers with some of their parts left out."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, Block, Observe, RotaryTable
from attention_collapse.vggt.observation import scoped


@dataclass(frozen=True)
class Parts:
    """Which parts of every layer act.

    Attributes:
        frame_blocks: whether frame blocks come before global ones.
        attention_skip: whether the stream passes by attention; without, attention replaces it.
        mlp: whether there are MLPs.
        mlp_skip: whether the stream passes by the MLP.
        own_norm: whether LayerNorm divides every token by its own deviation; without, it divides
            all by one, the root mean square of theirs.
        rotary: whether queries and keys are rotated by position.

    Home section: *Does it collapse?*.
    """

    frame_blocks: bool = True
    attention_skip: bool = True
    mlp: bool = True
    mlp_skip: bool = True
    own_norm: bool = True
    rotary: bool = True


class PartialSteps:
    """The residual stream of one scene through the layers of an aggregator, some parts left out.

    With all parts the stream is that of ``LayerSteps``.

    Args:
        network: Frame blocks first, one by one.
        layout: Where the tokens of the scene sit.
        parts: Which parts act.

    Home section: *Does it collapse?*.
    """

    def __init__(self, network: Aggregator, layout: TokenLayout, parts: Parts) -> None:
        self._network, self._parts = network, parts
        self._rotary = network.rotary(layout) if parts.rotary else None

    def start(
        self, images: Float[Tensor, "frame 3 image_height image_width"]
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream before the first layer, which has all its parts."""
        return self._network.embed(images[None])[0]

    def step(
        self,
        stream: Float[Tensor, "frame token width"],
        layer: int,
        *,
        observe: Observe | None = None,
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream after a layer, whose global block is shown as ``global.07``."""
        if self._parts.frame_blocks:
            stream = self.within_frames(stream, layer)
        return self.over_frames(stream, layer, scoped(observe, f"global.{layer:02d}"))

    def within_frames(
        self, stream: Float[Tensor, "frame token width"], layer: int
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream after a frame block."""
        return pass_block(self._network.frame_blocks[layer], stream, self._parts, self._rotary)

    def over_frames(
        self, stream: Float[Tensor, "frame token width"], layer: int, observe: Observe | None
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream after a global block."""
        block, tokens = self._network.global_blocks[layer], stream.flatten(0, 1)[None]
        mixed = pass_block(block, tokens, self._parts, self._rotary, observe)
        return mixed.reshape(stream.shape)


class IteratedSteps:
    """One global block applied again and again to the tokens that enter it.

    Where frame blocks act, that of the same layer comes before every application; before the first
    one it comes in any case, for it is part of what makes the tokens.

    Args:
        network: As in ``PartialSteps``.
        layout: Where the tokens of the scene sit.
        parts: Which parts act in the iteration.
        layer: Which block.
        counts: Ascending numbers of applications; step n leads to ``counts[n]``.

    Home section: *Does it collapse?*.
    """

    def __init__(
        self,
        network: Aggregator,
        layout: TokenLayout,
        parts: Parts,
        *,
        layer: int,
        counts: Sequence[int],
    ) -> None:
        self._parts, self._layer = parts, layer
        self._turns = list(itertools.pairwise((0, *counts)))
        self._whole = PartialSteps(network, layout, Parts())
        self._partial = PartialSteps(network, layout, parts)

    def start(
        self, images: Float[Tensor, "frame 3 image_height image_width"]
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream that enters the global block in the whole network."""
        stream = self._whole.start(images)
        for layer in range(self._layer):
            stream = self._whole.step(stream, layer)
        return self._whole.within_frames(stream, self._layer)

    def step(
        self,
        stream: Float[Tensor, "frame token width"],
        layer: int,
        *,
        observe: Observe | None = None,
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream after the next number of applications, the last of them shown."""
        first, last = self._turns[layer]
        for turn in range(first, last):
            if turn > 0 and self._parts.frame_blocks:
                stream = self._partial.within_frames(stream, self._layer)
            shown = scoped(observe, f"global.{layer:02d}") if turn == last - 1 else None
            stream = self._partial.over_frames(stream, self._layer, shown)
        return stream


def pass_block(
    block: Block,
    x: Float[Tensor, "batch token width"],
    parts: Parts,
    rotary: RotaryTable | None,
    observe: Observe | None = None,
) -> Float[Tensor, "batch token width"]:
    """The residual stream after a block of which some parts act.

    Args:
        block: Attention and MLP.
        x: Residual stream before it.
        parts: Which parts act, but for the rotation.
        rotary: Table of the positions, or ``None`` for no rotation.
        observe: As in ``Block``.

    Home section: *Does it collapse?*.
    """
    read = _norm(block.norm1, x, parts.own_norm)
    mixed = block.ls1(block.attn(read, rotary=rotary, observe=scoped(observe, "attention")))
    x = x + mixed if parts.attention_skip else mixed
    if parts.mlp:
        change = block.ls2(block.mlp(_norm(block.norm2, x, parts.own_norm)))
        x = x + change if parts.mlp_skip else change
    if observe is not None:
        observe("output", x)
    return x


def _norm(
    norm: nn.LayerNorm, x: Float[Tensor, "batch token width"], own: bool
) -> Float[Tensor, "batch token width"]:
    if own:
        return norm(x)
    centred = x - x.mean(-1, keepdim=True)
    deviation = torch.sqrt(centred.square().mean() + norm.eps)
    return centred / deviation * norm.weight + norm.bias

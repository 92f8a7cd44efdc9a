"""Blocks, heads and loss compiled for training, where every batch has as many frames."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.training.config import TrainingConfig
from attention_collapse.training.losses import Loss, loss
from attention_collapse.training.targets import Targets
from attention_collapse.vggt import Block, LinearHead, Reconstruction, RotaryTable
from attention_collapse.vggt.dense_head import DenseOutput, Streams
from attention_collapse.vggt.reduction import Heads

Geometry = TypeVar("Geometry", Reconstruction, Targets)


def compile_for_batches(network: nn.Module, *, backend: str = "inductor") -> None:
    """Compile the linear heads, and blocks but for their softmax, for one number of frames.

    These parts treat each token by itself. All tokens of a batch in one row have one shape,
    whatever the number of frames in a scene: the blocks of frames and of scenes share one program
    for each part, in which all sizes are constants. ``compile_blocks`` serves any number of tokens
    instead, with more and slower programs. Results are the same up to rounding.
    Home section: *mini-VGGT*.

    Args:
        network: Anything that holds blocks and linear heads.
        backend: The compiler, as ``torch.compile`` names it.
    """
    prepare, advance, pixels = (
        torch.compile(part, dynamic=False, fullgraph=True, backend=backend)
        for part in (_heads_side_by_side, Block.advance, LinearHead.pixels)
    )
    for module in network.modules():
        if isinstance(module, Block):
            module.prepare = partial(_prepare, partial(prepare, module))
            module.advance = partial(_advance, advance.__get__(module))
        elif isinstance(module, LinearHead):
            module.pixels = pixels.__get__(module)
            module.forward = partial(_read_out, module.forward)


def compiled_loss(*, backend: str = "inductor") -> Loss:
    """``loss``, compiled for one number of frames, however they are shared among scenes.

    Home section: *mini-VGGT*.

    Args:
        backend: The compiler, as ``torch.compile`` names it.
    """
    compiled = torch.compile(loss, dynamic=False, fullgraph=True, backend=backend)

    def of_one_scene(
        reconstruction: Reconstruction, targets: Targets, config: TrainingConfig
    ) -> Float[Tensor, ""]:
        return compiled(_one_scene(reconstruction), _one_scene(targets), config)

    return of_one_scene


def _one_scene(found: Geometry) -> Geometry:
    rows = {name: _row(value) for name, value in vars(found).items() if isinstance(value, Tensor)}
    return replace(found, **rows)


def _heads_side_by_side(
    block: Block, x: Float[Tensor, "1 tokens width"], rotary: RotaryTable | None
) -> tuple[Float[Tensor, "1 tokens head dim"], ...]:
    """``Block.prepare`` with the heads of a token side by side in memory.

    The kernels of the softmax lay out their result as they find the queries, and joining its heads
    then copies nothing; see ``Attention.empty_heads``.
    """
    return tuple(part.transpose(1, 2).contiguous() for part in Block.prepare(block, x, rotary))


def _prepare(
    compiled: Callable[..., tuple[Tensor, ...]],
    x: Float[Tensor, "batch token width"],
    rotary: RotaryTable | None,
) -> Heads:
    batch = x.shape[:2]
    parts = compiled(_row(x), rotary)
    return Heads(*(part.squeeze(0).unflatten(0, batch).transpose(1, 2) for part in parts))


def _advance(
    compiled: Callable[..., Tensor],
    x: Float[Tensor, "batch token width"],
    mixed: Float[Tensor, "batch token width"],
    out: None = None,
) -> Float[Tensor, "batch token width"]:
    return compiled(_row(x), _row(mixed), out).view(x.shape)


def _read_out(
    head: Callable[..., DenseOutput],
    layers: Sequence[Streams],
    layout: TokenLayout,
    chunk: int | None = None,
) -> DenseOutput:
    """All frames at once, whatever the chunk."""
    streams = layers[-1] if isinstance(layers[-1], tuple) else (layers[-1],)
    shape = streams[0].shape[:2]
    row = tuple(_row(stream) for stream in streams)
    output = head([row], replace(layout, frames=shape.numel()), chunk=shape.numel())
    parts = (output.values, output.confidence)
    return DenseOutput(*(part.squeeze(0).unflatten(0, shape) for part in parts))


def _row(values: Float[Tensor, "scene frame *axes"]) -> Float[Tensor, "1 frames *axes"]:
    """All frames, or all tokens, one after the other.

    Not as a view, for programs would be bound to the shape of what they are given a view of.
    """
    shape = (1, values.shape[:2].numel(), *values.shape[2:])
    return torch.ops.aten._unsafe_view(values.contiguous(), shape)

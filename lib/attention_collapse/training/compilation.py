"""Blocks compiled for training, where every batch has as many tokens."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt import Block, RotaryTable
from attention_collapse.vggt.reduction import Heads


def compile_for_batches(network: nn.Module, *, backend: str = "inductor") -> None:
    """Compile what every block does before and after its softmax, for one number of tokens.

    These parts treat each token by itself. All tokens of a batch in one row have one shape,
    whatever the number of frames in a scene: the blocks of frames and of scenes share one program
    for each part, in which all sizes are constants. ``compile_blocks`` serves any number of tokens
    instead, with more and slower programs. Results are the same up to rounding.
    Home section: *mini-VGGT*.

    Args:
        network: Anything that holds blocks.
        backend: The compiler, as ``torch.compile`` names it.
    """
    prepare, advance = (
        torch.compile(part, dynamic=False, fullgraph=True, backend=backend)
        for part in (Block.prepare, Block.advance)
    )
    for block in network.modules():
        if isinstance(block, Block):
            block.prepare = partial(_prepare, prepare.__get__(block))
            block.advance = partial(_advance, advance.__get__(block))


def _prepare(
    compiled: Callable[..., Heads],
    x: Float[Tensor, "batch token width"],
    rotary: RotaryTable | None,
) -> Heads:
    batch = x.shape[:2]
    heads = compiled(_row(x), rotary)
    return Heads(*(part.squeeze(0).unflatten(1, batch).movedim(1, 0) for part in heads))


def _advance(
    compiled: Callable[..., Tensor],
    x: Float[Tensor, "batch token width"],
    mixed: Float[Tensor, "batch token width"],
    out: None = None,
) -> Float[Tensor, "batch token width"]:
    return compiled(_row(x), _row(mixed), out).view(x.shape)


def _row(tokens: Float[Tensor, "batch token width"]) -> Float[Tensor, "1 tokens width"]:
    """All tokens one after the other.

    Not as a view, for programs would be bound to the shape of what they are given a view of.
    """
    return torch.ops.aten._unsafe_view(tokens, (1, tokens.shape[:2].numel(), tokens.shape[2]))

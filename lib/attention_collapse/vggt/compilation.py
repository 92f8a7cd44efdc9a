"""Blocks whose parts before and after the softmax are compiled."""

import torch
from torch import nn

from attention_collapse.vggt.block import Block


def compile_blocks(network: nn.Module, *, backend: str = "inductor") -> None:
    """Compile what every block does before and after its softmax, in place.

    Norms, rotation and residuals are short operations that each read and write all tokens; the
    compiler joins them, each part into one graph. The kernel of the softmax stays the one that
    torch chooses. Blocks of one form share their graphs, for any number of frames; the first
    passes wait for the compiler. Results are the same up to rounding. An observer and a reducer
    look between the parts: with one of them a block runs as it did before.

    Args:
        network: Anything that holds blocks, such as an aggregator.
        backend: The compiler, as ``torch.compile`` names it.

    Raises:
        ValueError: The network holds no block.

    Home section: *VGGT in one chapter*.
    """
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    if not blocks:
        raise ValueError(
            f"a network to compile must hold at least one block, got {type(network).__name__}; "
            "pass a VGGT, an aggregator or a block"
        )
    prepare, advance = (
        torch.compile(part, dynamic=True, backend=backend)
        for part in (Block.prepare, Block.advance)
    )
    for block in blocks:
        block.prepare = prepare.__get__(block)
        block.advance = advance.__get__(block)

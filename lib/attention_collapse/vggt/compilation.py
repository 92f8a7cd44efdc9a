"""Blocks whose parts before and after the softmax are compiled."""

import torch
from torch import nn

from attention_collapse.vggt.block import Block

# One part has a graph for the encoder, one for the frames and one for the scenes, each for one
# image and for several, for a first chunk, a later one and none. The compiler stops at 8 by itself.
VARIANTS = 24


def compile_blocks(network: nn.Module, *, backend: str = "inductor") -> None:
    """Compile what every block does before and after its softmax, in place.

    Norms, rotation and residuals are short operations that each read and write all tokens; the
    compiler joins them, each part into one graph: an operation that would break it is an error.
    The kernel of the softmax stays the one that torch chooses. Blocks of one form share their
    graphs, for any number of frames; the first passes wait for the compiler. The limit of this
    process on the graphs of one function is raised to 24, if it is lower. Results are the same up
    to rounding. An observer looks between the parts, and what follows the softmax then runs as
    it did before; under a reducer the whole block does.

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
    # Loading the compiler takes seconds, which only those pay who compile.
    from torch._dynamo import config as compiler

    compiler.recompile_limit = max(compiler.recompile_limit, VARIANTS)
    prepare, advance = (
        torch.compile(part, dynamic=True, fullgraph=True, backend=backend)
        for part in (Block.prepare, Block.advance)
    )
    for block in blocks:
        block.prepare = prepare.__get__(block)
        block.advance = advance.__get__(block)

"""The network: VGGT's aggregator, readable, under VGGT's own state-dict names.

From the smallest part up:

- ``initialisation``: layers with weights drawn from an explicit generator.
- ``rope``: rotary positions in two dimensions.
- ``attention``: self-attention, and the points where a caller can look inside.
- ``block``: attention and MLP on a residual stream.
- ``patch_embedding``: pixels to patch tokens.
- ``config``: the sizes, checked.
- ``aggregator``: frame and global blocks in turn.

A forward has no side effects, can be differentiated and keeps nothing: ``observe`` streams out the
tensors inside, and ``keep`` names the layers that are returned. Whether gradients are recorded is
the caller's choice, as with ``torch.inference_mode``.
"""

from attention_collapse.vggt.aggregator import Aggregator, AggregatorOutput
from attention_collapse.vggt.attention import Attention, Observe
from attention_collapse.vggt.block import MLP, Block, LayerScale
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.patch_embedding import PatchEmbedding
from attention_collapse.vggt.rope import RotaryTable, rotary_table, rotate

__all__ = [
    "MLP",
    "Aggregator",
    "AggregatorConfig",
    "AggregatorOutput",
    "Attention",
    "Block",
    "LayerScale",
    "Observe",
    "PatchEmbedding",
    "RotaryTable",
    "rotary_table",
    "rotate",
]

"""The network: VGGT, readable, under VGGT's own state-dict names.

From images to a reconstruction:

- ``images`` and ``image_file``: photographs to pixels of one size.
- ``model``: the whole network, by itself or with the weights of a checkpoint.
- ``mini``: the small network that the book trains.
- ``model_config``: its sizes, those of VGGT-1B and those of a network small enough to train.
- ``reconstruction``: what it says about a scene.
- ``pose`` and ``unprojection``: cameras from nine numbers, points from depth.
- ``checkpoint``, ``checkpoint_file`` and ``hub``: weights from a file and from the network.

The aggregator, from the smallest part up:

- ``initialisation``: layers with weights drawn from an explicit generator.
- ``rope``: rotary positions in two dimensions.
- ``attention``: self-attention; ``scalable_softmax``: with scores that grow with the tokens;
  ``observation``: the points where a caller can look inside; ``reduction``: attention over fewer
  tokens; ``reference_bias``: scores changed for many frames, and ``foreign_bias`` the same in
  another's network.
- ``block``: attention and MLP on a residual stream; ``mlp``: what acts on each token by itself.
- ``patch_embedding`` and ``patch_encoder``: pixels to patch tokens.
- ``config``: the sizes, checked.
- ``aggregator``: frame and global blocks in turn; ``residual_streams``: what it keeps.
- ``precision``: the number format of its linear maps; ``compilation``: its blocks compiled.

The heads:

- ``camera_head``: camera tokens to poses.
- ``dense_head``, with ``dense_fusion``, ``dense_activation`` and ``position_map``: patch tokens to
  a value and a confidence at every pixel.
- ``linear_head``: both for small networks.

A forward has no side effects, can be differentiated and keeps nothing: ``observe`` streams out the
tensors inside, and ``keep`` names the layers that are returned. Whether gradients are recorded is
the caller's choice, as with ``torch.inference_mode``.
"""

from attention_collapse.vggt.aggregator import Aggregator, AggregatorOutput
from attention_collapse.vggt.attention import Attention
from attention_collapse.vggt.block import Block, LayerScale
from attention_collapse.vggt.camera_head import CameraHead, CameraHeadConfig
from attention_collapse.vggt.checkpoint import load_checkpoint
from attention_collapse.vggt.checkpoint_file import CheckpointError
from attention_collapse.vggt.compilation import compile_blocks
from attention_collapse.vggt.config import AggregatorConfig
from attention_collapse.vggt.dense_head import DenseHead, DenseHeadConfig, DenseOutput
from attention_collapse.vggt.foreign_bias import biased_reference
from attention_collapse.vggt.hub import DownloadError, download_checkpoint
from attention_collapse.vggt.images import ImageBatch, load_images
from attention_collapse.vggt.linear_head import (
    DirectCameraHead,
    DirectCameraHeadConfig,
    LinearHead,
    LinearHeadConfig,
)
from attention_collapse.vggt.mini import mini
from attention_collapse.vggt.mlp import MLP
from attention_collapse.vggt.model import VGGT
from attention_collapse.vggt.model_config import MINI, MINI_SCALABLE, TINY, VGGT_1B, VGGTConfig
from attention_collapse.vggt.observation import Observe, Watch
from attention_collapse.vggt.patch_embedding import PatchEmbedding
from attention_collapse.vggt.patch_encoder import PatchEncoder, PatchEncoderConfig
from attention_collapse.vggt.pose import decode_pose, encode_pose
from attention_collapse.vggt.precision import cast_linear_weights, compute_dtype
from attention_collapse.vggt.reconstruction import Reconstruction
from attention_collapse.vggt.reduction import Heads, Reducer, Reduction
from attention_collapse.vggt.reference_bias import AdjustedScores, length_scale, reference_bias
from attention_collapse.vggt.rope import RotaryTable, rotary_table, rotate
from attention_collapse.vggt.scalable_softmax import ScalableSoftmax
from attention_collapse.vggt.unprojection import Points, unproject

__all__ = [
    "MINI",
    "MINI_SCALABLE",
    "MLP",
    "TINY",
    "VGGT",
    "VGGT_1B",
    "AdjustedScores",
    "Aggregator",
    "AggregatorConfig",
    "AggregatorOutput",
    "Attention",
    "Block",
    "CameraHead",
    "CameraHeadConfig",
    "CheckpointError",
    "DenseHead",
    "DenseHeadConfig",
    "DenseOutput",
    "DirectCameraHead",
    "DirectCameraHeadConfig",
    "DownloadError",
    "Heads",
    "ImageBatch",
    "LayerScale",
    "LinearHead",
    "LinearHeadConfig",
    "Observe",
    "PatchEmbedding",
    "PatchEncoder",
    "PatchEncoderConfig",
    "Points",
    "Reconstruction",
    "Reducer",
    "Reduction",
    "RotaryTable",
    "ScalableSoftmax",
    "VGGTConfig",
    "Watch",
    "biased_reference",
    "cast_linear_weights",
    "compile_blocks",
    "compute_dtype",
    "decode_pose",
    "download_checkpoint",
    "encode_pose",
    "length_scale",
    "load_checkpoint",
    "load_images",
    "mini",
    "reference_bias",
    "rotary_table",
    "rotate",
    "unproject",
]

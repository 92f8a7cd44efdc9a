"""Camera head: from the camera token of each frame to its pose and field of view."""

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.attention import NORM_EPSILON, head_dimension
from attention_collapse.vggt.block import Block, check_layer_scale
from attention_collapse.vggt.full_precision import full_precision, require_full_precision
from attention_collapse.vggt.initialisation import linear
from attention_collapse.vggt.mlp import hidden_width
from attention_collapse.vggt.reduction import Heads, Reduction
from attention_collapse.vggt.reference_bias import first_frame_bias
from attention_collapse.vggt.validation import require_minimum

POSE_ENCODING = 9
"""Numbers of a pose encoding: translation 3, quaternion 4, field of view 2."""

ANGLES = 2

MODULATION_NORM_EPSILON = 1e-6
"""Added to the variance in the LayerNorm that a pose encoding modulates."""


@dataclass(frozen=True)
class CameraHeadConfig:
    """Sizes of a camera head; the defaults are VGGT's.

    Args:
        width: Channels of a camera token, twice the width of the aggregator.
        depth: Number of blocks of the trunk.
        heads: Attention heads of a block.
        mlp_ratio: Hidden channels of a block's MLP over ``width``.
        layer_scale: First value of the residual scales; ``None`` leaves them out.

    Raises:
        ValueError: A size is too small or not finite, or two sizes do not fit each other.

    Source: VGGT (arXiv 2503.11651), section 3.3. Home section: *The phenomenon*.
    """

    width: int = 2048
    depth: int = 4
    heads: int = 16
    mlp_ratio: float = 4.0
    layer_scale: float | None = 0.01

    def __post_init__(self) -> None:
        require_minimum(self, width=2, depth=1)
        hidden_width(self.width, self.mlp_ratio)
        head_dimension(self.width, self.heads)
        if self.layer_scale is not None:
            check_layer_scale(self.layer_scale)


class PoseBranch(nn.Module):
    r"""The change of a pose encoding, :math:`W_2 \operatorname{GELU}(W_1 x + b_1) + b_2`.

    The hidden layer has half as many channels as ``x``. State names: ``fc1``, ``fc2``.

    Args:
        width: Channels of a token.
        generator: Source of the weights.

    Source: VGGT (arXiv 2503.11651), section 3.3. Home section: *The phenomenon*.
    """

    def __init__(self, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.fc1 = linear(width, width // 2, generator=generator)
        self.fc2 = linear(width // 2, POSE_ENCODING, generator=generator)

    def forward(
        self, x: Float[Tensor, "scene frame two_width"]
    ) -> Float[Tensor, "scene frame encoding"]:
        """The change that each token asks for."""
        return self.fc2(F.gelu(self.fc1(x)))


class CameraHead(nn.Module):
    r"""Pose encodings of all frames of a scene, refined step by step.

    With :math:`t` the normalised camera tokens, which stay the same, and :math:`e_k` the sum of
    the changes so far, step :math:`k` computes

    .. math::

        (\text{shift}, \text{scale}, \text{gate}) &= W \operatorname{SiLU}(E\, e_k + b) + c \\
        y &= \text{gate} \odot \bigl(\operatorname{LN}(t) \odot (1 + \text{scale})
            + \text{shift}\bigr) + t \\
        e_{k+1} &= e_k + \operatorname{MLP}(\operatorname{LN}(\operatorname{Trunk}(y)))

    where the trunk attends over the frames of the scene, and the first step reads a learned
    encoding in the place of :math:`e_0 = 0`. The 9 numbers are the translation, the quaternion and
    the vertical and horizontal field of view (radians), the last two cut off below at zero in what
    is reported; the steps go on from the numbers before the cut. The quaternion is not normalised.
    No gradient runs from one step to the one before.

    State names are VGGT's: ``empty_pose_tokens``, ``embed_pose``, ``poseLN_modulation``,
    ``token_norm``, ``trunk``, ``trunk_norm``, ``pose_branch``.

    Args:
        config: Sizes.
        generator: Source of the first weights; the same seed gives the same weights.

    Source: VGGT (arXiv 2503.11651), section 3.3; the modulation is that of DiT
    (arXiv 2212.09748). Home section: *The phenomenon*.
    """

    def __init__(self, config: CameraHeadConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, POSE_ENCODING))
        self.embed_pose = linear(POSE_ENCODING, width, generator=generator)
        self.poseLN_modulation = nn.Sequential(
            nn.SiLU(), linear(width, 3 * width, generator=generator)
        )
        self.token_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.trunk = nn.Sequential(*(_block(config, generator) for _ in range(config.depth)))
        self.trunk_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.pose_branch = PoseBranch(width, generator=generator)

    def forward(
        self, camera_tokens: Tensor, *, iterations: int = 4, reference_bias: float = 0.0
    ) -> tuple[Float[Tensor, "scene frame encoding"], ...]:
        """The pose encoding after each step; the last one is the estimate.

        Args:
            camera_tokens: Camera token of each frame after the last layer of the aggregator,
                ``[scene frame two_width]``; converted to the type of the weights. Autocast has no
                effect in here.
            iterations: Number of steps.
            reference_bias: Added in every block of the trunk to the scores of the first frame's
                key, as ``AdjustedScores`` does in the aggregator.

        Raises:
            ValueError: The tokens have a wrong shape, there is no step, the bias is not finite, or
                the weights are shorter than float32.
        """
        self._check(camera_tokens, iterations, reference_bias)
        with full_precision(camera_tokens.device):
            tokens = self.token_norm(camera_tokens.to(self.token_norm.weight.dtype))
            return tuple(self._refine(tokens, iterations, reference_bias))

    def _refine(
        self, tokens: Float[Tensor, "scene frame two_width"], iterations: int, bias: float
    ) -> list[Float[Tensor, "scene frame encoding"]]:
        scenes, frames, _ = tokens.shape
        encoding = tokens.new_zeros(scenes, frames, POSE_ENCODING)
        start = self.empty_pose_tokens.expand(scenes, frames, -1)
        reported = []
        for _ in range(iterations):
            encoding = encoding + self._change(tokens, start, bias)
            reported.append(_report(encoding))
            start = encoding = encoding.detach()
        return reported

    def _change(
        self,
        tokens: Float[Tensor, "scene frame two_width"],
        encoding: Float[Tensor, "scene frame encoding"],
        bias: float,
    ) -> Float[Tensor, "scene frame encoding"]:
        shift, scale, gate = self.poseLN_modulation(self.embed_pose(encoding)).chunk(3, dim=-1)
        normed = F.layer_norm(tokens, tokens.shape[-1:], eps=MODULATION_NORM_EPSILON)
        modulated = gate * (normed * (1 + scale) + shift) + tokens
        return self.pose_branch(self.trunk_norm(self._attended(modulated, bias)))

    def _attended(
        self, tokens: Float[Tensor, "scene frame two_width"], bias: float
    ) -> Float[Tensor, "scene frame two_width"]:
        if bias == 0.0:
            return self.trunk(tokens)
        for block in self.trunk:
            tokens = block(tokens, reduce=partial(_with_bias, bias=bias))
        return tokens

    def _check(self, camera_tokens: Tensor, iterations: int, bias: float) -> None:
        shape, width = tuple(camera_tokens.shape), self.config.width
        if len(shape) != 3 or 0 in shape or shape[-1] != width:
            raise ValueError(
                f"camera tokens must have the axes [scene, frame, {width}], got shape {shape}; "
                "pass token 0 of each frame, the two streams of the last layer side by side"
            )
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}; VGGT uses 4")
        if not math.isfinite(bias):
            raise ValueError(
                f"reference_bias must be finite, got {bias}; 0 leaves the scores as they are"
            )
        require_full_precision(self.token_norm.weight, "camera head")


def _report(
    encoding: Float[Tensor, "scene frame encoding"],
) -> Float[Tensor, "scene frame encoding"]:
    pose, angles = encoding.split((POSE_ENCODING - ANGLES, ANGLES), dim=-1)
    return torch.cat((pose, angles.relu()), dim=-1)


def _with_bias(heads: Heads, _: Tensor, *, bias: float) -> Reduction:
    key_bias = first_frame_bias(heads.key, 1, bias)
    return Reduction(heads, restore=lambda output: output, key_bias=key_bias)


def _block(config: CameraHeadConfig, generator: torch.Generator) -> Block:
    return Block(
        config.width,
        config.heads,
        mlp_ratio=config.mlp_ratio,
        layer_scale=config.layer_scale,
        qk_norm=False,
        generator=generator,
    )

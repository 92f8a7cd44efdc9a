"""Scores of global attention changed for more frames than a network was trained on."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.reduction import Heads, Reduction


def reference_bias(frames: int, trained_frames: int) -> float:
    r"""The bias that gives the reference frame back the odds it had in training.

    .. math:: b = \ln \frac{S}{S_{\text{train}}}

    for :math:`S` frames, and 0 for no more frames than in training. Added to every score of a key
    of the first frame, it multiplies the odds of those keys by :math:`S / S_{\text{train}}`, which
    is what the other frames have grown by. If the later frames are copies of each other, shown
    :math:`m` times each, the bias :math:`\ln m` leads to the attention of one copy of each,
    exactly.

    Args:
        frames: :math:`S`, frames of a scene.
        trained_frames: :math:`S_{\text{train}}`, most frames of a scene in training.

    Raises:
        ValueError: A number of frames is below 1.

    Source: derived in the book. Home section: *What fails*.
    """
    if min(frames, trained_frames) < 1:
        raise ValueError(
            f"frames and trained_frames must be at least 1, got {frames} and {trained_frames}; "
            "count the first frame too"
        )
    return math.log(max(frames / trained_frames, 1.0))


def length_scale(tokens: int, trained_tokens: int) -> float:
    r"""The factor of all scores that keeps their spread in step with the logarithm of the tokens.

    .. math:: \frac{\ln N}{\ln N_{\text{train}}}

    Args:
        tokens: :math:`N`, keys of one query.
        trained_tokens: :math:`N_{\text{train}}`, most keys of one query in training.

    Raises:
        ValueError: A number of tokens is below 2.

    Source: scalable softmax (arXiv 2501.19399), with the training length for unit.
    Home section: *What fails*.
    """
    if min(tokens, trained_tokens) < 2:
        raise ValueError(
            "tokens and trained_tokens must be at least 2, whose logarithm is positive, got "
            f"{tokens} and {trained_tokens}; pass the tokens of all frames"
        )
    return math.log(tokens) / math.log(trained_tokens)


@dataclass(frozen=True)
class AdjustedScores:
    r"""A reducer that leaves all tokens in and changes their scores.

    .. math:: s_{ij} \to c\, s_{ij} + b\, [\,j \text{ is a token of the first frame}\,]

    ``network.reconstruct(images, reducer=AdjustedScores(bias=reference_bias(len(images), 8)))``
    runs a network trained on 8 frames on any number. A camera head that attends over frames, as
    VGGT's does, is given the same bias by ``camera_bias=``. For the bias under token merging see
    ``MergeReducer.reference_bias``.

    Args:
        bias: :math:`b`.
        scale: :math:`c`; above 1 it sharpens attention.

    Raises:
        ValueError: The bias is not finite, or the scale is not finite and positive.

    Source: derived in the book. Home section: *What fails*.
    """

    bias: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bias) and 0 < self.scale < math.inf):
            raise ValueError(
                "the bias must be finite and the scale finite and positive, got "
                f"{self.bias} and {self.scale}; 0 and 1 leave the scores as they are"
            )

    def __call__(
        self,
        heads: Heads,
        tokens: Float[Tensor, "batch token width"],
        *,
        layer: int,
        layout: TokenLayout,
    ) -> Reduction:
        """The same heads with scaled queries, and the bias of their keys."""
        if self.scale != 1.0:
            heads = heads._replace(query=heads.query * self.scale)
        return Reduction(heads, restore=_unchanged, key_bias=self._key_bias(heads, layout))

    def _key_bias(self, heads: Heads, layout: TokenLayout) -> Float[Tensor, "batch key"] | None:
        if self.bias == 0.0:
            return None
        return first_frame_bias(heads.key, layout.per_frame, self.bias)


def first_frame_bias(
    key: Float[Tensor, "batch head key dim"], tokens_per_frame: int, bias: float
) -> Float[Tensor, "batch key"]:
    """A bias on the keys of the first frame and none on others, in float32 at least.

    Args:
        key: Keys of all frames, the first frame's first.
        tokens_per_frame: How many of them the first frame has.
        bias: Their bias.

    Home section: *What fails*.
    """
    dtype = torch.promote_types(key.dtype, torch.float32)
    row = torch.zeros(key.shape[2], dtype=dtype, device=key.device)
    row[:tokens_per_frame] = bias
    return row.expand(len(key), -1)


def _unchanged(output: Tensor) -> Tensor:
    return output

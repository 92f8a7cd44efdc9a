"""Multi-head self-attention, with points where a caller can look inside."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.initialisation import linear
from attention_collapse.vggt.rope import RotaryTable, rotate

Observe = Callable[[str, Tensor], None]
"""Called with the name of an observation point and the tensor there, as soon as it exists.

The tensor is the network's own: an observer may read it or copy it, not change it.
"""

NORM_EPSILON = 1e-5
"""Added to the variance in every LayerNorm of the aggregator."""


def scoped(observe: Observe | None, scope: str) -> Observe | None:
    """The observer that puts ``scope`` and a dot before every name it passes on.

    Home section: *Notation*.
    """
    if observe is None:
        return None
    return lambda name, tensor: observe(f"{scope}.{name}", tensor)


def head_dimension(width: int, heads: int) -> int:
    """The channels of one head.

    Raises:
        ValueError: ``width`` is not a positive multiple of ``heads``.

    Home section: *Notation*.
    """
    if heads < 1 or width < 1 or width % heads:
        raise ValueError(
            f"the width must be a positive multiple of the heads, got width {width} and "
            f"{heads} heads; VGGT has width 1024 and 16 heads"
        )
    return width // heads


class Attention(nn.Module):
    r"""The mixture of values :math:`\operatorname{softmax}(Q K^\top / \sqrt{d})\,V`, by head.

    One linear map gives query, key and value (rows ordered query, key, value, then head). Query
    and key pass through a LayerNorm over the :math:`d` channels of a head, shared by all heads,
    and through the rotary embedding; the heads are joined by a last linear map. The softmax runs
    in the fused kernel, which never stores the weights.

    State names are VGGT's: ``qkv``, ``q_norm``, ``k_norm``, ``proj``.

    Args:
        width: Channels of a token.
        heads: Number of heads.
        qk_norm: Normalise query and key.
        qkv_bias: Give the first linear map a bias.
        proj_bias: Give the last linear map a bias.
        generator: Source of the weights.

    Raises:
        ValueError: ``width`` is not a positive multiple of ``heads``.

    Source: Vaswani et al. (arXiv 1706.03762), section 3.2; normalised query and key as in VGGT
    (arXiv 2503.11651). Home section: *The phenomenon*.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qk_norm: bool = True,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        dim = head_dimension(width, heads)
        self.heads = heads
        self.qkv = linear(width, 3 * width, bias=qkv_bias, generator=generator)
        self.q_norm = nn.LayerNorm(dim, eps=NORM_EPSILON) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim, eps=NORM_EPSILON) if qk_norm else nn.Identity()
        self.proj = linear(width, width, bias=proj_bias, generator=generator)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        *,
        rotary: RotaryTable | None = None,
        observe: Observe | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """The attention output of every token.

        Args:
            x: Tokens; the tokens of one batch entry attend to each other.
            rotary: Table of the positions, or ``None`` for attention without positions.
            observe: Called with ``query`` and ``key`` (after norm and rotation, before the scale)
                and ``value``, each ``[batch head token dim]``, and with ``output`` (after the last
                linear map). The points are the same whichever kernel runs the softmax.
        """
        query, key, value = self._heads(x, rotary)
        if observe is not None:
            observe("query", query)
            observe("key", key)
            observe("value", value)
        mixed = F.scaled_dot_product_attention(query, key, value)
        output = self.proj(mixed.transpose(1, 2).flatten(2))
        if observe is not None:
            observe("output", output)
        return output

    def _heads(
        self, x: Float[Tensor, "batch token width"], rotary: RotaryTable | None
    ) -> tuple[
        Float[Tensor, "batch head token dim"],
        Float[Tensor, "batch head token dim"],
        Float[Tensor, "batch head token dim"],
    ]:
        projected = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self.q_norm(query), self.k_norm(key)
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        return query, key, value

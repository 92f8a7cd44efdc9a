"""Multi-head self-attention, with points where a caller can look inside."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.initialisation import linear
from attention_collapse.vggt.observation import Observe, asks_for, attention_weights
from attention_collapse.vggt.reduction import Heads, Reduce, restored
from attention_collapse.vggt.rope import RotaryTable, rotate

NORM_EPSILON = 1e-5
"""Added to the variance in every LayerNorm of the aggregator."""


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

    The linear maps and the softmax compute in the type of the linear weights, the norms and the
    rotation in the type of the norms' weights.

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
        reduce: Reduce | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """The attention output of every token.

        Args:
            x: Tokens; the tokens of one batch entry attend to each other.
            rotary: Table of the positions, or ``None`` for attention without positions.
            observe: Called with ``query`` and ``key`` (after norm and rotation, before the scale)
                and ``value`` of all tokens, each ``[batch head token dim]``, and with ``output``
                (after the last linear map). The points are the same whichever kernel runs the
                softmax. A ``Watch`` may ask for ``weights`` too, ``[batch head query key]``: those
                of the reduced queries and keys, if they are reduced.
            reduce: Gives the queries, keys and values that attention runs on in the place of
                those of all tokens, and the way back to all tokens.

        Raises:
            ValueError: The reduction does not lead back to all tokens.
        """
        heads = Heads(*self._heads(x, 0, 3, rotary))
        if observe is not None:
            for name, tensor in heads._asdict().items():
                observe(name, tensor)
        if reduce is None:
            output = self._mix(heads, observe=observe)
        else:
            reduction = reduce(heads, x)
            mixed = self._mix(reduction.heads, key_bias=reduction.key_bias, observe=observe)
            output = restored(reduction, mixed, x)
        if observe is not None:
            observe("output", output)
        return output

    def keys_and_values(
        self, x: Float[Tensor, "batch token width"], *, rotary: RotaryTable | None = None
    ) -> tuple[Float[Tensor, "batch head token dim"], Float[Tensor, "batch head token dim"]]:
        """Key and value of every token, as they enter the softmax; arguments as in ``forward``."""
        key, value = self._heads(x, 1, 3, rotary)
        return key, value

    def read(
        self,
        x: Float[Tensor, "batch query width"],
        key: Float[Tensor, "batch head key dim"],
        value: Float[Tensor, "batch head key dim"],
        *,
        rotary: RotaryTable | None = None,
    ) -> Float[Tensor, "batch query width"]:
        """The attention output of some tokens, whose queries read the given keys.

        Args:
            x: The tokens that ask.
            key: Keys of all tokens, from ``keys_and_values``.
            value: Their values.
            rotary: Table of the positions of the tokens that ask.
        """
        (query,) = self._heads(x, 0, 1, rotary)
        return self._mix(Heads(query, key, value))

    def _mix(
        self,
        heads: Heads,
        *,
        key_bias: Float[Tensor, "batch key"] | None = None,
        observe: Observe | None = None,
    ) -> Float[Tensor, "batch query width"]:
        if asks_for(observe, "weights"):
            observe("weights", attention_weights(heads.query, heads.key, key_bias))
        mask = None if key_bias is None else key_bias[:, None, None, :].to(heads.query.dtype)
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def _heads(
        self,
        x: Float[Tensor, "batch token width"],
        first: int,
        last: int,
        rotary: RotaryTable | None,
    ) -> list[Float[Tensor, "batch head token dim"]]:
        """Parts ``first`` to ``last`` of query, key and value, the last of them left out."""
        rows = slice(first * x.shape[-1], last * x.shape[-1])
        weight, bias = self.qkv.weight[rows], self.qkv.bias
        projected = F.linear(x.to(weight.dtype), weight, None if bias is None else bias[rows])
        parts = projected.unflatten(-1, (last - first, self.heads, -1)).permute(2, 0, 3, 1, 4)
        norms = (self.q_norm, self.k_norm, None)[first:last]
        return [
            _place(part, norm, rotary) for part, norm in zip(parts.unbind(0), norms, strict=True)
        ]


def _place(
    part: Float[Tensor, "batch head token dim"], norm: nn.Module | None, rotary: RotaryTable | None
) -> Float[Tensor, "batch head token dim"]:
    """The queries or keys after norm and rotation, in the type they came in; values as they are."""
    if norm is None:
        return part
    wide = part.to(norm.weight.dtype) if isinstance(norm, nn.LayerNorm) else part
    placed = norm(wide)
    if rotary is not None:
        placed = rotate(placed, rotary)
    return placed.to(part.dtype)

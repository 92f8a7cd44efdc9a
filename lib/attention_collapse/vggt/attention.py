"""Multi-head self-attention, with points where a caller can look inside."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.chunks import in_chunks
from attention_collapse.vggt.initialisation import linear
from attention_collapse.vggt.key_bias import with_key_bias
from attention_collapse.vggt.observation import Observe, asks_for, attention_weights
from attention_collapse.vggt.reduction import Attend, Heads, Reduce, restored, show
from attention_collapse.vggt.rope import RotaryTable, rotate
from attention_collapse.vggt.scalable_softmax import ScalableSoftmax

NORM_EPSILON = 1e-5
"""Added to the variance in every LayerNorm of the aggregator."""

UNEVEN_QUERIES = 2048
"""Queries at a time of a softmax over longer dimensions than those of the values."""


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

    State names are VGGT's: ``qkv``, ``q_norm``, ``k_norm``, ``proj``; and ``softmax.factor``, where
    scores grow with the number of tokens, which VGGT's do not.

    Args:
        width: Channels of a token.
        heads: Number of heads.
        qk_norm: Normalise query and key.
        qkv_bias: Give the first linear map a bias.
        proj_bias: Give the last linear map a bias.
        scalable_softmax: First value of the factors of a ``ScalableSoftmax``; ``None`` for none.
        generator: Source of the weights.

    Raises:
        ValueError: ``width`` is not a positive multiple of ``heads``, or a factor is not positive.

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
        scalable_softmax: float | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        dim = head_dimension(width, heads)
        self.heads = heads
        self.qkv = linear(width, 3 * width, bias=qkv_bias, generator=generator)
        self.q_norm = nn.LayerNorm(dim, eps=NORM_EPSILON) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim, eps=NORM_EPSILON) if qk_norm else nn.Identity()
        self.proj = linear(width, width, bias=proj_bias, generator=generator)
        none = scalable_softmax is None
        self.softmax = nn.Identity() if none else ScalableSoftmax(heads, scalable_softmax)

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
        heads = self.scaled(self.heads_of(x, rotary=rotary))
        show(heads, observe)
        if reduce is None:
            output = self.proj(self.mix(heads, observe=observe))
        else:
            reduction = reduce(heads, x)
            options = {"key_bias": reduction.key_bias, "attend": reduction.attend}
            mixed = self.mix(reduction.heads, observe=observe, **options)
            output = restored(reduction, self.proj(mixed), x)
        if observe is not None:
            observe("output", output)
        return output

    def heads_of(
        self,
        x: Float[Tensor, "batch token width"],
        *,
        rotary: RotaryTable | None = None,
        out: Heads | None = None,
    ) -> Heads:
        """Query, key and value of every token, but for the last factor of ``scaled``.

        Args:
            x: As in ``forward``.
            rotary: As in ``forward``.
            out: Where to write them, in the type of the linear weights; ``None`` makes new ones.
        """
        projected = self.qkv(x.to(self.qkv.weight.dtype))
        parts = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        norms = (self.q_norm, self.k_norm, None)
        placed = [_place(part, norm, rotary) for part, norm in zip(parts, norms, strict=True)]
        if out is None:
            return Heads(*(tensor.to(projected.dtype) for tensor in placed))
        for whole, tensor in zip(out, placed, strict=True):
            whole.copy_(tensor)
        return out

    def scaled(self, heads: Heads) -> Heads:
        """The heads of all tokens as they enter the softmax, which may scale with their number."""
        return heads._replace(query=self.softmax(heads.query))

    def empty_heads(self, x: Float[Tensor, "batch token width"]) -> Heads:
        """Room for query, key and value of every token, for ``heads_of`` to fill.

        In memory the heads of a token lie side by side, so that joining them copies nothing: the
        fused kernels lay out their result as they find the queries.
        """
        batch, tokens, width = x.shape
        shape = (batch, tokens, self.heads, width // self.heads)
        rooms = (x.new_empty(shape, dtype=self.qkv.weight.dtype) for _ in Heads._fields)
        return Heads(*(room.transpose(1, 2) for room in rooms))

    def mix(
        self,
        heads: Heads,
        *,
        key_bias: Float[Tensor, "batch key"] | None = None,
        attend: Attend | None = None,
        observe: Observe | None = None,
        query_chunk: int | None = None,
    ) -> Float[Tensor, "batch query width"]:
        """The mixtures of values, heads side by side, before the last linear map.

        Args:
            heads: Query, key and value.
            key_bias: Added to every score of a key, at the precision of the scores.
            attend: Runs the softmax, as in ``Reduction``; ``None`` takes the fused kernel.
            observe: As in ``forward``, for ``weights`` alone.
            query_chunk: Queries at a time, with all keys; ``None`` takes all at once. The fused
                kernels need memory for the result alone; others hold the scores of a chunk.
        """
        if asks_for(observe, "weights"):
            observe("weights", attention_weights(heads.query, heads.key, key_bias))
        read = partial(attend or fused_attention, key_bias=key_bias)
        mixed = in_chunks(
            lambda query: read(heads._replace(query=query)), heads.query, chunk=query_chunk, dim=2
        )
        return mixed.transpose(1, 2).flatten(2)


def fused_attention(
    heads: Heads, *, key_bias: Float[Tensor, "batch key"] | None = None
) -> Float[Tensor, "batch head query dim"]:
    """The mixtures of values of every head, by the fused kernel.

    A bias acts in float32 at least. Heads of 16 bits get it as further dimensions, for the mask of
    a kernel would round it to their type. Kernels that want queries and keys as long as values do
    not take those: where no other is there, a chunk of queries bounds the scores that are held.

    Args:
        heads: Query, key and value.
        key_bias: Added to every score of a key.

    Home section: *The phenomenon*.
    """
    scale = heads.query.shape[-1] ** -0.5
    mask = None
    if key_bias is not None and heads.query.itemsize < 4:
        heads = with_key_bias(heads, key_bias)
    elif key_bias is not None:
        mask = key_bias[:, None, None, :].to(heads.query.dtype)
    read = partial(
        F.scaled_dot_product_attention,
        key=heads.key,
        value=heads.value,
        attn_mask=mask,
        scale=scale,
    )
    uneven = heads.query.shape[-1] != heads.value.shape[-1]
    return in_chunks(read, heads.query, chunk=UNEVEN_QUERIES if uneven else None, dim=2)


def _place(
    part: Float[Tensor, "batch head token dim"], norm: nn.Module | None, rotary: RotaryTable | None
) -> Float[Tensor, "batch head token dim"]:
    """The queries or keys after norm and rotation, in the type of the norm; values as they are."""
    if norm is None:
        return part
    wide = part.to(norm.weight.dtype) if isinstance(norm, nn.LayerNorm) else part
    placed = norm(wide)
    return placed if rotary is None else rotate(placed, rotary)

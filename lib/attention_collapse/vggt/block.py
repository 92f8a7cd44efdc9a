"""The transformer block: attention and MLP, each behind a LayerNorm and a residual."""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.vggt.attention import NORM_EPSILON, Attention
from attention_collapse.vggt.chunks import (
    check_query_chunk,
    even_chunk,
    has_gradients,
    in_chunks,
    write_in_chunks,
)
from attention_collapse.vggt.mlp import MLP, hidden_width
from attention_collapse.vggt.observation import Observe, scoped
from attention_collapse.vggt.reduction import Heads, Reduce, show
from attention_collapse.vggt.rope import RotaryTable


class LayerScale(nn.Module):
    r"""The tokens times a learned factor per channel, :math:`x \odot \gamma`.

    Raises:
        ValueError: The first value of the factors is not finite.

    Source: Touvron et al. (arXiv 2103.17239), section 2. Home section: *The phenomenon*.
    """

    def __init__(self, width: int, value: float) -> None:
        super().__init__()
        check_layer_scale(value)
        self.gamma = nn.Parameter(torch.full((width,), value))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """The scaled tokens."""
        return x * self.gamma


class Block(nn.Module):
    r"""One step of depth: attention, then the MLP, each added to the residual stream.

    .. math::

        x &\leftarrow x + \gamma_1 \odot \operatorname{Attention}(\operatorname{LN}_1(x)) \\
        x &\leftarrow x + \gamma_2 \odot \operatorname{MLP}(\operatorname{LN}_2(x))

    The residual stream and the norms keep the type of ``x``; attention and MLP compute in the type
    of their linear weights, which may be shorter.

    State names are VGGT's: ``norm1``, ``attn``, ``ls1``, ``norm2``, ``mlp``, ``ls2``.

    Args:
        width: Channels of a token.
        heads: Number of heads.
        mlp_ratio: Hidden channels of the MLP over ``width``.
        layer_scale: First value of :math:`\gamma_1, \gamma_2`; ``None`` leaves both out.
        qk_norm: Normalise query and key.
        qkv_bias: Give the map to query, key and value a bias.
        proj_bias: Give the map that joins the heads a bias.
        scalable_softmax: First value of the factors that make scores grow with the number of
            tokens; ``None`` leaves them out.
        norm_epsilon: Added to the variance in both LayerNorms of the block.
        generator: Source of the weights.

    Raises:
        ValueError: ``width`` is not a positive multiple of ``heads``, the MLP has no channel or no
            finite number of them, ``layer_scale`` is not finite or ``scalable_softmax`` not
            positive.

    Source: pre-norm block as in VGGT (arXiv 2503.11651). Home section: *The phenomenon*.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        layer_scale: float | None = 0.01,
        qk_norm: bool = True,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        scalable_softmax: float | None = None,
        norm_epsilon: float = NORM_EPSILON,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        hidden = hidden_width(width, mlp_ratio)
        self.norm1 = nn.LayerNorm(width, eps=norm_epsilon)
        self.attn = Attention(
            width,
            heads,
            qk_norm=qk_norm,
            qkv_bias=qkv_bias,
            proj_bias=proj_bias,
            scalable_softmax=scalable_softmax,
            generator=generator,
        )
        self.ls1 = nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)
        self.norm2 = nn.LayerNorm(width, eps=norm_epsilon)
        self.mlp = MLP(width, hidden, generator=generator)
        self.ls2 = nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        *,
        rotary: RotaryTable | None = None,
        observe: Observe | None = None,
        reduce: Reduce | None = None,
        token_chunk: int | None = None,
        query_chunk: int | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """The residual stream after the block.

        Args:
            x: Residual stream before the block.
            rotary: Table of the positions, or ``None`` for attention without positions.
            observe: Called with ``attention.query``, ``attention.key``, ``attention.value``,
                ``attention.output`` (before its scale) and ``output`` (the result); a ``Watch``
                may ask for ``attention.weights`` too.
            reduce: Gives the queries, keys and values that attention runs on in the place of
                those of all tokens.
            token_chunk: Tokens at a time that pass through the norms, the linear maps and the MLP;
                a multiple of the rotary table's tokens. It bounds the memory, and the result is
                the same up to rounding. An observer is shown whole tensors of the same work, which
                changes no bit unless blocks are compiled. With a reducer only the MLP is cut, and
                nothing where gradients are kept. ``None`` takes all tokens at once.
            query_chunk: Queries at a time in the softmax without a reducer; ``None`` takes all.

        Raises:
            ValueError: A chunk is below 1, ``token_chunk`` is no multiple of the rotary table's
                tokens, or a reduction does not lead back to all tokens.
        """
        _check_chunks(token_chunk, query_chunk, rotary)
        watch = scoped(observe, "attention")
        if reduce is None:
            x = self._by_tokens(x, rotary, watch, token_chunk, query_chunk)
        else:
            x = x + self.ls1(self.attn(self.norm1(x), rotary=rotary, observe=watch, reduce=reduce))
            x = in_chunks(self._add_mlp, x, chunk=token_chunk, dim=1)
        if observe is not None:
            observe("output", x)
        return x

    def by_batch(
        self,
        x: Float[Tensor, "batch token width"],
        *,
        rotary: RotaryTable | None = None,
        chunk: int | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """As ``forward``, at most ``chunk`` batch entries at a time; ``None`` takes all at once."""
        step = partial(self._step, rotary=rotary)
        if has_gradients(self, x) or chunk is None or chunk >= len(x):
            return step(x)
        chunk, places = even_chunk(len(x), chunk), torch.empty_like(x)
        return write_in_chunks(step, x, places=places, chunk=chunk, dim=0, place_dim=0)

    def prepare(
        self,
        x: Float[Tensor, "batch token width"],
        rotary: RotaryTable | None,
        out: Heads | None = None,
    ) -> Heads:
        """Query, key and value of every token: what comes before the softmax and its scale."""
        return self.attn.heads_of(self.norm1(x), rotary=rotary, out=out)

    def advance(
        self,
        x: Float[Tensor, "batch token width"],
        mixed: Float[Tensor, "batch token width"],
        out: Float[Tensor, "batch token width"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """The residual stream after the block, from the mixtures: what comes after the softmax."""
        return self._add_mlp(x + self.ls1(self.attn.proj(mixed)), out)

    def _step(
        self,
        x: Float[Tensor, "batch token width"],
        *,
        rotary: RotaryTable | None,
        query_chunk: int | None = None,
        out: Float[Tensor, "batch token width"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        heads = self.attn.scaled(self.prepare(x, rotary))
        mixed = self.attn.mix(heads, query_chunk=query_chunk)
        return self.advance(x, mixed, out)

    def _by_tokens(
        self,
        x: Float[Tensor, "batch token width"],
        rotary: RotaryTable | None,
        watch: Observe | None,
        token_chunk: int | None,
        query_chunk: int | None,
    ) -> Float[Tensor, "batch token width"]:
        whole = has_gradients(self, x) or token_chunk is None or token_chunk >= x.shape[1]
        chunk = None if whole else token_chunk
        heads = self.attn.scaled(self._heads(x, rotary, chunk))
        show(heads, watch)
        mixed = self.attn.mix(heads, observe=watch, query_chunk=query_chunk)
        del heads
        if watch is not None:
            return self._advance_watched(x, mixed, watch, chunk)
        if chunk is None:
            return self.advance(x, mixed)
        return write_in_chunks(
            self.advance, x, mixed, places=torch.empty_like(x), chunk=chunk, dim=1, place_dim=1
        )

    def _heads(
        self, x: Float[Tensor, "batch token width"], rotary: RotaryTable | None, chunk: int | None
    ) -> Heads:
        if chunk is None:
            return self.prepare(x, rotary)
        prepare, places = partial(self.prepare, rotary=rotary), self.attn.empty_heads(x)
        return write_in_chunks(prepare, x, places=places, chunk=chunk, dim=1, place_dim=2)

    def _advance_watched(
        self,
        x: Float[Tensor, "batch token width"],
        mixed: Float[Tensor, "batch token width"],
        watch: Observe,
        chunk: int | None,
    ) -> Float[Tensor, "batch token width"]:
        """As ``advance``, the whole attention output shown before it is added."""
        output = in_chunks(self.attn.proj, mixed, chunk=chunk, dim=1)
        watch("output", output)
        x = x + self.ls1(output)
        del output
        return in_chunks(self._add_mlp, x, chunk=chunk, dim=1)

    def _add_mlp(
        self,
        x: Float[Tensor, "batch token width"],
        out: Float[Tensor, "batch token width"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        return torch.add(x, self.ls2(self.mlp(self.norm2(x))), out=out)


def _check_chunks(
    token_chunk: int | None, query_chunk: int | None, rotary: RotaryTable | None
) -> None:
    step = 1 if rotary is None else rotary.cos.shape[0]
    if token_chunk is not None and (token_chunk < 1 or token_chunk % step):
        raise ValueError(
            f"token_chunk must be a positive multiple of {step}, the tokens of the rotary table, "
            f"got {token_chunk}; pass whole frames, or None for all tokens at once"
        )
    check_query_chunk(query_chunk)


def check_layer_scale(value: float) -> None:
    """Refuse a residual scale that is not a number.

    Raises:
        ValueError: ``value`` is infinite or not a number.

    Home section: *Notation*.
    """
    if not math.isfinite(value):
        raise ValueError(
            f"layer_scale must be finite, got {value}; VGGT starts at 0.01, None leaves it out"
        )

"""Work and traffic of transformer blocks, frame by frame and over all frames.

A multiply-add counts as two floating-point operations. Only matrix products count: the linear
maps, the scores and the averages of values. Norms, softmax, GELU, rotary embedding, residuals and
the search for what to merge are left out. Traffic is what these products must read and write when
each operand moves once and attention is fused, so that its weights are never stored.
"""

from dataclasses import dataclass

from attention_collapse.theory.validation import require_at_least


@dataclass(frozen=True)
class Cost:
    r"""Work and traffic.

    Attributes:
        flops: Floating-point operations, two for a multiply-add.
        traffic: Bytes read and written.

    Home section: *Depth and frames: one law*.
    """

    flops: int
    traffic: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.traffic + other.traffic)

    def __mul__(self, count: int) -> "Cost":
        return Cost(self.flops * count, self.traffic * count)


@dataclass(frozen=True)
class BlockShape:
    r"""Sizes of a transformer block; the defaults are VGGT's, in 16-bit numbers.

    Attributes:
        width: :math:`C`, channels of a token.
        hidden: Hidden channels of the MLP.
        bytes_per_number: Size of one number, in bytes.

    Raises:
        ValueError: If a size is below 1.

    Home section: *Depth and frames: one law*.
    """

    width: int = 1024
    hidden: int = 4096
    bytes_per_number: int = 2

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "bytes_per_number"):
            require_at_least(name, getattr(self, name), 1, fix="pass the size of the block")


def attention_cost(shape: BlockShape, *, queries: int, keys: int) -> Cost:
    r"""Scores and averages of values, :math:`4 N G C` operations.

    Args:
        shape: Sizes of the block.
        queries: :math:`N`, number of queries.
        keys: :math:`G`, number of keys and values.

    Raises:
        ValueError: If a number of tokens is below 1.

    Source: derived in the home section, equation ``eq-block-flops``.
    Home section: *Depth and frames: one law*.
    """
    require_at_least("queries", queries, 1, fix="count the tokens that ask")
    require_at_least("keys", keys, 1, fix="count the tokens that are read")
    traffic = 2 * (queries + keys) * shape.width * shape.bytes_per_number
    return Cost(4 * queries * keys * shape.width, traffic)


def block_cost(
    shape: BlockShape, tokens: int, *, queries: int | None = None, keys: int | None = None
) -> Cost:
    r"""One block: attention with its linear maps, and the MLP.

    .. math:: 6 N C^2 + 4 Q K C + 2 Q C^2 + 4 N C C_h

    operations for :math:`N` tokens of which attention sees :math:`Q` queries and :math:`K` keys.
    The map to query, key and value and the MLP run on all tokens. The map that joins the heads
    runs before outputs are copied back, so on the queries.

    Args:
        shape: Sizes of the block.
        tokens: :math:`N`, tokens that attend to each other.
        queries: :math:`Q`, queries left by a merge; all tokens by default.
        keys: :math:`K`, keys left by a merge; all tokens by default.

    Raises:
        ValueError: If a number of tokens is below 1.

    Source: derived in the home section, equation ``eq-block-flops``.
    Home section: *Depth and frames: one law*.
    """
    queries = tokens if queries is None else queries
    keys = tokens if keys is None else keys
    return (
        _linear(shape, tokens, shape.width, 3 * shape.width)
        + attention_cost(shape, queries=queries, keys=keys)
        + _linear(shape, queries, shape.width, shape.width)
        + _linear(shape, tokens, shape.width, shape.hidden)
        + _linear(shape, tokens, shape.hidden, shape.width)
    )


def scene_cost(
    shape: BlockShape, *, frames: int, per_frame: int, depth: int = 24, merged: int | float = 1
) -> dict[str, Cost]:
    r"""Frame blocks and global blocks of a scene, by name.

    Args:
        shape: Sizes of a block.
        frames: :math:`S`, number of frames.
        per_frame: :math:`P`, tokens of a frame.
        depth: Number of frame blocks, and of global blocks.
        merged: Share of the tokens that a merge leaves to global attention, as queries and as
            keys, in (0, 1].

    Raises:
        ValueError: If a number is below 1 or the share is outside its range.

    Source: sum of ``block_cost`` over the alternating blocks of VGGT (arXiv 2503.11651, section 3).
    Home section: *Depth and frames: one law*.
    """
    require_at_least("frames", frames, 1, fix="a sequence has one frame or more")
    require_at_least("per_frame", per_frame, 1, fix="count the tokens of one frame")
    require_at_least("depth", depth, 1, fix="count the global blocks")
    if not 0.0 < merged <= 1.0:
        raise ValueError(f"merged must be above 0 and at most 1; got {merged}: 1 merges nothing.")
    tokens = frames * per_frame
    kept = max(1, round(merged * tokens))
    return {
        "frame": block_cost(shape, per_frame) * (frames * depth),
        "global": block_cost(shape, tokens, queries=kept, keys=kept) * depth,
    }


def attention_weights_bytes(shape: BlockShape, *, queries: int, keys: int, heads: int) -> int:
    """Size of the attention weights of all heads, which a fused kernel never stores.

    Raises:
        ValueError: If a number is below 1.

    Source: definition.
    Home section: *Depth and frames: one law*.
    """
    for name, count in (("queries", queries), ("keys", keys), ("heads", heads)):
        require_at_least(name, count, 1, fix="count what attention holds")
    return queries * keys * heads * shape.bytes_per_number


def _linear(shape: BlockShape, tokens: int, inputs: int, outputs: int) -> Cost:
    """A linear map with a bias: tokens in, weights and bias, tokens out."""
    require_at_least("tokens", tokens, 1, fix="count the tokens of the block")
    moved = tokens * inputs + inputs * outputs + outputs + tokens * outputs
    return Cost(2 * tokens * inputs * outputs, moved * shape.bytes_per_number)

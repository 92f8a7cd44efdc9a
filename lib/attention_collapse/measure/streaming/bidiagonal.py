"""Block bidiagonalisation of one head of streamed attention."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attention_collapse.measure.streaming.attention import StreamedAttention
from attention_collapse.measure.streaming.directions import Directions

# Ratio of the series of movements above which it is not told from one that goes on for ever.
SLOWEST = 0.9


@dataclass(frozen=True)
class Bidiagonalisation:
    r"""Singular values of :math:`A` on a Krylov space, and the space.

    Attributes:
        values: Singular values of :math:`A V` after the last product, descending.
        earlier: Those of the products before, the latest last, as many as there were.
        blocks: :math:`V`, orthonormal directions over the keys.
        axes: Right singular vectors of :math:`A V`, as columns.

    Home section: *Measuring collapse*.
    """

    values: Float64[Tensor, "value"]
    earlier: tuple[Float64[Tensor, "_"], ...]
    blocks: tuple[Float[Tensor, "key column"], ...]
    axes: Float64[Tensor, "direction value"]

    @property
    def movement(self) -> Float64[Tensor, "previous_value"]:
        """How far the last product raised each value that was there before."""
        return _rise(self.earlier[-1], self.values)

    @property
    def missing(self) -> Float64[Tensor, "earliest_value"]:
        r"""Estimate of what each value is short of that of :math:`A`.

        A product with :math:`A` and one with :math:`A^\top` move the values differently, so it
        takes two for a step of a series. The last three moved a value by :math:`m_1, m_2, m_3`, and

        .. math:: m_3 + (m_2 + m_3) \frac{r}{1 - r}, \qquad r = \min(m_3 / m_1, \, 0.9),

        is what a geometric series of such steps still adds, and once more the last movement.
        Larger values converge first: no estimate is, in parts of its value, below one for a larger
        value. In parts, because rounding of the largest value can be several per cent of a small
        one.

        Five products or more; three do not show the ratio.
        """
        path = (*self.earlier[-3:], self.values)
        first, second, third = (
            _rise(before, after)[: len(path[0])] for before, after in pairwise(path)
        )
        ratio = (third / first.clamp_min(torch.finfo(first.dtype).tiny)).clamp_max(SLOWEST)
        short = third + (second + third) * ratio / (1 - ratio)
        values = self.values[: len(short)].clamp_min(torch.finfo(short.dtype).tiny)
        return (short / values).cummax(0).values * values

    def right_vectors(self, count: int) -> Float[Tensor, "key value"]:
        """Right singular vectors of the leading values."""
        width = self.blocks[0].shape[-1]
        parts = zip(self.blocks, self.axes[:, :count].split(width), strict=True)
        return sum(block @ axes.to(block.dtype) for block, axes in parts)


class HeadProducts:
    """Products with the matrix of one head, in float32 or, for float64 queries, in float64.

    Every product is reported.

    Home section: *Measuring collapse*.
    """

    def __init__(self, attention: StreamedAttention, head: int, *, task: str, total: int) -> None:
        self._attention = attention
        self._heads = slice(head, head + 1)
        self._task = f"{task}, head {head + 1} of {attention.heads}"
        self._total = total
        self._done = 0
        self.keys = attention.key.shape[1]
        self.shards = attention.shards
        double = attention.query.dtype == torch.float64
        self._dtype = torch.float64 if double else torch.float32

    def random_columns(self, count: int, generator: torch.Generator) -> Float[Tensor, "key column"]:
        """Independent normal numbers over the keys, the same in every process."""
        shape = (self.keys, count)
        numbers = torch.randn(
            shape, generator=generator, device=generator.device, dtype=self._dtype
        )
        return numbers.to(self._attention.key.device)

    def apply(self, columns: Float[Tensor, "key column"]) -> Float[Tensor, "query column"]:
        r"""The product :math:`A \, \Omega`."""
        return self._finish(self._attention.apply(columns[None], heads=self._heads))

    def apply_transposed(
        self, columns: Float[Tensor, "query column"]
    ) -> Float[Tensor, "key column"]:
        r"""The product :math:`A^\top Y`."""
        return self._finish(self._attention.apply_transposed(columns[None], heads=self._heads))

    def _finish(self, product: Float[Tensor, "1 token column"]) -> Float[Tensor, "token column"]:
        self._done += 1
        self._attention.report(self._task, self._done, self._total)
        return product[0].to(self._dtype)


def bidiagonalise(
    products: HeadProducts, *, probes: int, count: int, generator: torch.Generator
) -> Bidiagonalisation:
    r"""Alternate products with :math:`A` and :math:`A^\top` of a block of columns.

    From orthonormal random columns :math:`\Omega` over the keys,

    .. math:: A \Omega = Q_1 R, \qquad A^\top Q_n = \sum_{m \le n} V_m C_{mn}, \qquad
        A V_n = \sum_{m \le n + 1} Q_m D_{mn},

    where each product adds one block of orthonormal directions. The singular values of the blocks
    :math:`C`, or :math:`D`, known so far are those of :math:`A^\top` on :math:`Q`, or of :math:`A`
    on :math:`V`. From product to product they rise, and never above those of :math:`A`.

    Args:
        products: The matrix.
        probes: Columns of a block.
        count: Products, an odd number: the last is one with :math:`A`.
        generator: Source of :math:`\Omega`.

    Source: Golub, Luk and Overton (1981); Musco and Musco (arXiv 1504.05477).
    Home section: *Measuring collapse*.
    """
    left, right = Directions(products.shards.sum), Directions()
    start = Directions()
    start.extend(products.random_columns(probes, generator))
    left.extend(products.apply(start.blocks[0]))
    on_left, on_right = [], []
    for _ in range(count // 2):
        on_left.append(right.extend(products.apply_transposed(left.blocks[-1])))
        on_right.append(left.extend(products.apply(right.blocks[-1])))
    _, values, axes = torch.linalg.svd(_side_by_side(on_right), full_matrices=False)
    known = (blocks[:n] for n in range(1, count // 2 + 1) for blocks in (on_left, on_right))
    earlier = [torch.linalg.svdvals(_side_by_side(blocks)) for blocks in list(known)[:-1]]
    return Bidiagonalisation(values, tuple(earlier), tuple(right.blocks), axes.mT)


def _rise(
    before: Float64[Tensor, "earlier"], after: Float64[Tensor, "later"]
) -> Float64[Tensor, "earlier"]:
    return (after[: len(before)] - before).clamp_min(0)


def _side_by_side(
    blocks: list[Float64[Tensor, "_ column"]],
) -> Float64[Tensor, "row direction"]:
    """One matrix of blocks of columns, the shorter ones continued by zeros."""
    rows = len(blocks[-1])
    padded = [torch.nn.functional.pad(block, (0, 0, 0, rows - len(block))) for block in blocks]
    return torch.cat(padded, dim=1)

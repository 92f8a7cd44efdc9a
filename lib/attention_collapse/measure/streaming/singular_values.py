"""The leading singular values of streamed attention, head by head."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float64
from torch import Tensor

from attention_collapse.measure.streaming.attention import StreamedAttention
from attention_collapse.measure.streaming.bidiagonal import (
    Bidiagonalisation,
    HeadProducts,
    bidiagonalise,
)
from attention_collapse.measure.streaming.fields import joined_fields
from attention_collapse.measure.streaming.memory import explain_out_of_memory
from attention_collapse.measure.streaming.precision import full_precision

PROBES = 64
"""Columns of a block: four for each of sixteen values."""
PRODUCTS = 5
"""Products: on 2000 tokens they leave 0.2 % or less of each of sixteen values of clustered or mild
attention, 2 % where sharp attention of independent tokens has a flat spectrum, and 6 % where the
values crowd at the edge of a bulk."""

Head = TypeVar("Head")


@dataclass(frozen=True)
class StreamedValues:
    r"""Leading singular values of attention and how far they may be off.

    Attributes:
        values: :math:`s_1 \ge s_2 \ge \dots`, none above the singular value of the same rank but
            for rounding.
        errors: Estimate of what each value is still short of its limit, towards which values rise,
            from how far the last three products moved it: see ``Bidiagonalisation.missing``. It is
            no bound. In some thirty spectra, flat ones of more than a thousand values among them,
            what was missing after five, seven or nine products came to .85 of it at most. What
            rounding does is in ``floor``.
        floor: A bound of what rounding adds to or takes from a value, that of the backend's
            products times :math:`s_1`; small values of spread attention are far better. It is not
            part of the errors: each value may be off by both.
        frobenius_squared: :math:`\|A\|_F^2`.

    Home section: *Measuring collapse*.
    """

    values: Float64[Tensor, "*head value"]
    errors: Float64[Tensor, "*head value"]
    floor: Float64[Tensor, "*head"]
    frobenius_squared: Float64[Tensor, "*head"]

    @property
    def ratio(self) -> Float64[Tensor, "*head"]:
        r"""The ratio :math:`s_2 / s_1`."""
        return self.values[..., 1] / self.values[..., 0]

    @property
    def stable_rank(self) -> Float64[Tensor, "*head"]:
        r"""Stable rank, :math:`\|A\|_F^2 / s_1^2`."""
        return self.frobenius_squared / self.values[..., 0].square()


def streamed_singular_values(
    attention: StreamedAttention,
    *,
    count: int = 16,
    probes: int = PROBES,
    products: int = PRODUCTS,
    generator: torch.Generator,
    finished: MutableMapping[int, StreamedValues] | None = None,
) -> StreamedValues:
    r"""The largest singular values of every head, from products with its matrix.

    A block Krylov space of :math:`A` grows from random columns by full orthogonalisation, with
    inner products in float64; see ``bidiagonalise``. One head is in memory at a time: with five
    products, of about ten blocks of tokens by ``probes``.

    Args:
        attention: The heads; its ``report`` is told after each product.
        count: Values wanted.
        probes: Columns of the block, ``count`` or more; fewer where there are fewer tokens.
        products: Products, odd and five or more.
        generator: Source of the random columns. Those of a head depend on the state of the
            generator and on the number of the head only. With shards, of the same seed in every
            process.
        finished: Heads known already, which are taken from here. Each head is added when it is
            done, so that an interrupted call can go on from here.

    Raises:
        ValueError: If ``products`` is even or below five, or ``count`` is above ``probes`` or the
            number of tokens.
        MemoryError: If the device has no room for the blocks of one head.

    Home section: *Measuring collapse*.
    """
    probes = checked_probes(attention, count=count, probes=probes, products=products)

    def measure(head: int, head_generator: torch.Generator) -> StreamedValues:
        head_products = HeadProducts(attention, head, task="singular values", total=products)
        found = bidiagonalise(
            head_products, probes=probes, count=products, generator=head_generator
        )
        return leading_of(found, attention, head, count=count)

    with room_for_search(attention, probes=probes, products=products):
        heads = over_heads(measure, attention.heads, generator=generator, finished=finished)
    return joined_fields(heads, torch.stack)


def leading_of(
    found: Bidiagonalisation, attention: StreamedAttention, head: int, *, count: int
) -> StreamedValues:
    """The leading values of one head, what each may miss and their floor."""
    return StreamedValues(
        values=found.values[:count],
        errors=found.missing[:count],
        floor=attention.backend.rounding * found.values[0],
        frobenius_squared=attention.frobenius_squared[head],
    )


def checked_probes(attention: StreamedAttention, *, count: int, probes: int, products: int) -> int:
    """The columns of a block, no more than there are tokens.

    Raises:
        ValueError: If ``products`` is even or below five, or ``count`` is above ``probes`` or the
            number of tokens.

    Home section: *Measuring collapse*.
    """
    if products < 5 or products % 2 == 0:
        raise ValueError(f"products must be odd and at least 5, got {products}: 5 is usual.")
    most = min(probes, attention.query_count, attention.key.shape[1])
    if not 1 <= count <= most:
        raise ValueError(
            f"count must be from 1 to {most}, the smallest of probes, queries and keys; got "
            f"{count}: ask for fewer values or take more probes."
        )
    return most


@contextmanager
def room_for_search(attention: StreamedAttention, *, probes: int, products: int) -> Iterator[None]:
    """Explain memory that a search exhausts, and keep its products in full precision.

    Raises:
        MemoryError: If the device has no room for the blocks of one head.

    Home section: *Measuring collapse*.
    """
    tokens = max(attention.query.shape[1], attention.key.shape[1])
    entry = 8 if attention.query.dtype == torch.float64 else 4
    room = explain_out_of_memory(
        f"{2 * products} blocks of {tokens} tokens x {probes} columns",
        needed=2 * products * tokens * probes * entry,
        remedy=f"take probes={max(1, probes // 2)}, fewer products, or more processes",
    )
    with room, full_precision():
        yield


def over_heads(
    measure: Callable[[int, torch.Generator], Head],
    heads: int,
    *,
    generator: torch.Generator,
    finished: MutableMapping[int, Head] | None,
) -> list[Head]:
    """Measure each head that is not finished, with its own random numbers, and add it there.

    Home section: *Measuring collapse*.
    """
    finished = {} if finished is None else finished
    seeds = torch.randint(2**62, (heads,), generator=generator, device=generator.device)
    for head, seed in enumerate(seeds.tolist()):
        if head not in finished:
            own = torch.Generator(generator.device).manual_seed(seed)
            finished[head] = measure(head, own)
    return [finished[head] for head in range(heads)]

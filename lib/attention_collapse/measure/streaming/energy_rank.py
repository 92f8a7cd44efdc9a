"""Ranks of streamed attention that count energy: participation ratio and effective rank."""

from collections.abc import MutableMapping
from dataclasses import dataclass

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
from attention_collapse.measure.streaming.quadrature import Quadrature, bulk_quadratures
from attention_collapse.measure.streaming.singular_values import (
    PROBES,
    PRODUCTS,
    StreamedValues,
    checked_probes,
    leading_of,
    over_heads,
    room_for_search,
)

BULK_PROBES = 16
"""Random columns that sample the spectrum outside the leading directions."""
BULK_STEPS = 4
"""Lanczos steps from each: at 2000 tokens they leave 0.5 % or less in the effective rank."""
# Relative movement below which a value counts as known: its direction is left out of the sampling,
# whose spread it would raise, at the price of the bias of what the value still misses.
SETTLED = 1e-2


@dataclass(frozen=True)
class EnergyRanks:
    r"""Ranks that weigh each singular value by its energy :math:`\sigma_n^2`.

    Attributes:
        leading: The leading singular values.
        participation_ratio: :math:`(\sum_n \sigma_n^2)^2 / \sum_n \sigma_n^4`.
        participation_error: Its standard error over the random columns, and what the floor of the
            leading values leaves open of the energy of the others.
        effective_rank: :math:`\exp(-\sum_n p_n \ln p_n)`, :math:`p_n = \sigma_n^2 / \|A\|_F^2`.
        effective_rank_error: Its standard error over the random columns, half the distance between
            the two quadratures, and what the floor of the leading values leaves open of the energy
            of the others: near rank one that is the larger part.

    Home section: *Measuring collapse*.
    """

    leading: StreamedValues
    participation_ratio: Float64[Tensor, "*head"]
    participation_error: Float64[Tensor, "*head"]
    effective_rank: Float64[Tensor, "*head"]
    effective_rank_error: Float64[Tensor, "*head"]


def energy_ranks(
    attention: StreamedAttention,
    *,
    count: int = 16,
    probes: int = PROBES,
    products: int = PRODUCTS,
    bulk_probes: int = BULK_PROBES,
    bulk_steps: int = BULK_STEPS,
    generator: torch.Generator,
    finished: MutableMapping[int, EnergyRanks] | None = None,
) -> EnergyRanks:
    r"""Participation ratio and energy effective rank of every head, with its leading values.

    The energies :math:`x = s_n^2` of the leading values that the last product hardly moved are
    known, and so is the projection :math:`P` on their right singular vectors. For the rest,

    .. math:: \operatorname{tr} f\bigl((1 - P) A^\top A (1 - P)\bigr)
        = \mathbb E \, w^\top f\bigl((1 - P) A^\top A (1 - P)\bigr) w, \qquad w = (1 - P) z,

    is sampled with normal columns :math:`z` and Golub–Kahan steps, for :math:`f = x^2` and
    :math:`x \ln x`, and scaled so that :math:`f = x` gives the energy that is left,
    :math:`\|A\|_F^2 - \sum_n s_n^2`, exact for exact values. Gauss quadrature is exact for
    :math:`x^2`. For :math:`x \ln x` the mean of Gauss and Gauss–Radau quadrature is taken, between
    which the integral lies.

    Args:
        attention: The heads; its ``report`` is told after each product.
        count: Leading values wanted.
        probes: Columns of the block of the leading values.
        products: Products with that block, odd and five or more.
        bulk_probes: Random columns for the rest, two or more.
        bulk_steps: Golub–Kahan steps for the rest, two or more; each takes two products.
        generator: Source of the random columns, as in ``streamed_singular_values``.
        finished: Heads known already, as in ``streamed_singular_values``.

    Raises:
        ValueError: If ``bulk_probes`` or ``bulk_steps`` is below two, or an argument is one that
            ``streamed_singular_values`` refuses.

    Source: Ubaru, Chen and Saad (2017). Home section: *Measuring collapse*.
    """
    for name, number in (("bulk_probes", bulk_probes), ("bulk_steps", bulk_steps)):
        if number < 2:
            raise ValueError(f"{name} must be at least 2, got {number}: 16 and 4 are usual.")
    probes = checked_probes(attention, count=count, probes=probes, products=products)

    def measure(head: int, head_generator: torch.Generator) -> EnergyRanks:
        total = products + 2 * bulk_steps
        head_products = HeadProducts(attention, head, task="energy ranks", total=total)
        found = bidiagonalise(
            head_products, probes=probes, count=products, generator=head_generator
        )
        leading = leading_of(found, attention, head, count=count)
        known = _settled(found)
        start = head_products.random_columns(bulk_probes, head_generator)
        vectors = found.right_vectors(known)
        bulk = bulk_quadratures(head_products, vectors, start, steps=bulk_steps)
        return _ranks(leading, found.values[:known].square(), bulk)

    with room_for_search(attention, probes=probes, products=products):
        heads = over_heads(measure, attention.heads, generator=generator, finished=finished)
    return joined_fields(heads, torch.stack)


def _settled(found: Bidiagonalisation) -> int:
    """Number of leading values before the first that the last product still moved."""
    moved = found.movement > SETTLED * found.values[: len(found.movement)]
    return int((moved.cumsum(0) == 0).sum())


def _ranks(
    leading: StreamedValues,
    energies: Float64[Tensor, "value"],
    bulk: tuple[Quadrature, Quadrature],
) -> EnergyRanks:
    whole = leading.frobenius_squared
    left = (whole - energies.sum()).clamp_min(0)
    # A difference: the floor of each known value moves its square by twice the value times it.
    left_error = 2 * leading.floor * energies.sqrt().sum()
    squares, squares_error = bulk[0].mean_per_energy(bulk[0].nodes.square())
    fourth = energies.square().sum() + left * squares
    participation = whole.square() / fourth
    (below, error), (above, _) = (
        rule.mean_per_energy(torch.xlogy(rule.nodes, rule.nodes)) for rule in bulk
    )
    logs = torch.xlogy(energies, energies).sum() + left * (below + above) / 2
    effective = (whole.log() - logs / whole).exp()
    return EnergyRanks(
        leading=leading,
        participation_ratio=participation,
        participation_error=participation * (left * squares_error + left_error * squares) / fourth,
        effective_rank=effective,
        effective_rank_error=effective
        * (left * (error + (above - below).abs() / 2) + left_error * (below + above).abs() / 2)
        / whole,
    )

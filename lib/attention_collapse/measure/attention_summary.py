"""What the attention of one layer is summed up to: a few numbers for each head."""

import math
from collections.abc import MutableMapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from attention_collapse.measure.attention_maps import head_sharpness, score_variance
from attention_collapse.measure.streaming import (
    EnergyRanks,
    StreamedAttention,
    StreamedValues,
    energy_ranks,
    streamed_singular_values,
)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of the rows that have at most the entropy which ``summarise_attention`` gives for them."""

HeadSpectrum = StreamedValues | EnergyRanks
"""What a search finds of one head."""

Summary = dict[str, Float64[Tensor, "..."]]
"""Statistics by name, in float64 on the CPU; the first axis of those of a head is the heads'."""


def summarise_attention(attention: StreamedAttention) -> Summary:
    r"""Entropy, norms and column masses of every head, and where they fall among the frames.

    For :math:`N` keys and the mean row :math:`\pi`, over the queries of all processes:

    - ``row_entropy``, mean of :math:`H_i`, and ``row_entropy_quantiles`` at ``QUANTILES``, nats;
    - ``entropy_deficit``, :math:`\ln N` less that mean, nats;
    - ``column_entropy``, :math:`-\sum_j \pi_j \ln \pi_j`, nats. It is at least the mean row
      entropy, and equal to it where all rows are alike, be they uniform or on a sink;
    - ``largest_column``, :math:`\max_j \pi_j`: near one where one sink takes all mass;
    - ``frobenius_squared`` and ``distance_from_rank_one``, as in ``StreamedAttention``;
    - with a layout of two frames or more, ``reference_mass``, the mean mass that a token of another
      frame puts on the first, and ``own_frame_mass``, that a token puts on its own frame. Both are
      :math:`1/S` where the mass is even over :math:`S` frames.

    Args:
        attention: The heads of one layer.

    Home section: *Measuring collapse*.
    """
    entropy = attention.shards.concatenate(attention.row_entropy.double())
    mean_row = attention.column_sums / attention.query_count
    summary = {
        "row_entropy": entropy.mean(-1),
        "row_entropy_quantiles": _quantiles(entropy),
        "entropy_deficit": math.log(attention.key.shape[1]) - entropy.mean(-1),
        "column_entropy": torch.special.entr(mean_row).sum(-1),
        "largest_column": mean_row.amax(-1),
        "frobenius_squared": attention.frobenius_squared,
        "distance_from_rank_one": attention.distance_from_rank_one,
    }
    if attention.layout is not None and attention.layout.frames > 1:
        mass = attention.frame_mass
        summary["reference_mass"] = mass[:, 1:, 0].mean(-1)
        summary["own_frame_mass"] = mass.diagonal(dim1=-2, dim2=-1).mean(-1)
    return _on_cpu(summary)


def summarise_scores(
    query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"]
) -> Summary:
    """What the closed forms need of every head: ``score_variance`` and ``sharpness``.

    One head is converted to float64 at a time; see the functions of these names in
    ``attention_maps``.

    Args:
        query: Queries after normalisation and rotation.
        key: Keys.

    Raises:
        ValueError: If there are fewer than two tokens, or a tensor is not finite.

    Home section: *Measuring collapse*.
    """
    heads = list(zip(query, key, strict=True))
    variance = torch.stack([score_variance(*head) for head in heads])
    sharpness = torch.stack([head_sharpness(*head) for head in heads])
    return _on_cpu({"score_variance": variance, "sharpness": sharpness})


def summarise_spectrum(
    attention: StreamedAttention,
    *,
    count: int,
    energy: bool,
    generator: torch.Generator,
    finished: MutableMapping[int, HeadSpectrum] | None = None,
) -> Summary:
    """Leading singular values of every head, what follows from them, and their errors.

    ``singular_values`` with ``singular_value_errors`` and ``singular_value_floor``, what may be
    rounding; ``singular_ratio``, ``stable_rank``; with
    ``energy``, which takes more than twice the products, also ``attention_participation_ratio``
    and ``energy_effective_rank`` with the errors of both. See ``streamed_singular_values`` and
    ``energy_ranks``.

    Args:
        attention: The heads of one layer.
        count: Singular values, two or more.
        energy: Whether to measure the ranks that count energy.
        generator: Source of the random columns.
        finished: Heads known already, as in ``streamed_singular_values``.

    Raises:
        ValueError: If ``count`` is below two or above the number of tokens.

    Home section: *Measuring collapse*.
    """
    if count < 2:
        raise ValueError(f"count must be at least 2, got {count}: a ratio needs two values.")
    options = {"count": count, "generator": generator, "finished": finished}
    if not energy:
        return _on_cpu(_leading(streamed_singular_values(attention, **options)))
    ranks = energy_ranks(attention, **options)
    summary = _leading(ranks.leading) | {
        "attention_participation_ratio": ranks.participation_ratio,
        "attention_participation_error": ranks.participation_error,
        "energy_effective_rank": ranks.effective_rank,
        "energy_effective_rank_error": ranks.effective_rank_error,
    }
    return _on_cpu(summary)


def _leading(values: StreamedValues) -> dict[str, Float64[Tensor, "head ..."]]:
    return {
        "singular_values": values.values,
        "singular_value_errors": values.errors,
        "singular_value_floor": values.floor,
        "singular_ratio": values.ratio,
        "stable_rank": values.stable_rank,
    }


def _quantiles(rows: Float64[Tensor, "head query"]) -> Float64[Tensor, "head quantile"]:
    """The entries nearest in rank: the library's quantiles end at sixteen million numbers."""
    ranks = [round(share * (rows.shape[1] - 1)) for share in QUANTILES]
    return torch.stack([row.sort().values[ranks] for row in rows])


def _on_cpu(summary: dict[str, Float[Tensor, "head ..."]]) -> Summary:
    return {name: values.double().cpu() for name, values in summary.items()}

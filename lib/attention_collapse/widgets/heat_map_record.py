"""The parts of a record of heat maps that fit on a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from attention_collapse.tokens import SPECIAL_TOKENS
from attention_collapse.widgets.base import StateError
from attention_collapse.widgets.heat_maps import HeatMaps, Maps
from attention_collapse.widgets.quantisation import SHARE_LEVELS


@dataclass(frozen=True)
class RecordedHeatMaps:
    """What ``HeatMapExplorer.from_maps`` shows.

    Home section: *Does it collapse?*.

    Attributes:
        images: Pixels in [0, 1].
        queries: Frame, row and column of every query.
        maps: One for every number of frames.
    """

    images: Float[np.ndarray, "frame 3 height width"]
    queries: Int[np.ndarray, "query 3"]
    maps: tuple[HeatMaps, ...]


def heat_maps_of(
    arrays: Mapping[str, np.ndarray],
    *,
    heads: Sequence[int] | None = None,
    queries: Sequence[int] | None = None,
) -> RecordedHeatMaps:
    r"""Maps of some heads and query patches, from the arrays of a record.

    A recorded level stands for the weight :math:`w_{\max} (\text{level} / 255)^2`. Entropy is
    :math:`\ln N` less the recorded deficit.

    Args:
        arrays: ``frames``, ``grid``, ``queries``, ``maps``, ``largest``, ``entropy_deficit``,
            ``singular_ratio``, ``images``, and ``predicted_maps`` with ``predicted_largest``
            where a prediction was recorded.
        heads: Which heads, as counted in the record; all of them unless told.
        queries: Which queries, as counted in the record; all that are patches unless told.

    Raises:
        ValueError: If a query asked for is not a patch.

    Home section: *Does it collapse?*.
    """
    frame, slot = np.asarray(arrays["queries"]).T
    chosen = np.flatnonzero(slot >= SPECIAL_TOKENS) if queries is None else np.array(queries)
    if (slot[chosen] < SPECIAL_TOKENS).any():
        raise StateError(
            f"queries must be patches; got {chosen.tolist()}, of which the slots are "
            f"{slot[chosen].tolist()}: choose slots from {SPECIAL_TOKENS}."
        )
    rows, columns = (int(side) for side in arrays["grid"])
    row, column = np.divmod(slot[chosen] - SPECIAL_TOKENS, columns)
    kept = np.arange(arrays["maps"].shape[2]) if heads is None else np.array(heads)
    weights = [
        _weights(arrays[name], arrays[f"{prefix}largest"], kept, chosen, (rows, columns))
        for prefix, name in (("", "maps"), ("predicted_", "predicted_maps"))
        if name in arrays
    ]
    counts = [int(count) for count in arrays["frames"]]
    maps = [
        HeatMaps(
            count,
            weights[0][at],
            np.log(count * (rows * columns + SPECIAL_TOKENS))
            - arrays["entropy_deficit"][at][:, kept],
            arrays["singular_ratio"][at][:, kept],
            weights[1][at] if len(weights) > 1 else None,
        )
        for at, count in enumerate(counts)
    ]
    images = arrays["images"].transpose(0, 3, 1, 2) / 255.0
    return RecordedHeatMaps(images, np.stack([frame[chosen], row, column], 1), tuple(maps))


def _weights(
    levels: np.ndarray, largest: np.ndarray, heads: np.ndarray, queries: np.ndarray, grid: tuple
) -> list[Maps]:
    """Weights on patches, for every number of frames."""
    patches = levels[:, :, heads][:, :, :, queries][..., SPECIAL_TOKENS:]
    peaks = largest[:, :, heads][:, :, :, queries].astype(np.float64)
    weights = peaks[..., None, None] * (patches / SHARE_LEVELS) ** 2
    return list(weights.reshape(*weights.shape[:-1], *grid))

"""Maps of attention that groups of keys predict, beside the recorded ones."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.tokens import SPECIAL_TOKENS

_LEVELS = 255  # of the largest weight of a row, whose root is recorded

Maps = Float[np.ndarray, "frame_count layer head query shown_frame slot"]


def recorded_weights(arrays: Mapping[str, np.ndarray], kind: str = "") -> Maps:
    """Weights of the recorded rows on the shown frames, from their levels.

    Args:
        arrays: Of a record of ``heat_maps``.
        kind: ``predicted_`` for what groups of keys predict.

    Home section: *Predicting the profile*.
    """
    roots = arrays[f"{kind}maps"] / _LEVELS
    return arrays[f"{kind}largest"][..., None, None].astype(np.float64) * roots**2


def shared_weight(
    arrays: Mapping[str, np.ndarray],
) -> Float[np.ndarray, "frame_count layer head query"]:
    r"""Weight on the shown frames that prediction and record have in common.

    .. math:: \sum_j \min(p_j, a_j), \qquad \sum_j p_j = \sum_j a_j = 1

    Args:
        arrays: Of a record of ``heat_maps``.

    Home section: *Predicting the profile*.
    """
    measured, predicted = (recorded_weights(arrays, kind) for kind in ("", "predicted_"))
    shares = (maps / maps.sum((-2, -1), keepdims=True) for maps in (measured, predicted))
    return np.minimum(*shares).sum((-2, -1))


def draw_map_pairs(arrays: Mapping[str, np.ndarray], *, frame_count: int, query: int) -> Figure:
    """The row of one query in every layer: measured on the left, predicted on the right.

    Of each layer the head is shown whose prediction is the median of that layer, the lower of two.
    Both maps of a layer have one scale, the root of the weight; specials are left out. A ring marks
    the query.

    Args:
        arrays: Of a record of ``heat_maps``.
        frame_count: Which number of frames, as counted in the record.
        query: Which query, as counted in the record.

    Home section: *Predicting the profile*.
    """
    pair = [recorded_weights(arrays, kind)[frame_count, :, :, query] for kind in ("", "predicted_")]
    shared = shared_weight(arrays)[frame_count, :, :, query]
    heads = np.argsort(shared, axis=1)[:, (shared.shape[1] - 1) // 2]
    rows, columns = arrays["grid"].tolist()
    figure = style.figure(height=0.4 + 0.56 * len(heads))
    panels = figure.subplots(len(heads), 2, squeeze=False)
    for layer, (head, line) in enumerate(zip(heads, panels, strict=True)):
        strips = [_strip(maps[layer, head], rows, columns) for maps in pair]
        peak = max(float(np.nanmax(strip)) for strip in strips)
        for axes, strip in zip(line, strips, strict=True):
            _draw_strip(axes, strip / peak)
            _ring(axes, *arrays["queries"][query].tolist(), columns)
        line[0].set_ylabel(f"{layer + 1}", rotation=0, ha="right", va="center")
        line[1].set_ylabel(
            f"{shared[layer, head]:.2f}", rotation=0, ha="left", va="center", labelpad=6
        )
        line[1].yaxis.set_label_position("right")
    panels[0][0].set_title("layer, measured")
    panels[0][1].set_title("groups of keys, and the share in common")
    return figure


def _strip(
    weights: Float[np.ndarray, "frame slot"], rows: int, columns: int
) -> Float[np.ndarray, "row column"]:
    """Maps of all frames side by side, with an empty column between two."""
    patches = weights[:, -rows * columns :].reshape(-1, rows, columns)
    spaced = np.pad(patches, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(spaced), axis=1)[:, :-1]


def _draw_strip(axes: Axes, shares: Float[np.ndarray, "row column"]) -> None:
    axes.imshow(np.sqrt(shares), cmap=style.SPREAD, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _ring(axes: Axes, frame: int, slot: int, columns: int) -> None:
    """Where the query is, if it is a patch: the special tokens come first."""
    patch = slot - SPECIAL_TOKENS
    if patch >= 0:
        place = frame * (columns + 1) + patch % columns, patch // columns
        axes.plot(*place, "o", mfc="none", mec=style.MEASURED, markersize=5)

"""Statistics of attention and tokens over depth, one line for each number of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style

LABELS = {
    "singular_ratio": "singular ratio σ₂/σ₁",
    "stable_rank": "stable rank",
    "effective_rank": "effective rank",
    "entropy_deficit": "entropy deficit (nat)",
    "distance_from_rank_one": "distance from rank one",
    "mean_cosine": "mean cosine",
    "participation_ratio": "participation ratio",
    "spread": "spread of tokens",
}


def draw_depth_profiles(
    settings: Mapping[str, Mapping[str, np.ndarray]], quantities: Sequence[str]
) -> Figure:
    """One column for each setting, one row for each quantity, layers along the axis.

    Args:
        settings: Title to arrays: ``frames`` ``[frame_count]`` and every quantity
            ``[frame_count layer]`` or ``[frame_count layer head]``; heads are averaged.
        quantities: Names of arrays, see ``LABELS``.

    Home section: *The phenomenon*.
    """
    figure = style.figure(height=0.6 + 1.75 * len(quantities))
    panels = figure.subplots(
        len(quantities), len(settings), sharex=True, sharey="row", squeeze=False
    )
    for column, (title, arrays) in enumerate(settings.items()):
        panels[0, column].set_title(title)
        panels[-1, column].set_xlabel("global layer")
        for row, quantity in enumerate(quantities):
            _draw_lines(panels[row, column], arrays["frames"], arrays[quantity])
    for row, quantity in enumerate(quantities):
        panels[row, 0].set_ylabel(LABELS[quantity])
        _scale(panels[row, 0], quantity)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title="frames")
    return figure


def _scale(axes: Axes, quantity: str) -> None:
    """Start where the quantity starts; the spread, which falls by factors, on a log axis."""
    if quantity == "spread":
        axes.set_yscale("log")
        style.label_logarithm(axes.yaxis)
    else:
        axes.set_ylim(bottom=1 if quantity.endswith("_rank") else 0)


def _draw_lines(
    axes: Axes, frames: Int[np.ndarray, "frame_count"], values: Float[np.ndarray, "*axes"]
) -> None:
    means = values if values.ndim == 2 else values.mean(axis=-1)
    layers = np.arange(1, means.shape[1] + 1)
    for count, line, colour in zip(frames, means, style.sequence(len(frames)), strict=True):
        axes.plot(layers, line, color=colour, label=str(count))

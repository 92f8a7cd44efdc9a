"""Statistics of attention over the number of frames, one line for each layer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from attention_collapse.figures import style
from attention_collapse.figures.depth_profiles import LABELS


def draw_frame_profiles(
    arrays: Mapping[str, np.ndarray], quantities: Sequence[str], *, layers: Sequence[int]
) -> Figure:
    """One panel for each quantity, frames along a logarithmic axis, heads averaged.

    Args:
        arrays: ``frames`` ``[frame_count]`` and every quantity ``[frame_count layer head]``.
        quantities: Names of arrays, see ``LABELS``.
        layers: Layers to draw, counted from one.

    Home section: *The phenomenon*.
    """
    figure = style.figure(height=2.7)
    panels = figure.subplots(1, len(quantities), squeeze=False)[0]
    for axes, quantity in zip(panels, quantities, strict=True):
        for layer, colour in zip(layers, style.sequence(len(layers)), strict=True):
            values = arrays[quantity][:, layer - 1].mean(axis=-1)
            axes.plot(arrays["frames"], values, "o-", color=colour, markersize=3, label=str(layer))
        axes.set_xscale("log", base=2)
        axes.set_xticks(arrays["frames"], [str(count) for count in arrays["frames"]])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("frames")
        axes.set_ylabel(LABELS[quantity])
        axes.set_ylim(bottom=1 if quantity.endswith("_rank") else 0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), title="global layer"
    )
    return figure

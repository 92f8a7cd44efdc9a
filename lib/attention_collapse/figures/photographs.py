"""What a few photographs show at every global layer."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.depth_profiles import LABELS

_QUANTITIES = ("entropy_deficit", "singular_ratio", "stable_rank", "spread")


def draw_photographs(arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel for each quantity over layers: dots for heads, a line through their mean.

    Args:
        arrays: ``entropy_deficit``, ``singular_ratio`` and ``stable_rank`` ``[layer head]``, and
            ``spread`` ``[layer]``.

    Home section: *VGGT in one chapter*.
    """
    figure = style.figure(height=2.4)
    panels = figure.subplots(1, len(_QUANTITIES))
    for axes, quantity in zip(panels, _QUANTITIES, strict=True):
        values = arrays[quantity].reshape(len(arrays[quantity]), -1)
        layers = np.arange(1, len(values) + 1)
        axes.plot(layers, values.mean(axis=1), color=style.MEASURED)
        axes.plot(layers, values, "o", color=style.MEASURED, alpha=0.4, markersize=2.5)
        axes.set_xlabel("global layer")
        axes.set_ylabel(LABELS[quantity])
        axes.set_ylim(bottom=1 if quantity == "stable_rank" else 0)
    return figure

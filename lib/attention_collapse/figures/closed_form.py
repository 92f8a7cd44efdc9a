"""Measured statistics against the closed form that predicts them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.depth_profiles import LABELS


def draw_prediction(arrays: Mapping[str, np.ndarray], quantities: Sequence[str]) -> Figure:
    """Predicted against measured, one point for each layer and head; the line is equality.

    Args:
        arrays: Every quantity ``q`` as ``q`` and ``predicted_q``, of equal shape; NaN marks heads
            outside the closed form, which are left out and counted in the title.
        quantities: Names of arrays, see ``LABELS``.

    Home section: *The phenomenon*.
    """
    figure = style.figure(height=2.9)
    panels = figure.subplots(1, len(quantities), squeeze=False)[0]
    for axes, quantity in zip(panels, quantities, strict=True):
        measured, predicted = arrays[quantity], arrays[f"predicted_{quantity}"]
        covered = np.isfinite(predicted)
        depth = np.broadcast_to(np.arange(measured.shape[1])[None, :, None], measured.shape)
        points = axes.scatter(
            measured[covered], predicted[covered], c=depth[covered] + 1, s=5, cmap=style.SEQUENTIAL
        )
        limits = [min(axes.get_xlim()[0], axes.get_ylim()[0]), axes.get_xlim()[1]]
        axes.plot(limits, limits, color=style.REFERENCE, linewidth=1)
        axes.set_xlabel(f"measured {LABELS[quantity]}")
        axes.set_ylabel("closed form")
        axes.set_title(f"{covered.sum()} of {covered.size} heads")
    figure.colorbar(points, ax=figure.axes, label="global layer")
    return figure

"""The measured collapse surface: one map over depth and frames for each setting."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style

ROWS = {"distance_from_rank_one": "distance from rank one", "mean_cosine": "mean cosine"}
"""Quantities that are drawn, in order; both are at most one."""


def measured_surface_png(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of ``draw_measured_surface``, which leaves matplotlib's parameters as they were.

    Args:
        arrays: As in ``draw_measured_surface``.

    Home section: *A thousand frames*.
    """
    with matplotlib.rc_context():
        return style.png(draw_measured_surface(arrays))


def draw_measured_surface(arrays: Mapping[str, np.ndarray]) -> Figure:
    """One column for each setting, one row for each quantity; white where nothing is measured.

    Args:
        arrays: Of a record of ``collapse_surface``.

    Home section: *A thousand frames*.
    """
    settings, frames = arrays["settings"], arrays["frames"]
    figure = style.figure(height=3.8)
    panels = figure.subplots(len(ROWS), len(settings), sharex=True, sharey=True)
    layers = arrays[next(iter(ROWS))].shape[-1]
    cells = (0.5, layers + 0.5, -0.5, len(frames) - 0.5)
    for row, (quantity, label) in zip(panels, ROWS.items(), strict=True):
        for axes, grid in zip(row, arrays[quantity], strict=True):
            image = axes.imshow(
                grid, extent=cells, origin="lower", aspect="auto", vmin=0, vmax=1, cmap=style.SPREAD
            )
        figure.colorbar(image, ax=row, label=label)
    for axes, setting in zip(panels[0], settings, strict=True):
        axes.set_title(str(setting))
    for axes in panels[-1]:
        axes.set_xlabel("layer")
        axes.set_xticks([1, (layers + 1) // 2, layers])
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(frames)), [str(count) for count in frames])
        axes.set_ylabel("frames")
    return figure

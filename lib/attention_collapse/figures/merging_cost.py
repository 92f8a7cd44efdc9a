"""Time of one layer with merged tokens against the error of its output."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style

Arrays = Mapping[str, np.ndarray]

_MARKERS = "os^Dv<>p*hXPd"


def pareto_front(seconds: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Which points no other beats in time and in error at once, by rising time.

    Args:
        seconds: Times.
        errors: Errors.

    Returns:
        Positions among the points.

    Home section: *Token merging*.
    """
    order = np.lexsort((errors, seconds))
    least = np.minimum.accumulate(np.concatenate(([np.inf], errors[order][:-1])))
    return order[errors[order] < least]


def draw_merging_front(arrays: Arrays) -> Figure:
    """One panel for each number of frames: time over plain attention, and error, of each variant.

    The line joins the variants that no other beats in both. Plain attention stands at one, with
    the rounding of its number format as its error.

    Args:
        arrays: Of a record of ``merging_cost`` with plain attention as the first variant.

    Home section: *Token merging*.
    """
    names = [str(name) for name in arrays["variant"]]
    figure = style.figure(height=3.6)
    panels = figure.subplots(1, len(arrays["frames"]), sharey=True, squeeze=False)[0]
    colours = style.sequence(len(names))
    for row, (frames, axes) in enumerate(zip(arrays["frames"], panels, strict=True)):
        seconds, errors = arrays["seconds"][row, :, -1], arrays["error"][row]
        shares = seconds / seconds[0]
        front = pareto_front(shares, errors)
        axes.plot(shares[front], errors[front], color=style.INK, linewidth=0.8, zorder=1)
        for number, name in enumerate(names):
            marker, colour = _MARKERS[number % len(_MARKERS)], colours[number]
            point = axes.plot(shares[number], errors[number], marker, color=colour, label=name)
            point[0].set_markersize(5)
        axes.set_xscale("log")
        style.label_logarithm(axes.xaxis)
        axes.set_title(f"{frames} frames")
        axes.set_xlabel("time over plain attention")
    panels[0].set_ylabel("relative error of the output")
    panels[0].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure

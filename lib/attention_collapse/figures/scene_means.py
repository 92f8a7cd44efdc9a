"""Means over scenes with their standard errors, as lines."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import NullLocator

from attention_collapse.figures import style


def mean_and_error(
    values: Float[np.ndarray, "scene *axes"],
) -> tuple[Float[np.ndarray, "*axes"], Float[np.ndarray, "*axes"]]:
    r"""Mean over scenes, and its standard error :math:`s / \sqrt n`; not a number for one scene.

    Args:
        values: Of each scene.

    Home section: *Does it collapse?*.
    """
    count = len(values)
    if count == 1:
        return np.asarray(values[0]), np.full(values.shape[1:], np.nan)
    error = values.std(axis=0, ddof=1) / np.sqrt(count)
    return np.asarray(values.mean(axis=0)), np.asarray(error)


def draw_scene_means(
    axes: Axes,
    places: Float[np.ndarray, "place"] | np.ndarray,
    values: Float[np.ndarray, "scene place"],
    *,
    label: str,
    colour: str | tuple,
    line: str = "o-",
) -> ErrorbarContainer:
    """A line through means over scenes, with bars of one standard error where there are several.

    Args:
        axes: Where to draw.
        places: Along the horizontal axis.
        values: Of each scene at each place.
        label: For the legend.
        colour: Of the line and the bars.
        line: Marker and dashes.

    Home section: *Does it collapse?*.
    """
    means, errors = mean_and_error(values)
    bars = errors if np.isfinite(errors).any() else None
    options = {"color": colour, "markersize": 3, "capsize": 1.5, "elinewidth": 0.8}
    return axes.errorbar(places, means, yerr=bars, fmt=line, label=label, **options)


def frame_axis(axes: Axes, frames: np.ndarray) -> None:
    """A logarithmic axis with a mark at numbers of frames, every second one where they are many.

    Home section: *Does it collapse?*.
    """
    axes.set_xscale("log", base=2)
    shown = frames[:: 1 + (len(frames) - 1) // 8]
    axes.set_xticks(shown, [str(count) for count in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("frames")


def share_legend(axes: Axes, *, title: str | None = None, columns: int = 6) -> None:
    """One legend below all panels, of the lines of one of them.

    Home section: *Does it collapse?*.
    """
    handles, labels = axes.get_legend_handles_labels()
    options = {"loc": "outside lower center", "ncols": min(columns, len(labels)), "title": title}
    axes.figure.legend(handles, labels, **options)


def logarithmic(axes: Axes) -> None:
    """A logarithmic vertical axis, marked in plain numbers.

    Home section: *Does it collapse?*.
    """
    axes.set_yscale("log")
    style.label_logarithm(axes.yaxis)

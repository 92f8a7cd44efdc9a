"""Errors of trained networks over frames, how fast they grow, and what removes them."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.scene_means import (
    draw_scene_means,
    frame_axis,
    logarithmic,
    mean_and_error,
    share_legend,
)

TITLES = {
    "points": "error of points",
    "aligned_points": "error of aligned points",
    "rotation": "error of rotations (degree)",
}
"""What quantities are called."""

GROWTH = ("points", "aligned_points", "rotation")
"""Quantities of ``draw_error_growth``, in order."""

REMEDIED = ("points", "rotation")
"""Quantities of ``draw_remedies``, in order."""

_NAMES = {
    "none": "as trained",
    "bias": "reference bias",
    "length": "scores with ln N",
    "held": "scores held at those of training",
    "scale": "scores times",
    "chunks": "frames at a time:",
    "chained": "chained, frames and overlap:",
}

Arrays = Mapping[str, np.ndarray]


def treatment_label(name: str) -> str:
    """What a treatment is called on a page.

    Args:
        name: As in ``experiments.treatments``: parts joined by a plus, numbers after colons.

    Home section: *What fails*.
    """
    parts = [part.split(":") for part in name.split("+")]
    words = [" ".join((_NAMES.get(key, key), ", ".join(rest))).strip() for key, *rest in parts]
    return " + ".join(words)


def draw_error_growth(arrays: Arrays) -> Figure:
    """Errors over frames by treatment, and below them the slopes of their excess, by window.

    Lines are means over networks and scenes with standard errors over scenes, thin lines those of
    every network. The excess is that of the first treatment over the second; its slope is
    logarithmic, and a bar holds it in 95 % of the resamples. Above the dashed line growth is
    super-linear. Without a second treatment the slope is that of the error itself.

    Args:
        arrays: Of a record of ``orbit_error`` or another experiment on errors over frames.

    Home section: *What fails*.
    """
    frames = arrays["frames"]
    figure = style.figure(height=4.6)
    above, below = figure.subplots(2, len(GROWTH), sharex=True, height_ratios=(3, 2))
    for axes, slopes, quantity in zip(above, below, GROWTH, strict=True):
        _draw_treatments(axes, arrays, quantity)
        _draw_slopes(slopes, frames, _growth(arrays, quantity))
        axes.set_title(TITLES[quantity])
        frame_axis(slopes, frames)
    excess = f"{GROWTH[0]}_excess_slope" in arrays
    below[0].set_ylabel(f"slope of the {'excess' if excess else 'error'}")
    share_legend(above[0])
    return figure


def draw_remedies(arrays: Arrays, *, frame_count: int = -1) -> Figure:
    """Treatments in the order of their errors at one number of frames.

    Dots are means over networks and scenes with standard errors over scenes, hollow dots the same
    at the fewest frames. The dashed line is the network as it was trained.

    Args:
        arrays: Of a record of ``remedies`` or another experiment on errors over frames.
        frame_count: Which of the numbers of frames.

    Home section: *What fails*.
    """
    names = [str(name) for name in arrays["treatments"]]
    figure = style.figure(height=1.1 + 0.24 * len(names))
    panels = figure.subplots(1, len(REMEDIED), sharey=True)
    order = np.argsort(_scenes(arrays, REMEDIED[0])[..., frame_count].mean(axis=0))
    for axes, quantity in zip(panels, REMEDIED, strict=True):
        values = _scenes(arrays, quantity)[:, order]
        for place, colour, fill in ((0, style.REFERENCE, "none"), (frame_count, style.INK, "full")):
            means, errors = mean_and_error(values[..., place])
            bars = errors if np.isfinite(errors).any() else None
            dots = {"color": colour, "fillstyle": fill, "markersize": 4, "elinewidth": 0.8}
            label = f"{arrays['frames'][place]} frames"
            axes.errorbar(means, np.arange(len(names)), xerr=bars, fmt="o", label=label, **dots)
        if "none" in names:
            plain = _scenes(arrays, quantity)[:, names.index("none"), frame_count].mean()
            axes.axvline(plain, color=style.REFERENCE, linestyle="--", linewidth=0.8)
        axes.set_xscale("log")
        style.label_logarithm(axes.xaxis)
        axes.set_xlabel(TITLES[quantity])
    panels[0].set_yticks(range(len(names)), [treatment_label(names[place]) for place in order])
    panels[0].invert_yaxis()
    share_legend(panels[0])
    return figure


def error_growth_png(arrays: Arrays) -> bytes:
    """PNG of ``draw_error_growth``, which leaves matplotlib's parameters as they were.

    Home section: *What fails*.
    """
    with matplotlib.rc_context():
        return style.png(draw_error_growth(arrays))


def remedies_png(arrays: Arrays) -> bytes:
    """PNG of ``draw_remedies``, which leaves matplotlib's parameters as they were.

    Home section: *What fails*.
    """
    with matplotlib.rc_context():
        return style.png(draw_remedies(arrays))


def _scenes(arrays: Arrays, quantity: str) -> Float[np.ndarray, "scene treatment frame_count"]:
    """Means over networks."""
    return arrays[quantity].mean(axis=0)


def _draw_treatments(axes: Axes, arrays: Arrays, quantity: str) -> None:
    frames, names = arrays["frames"], [str(name) for name in arrays["treatments"]]
    for place, (name, colour) in enumerate(zip(names, style.sequence(len(names)), strict=True)):
        line = {"label": treatment_label(name), "colour": colour}
        draw_scene_means(axes, frames, _scenes(arrays, quantity)[:, place], **line)
        several = len(arrays[quantity]) > 1
        for own in arrays[quantity][:, :, place].mean(axis=1) if several else ():
            axes.plot(frames, own, color=colour, linewidth=0.5)
    logarithmic(axes)


def _growth(arrays: Arrays, quantity: str) -> Float[np.ndarray, "window estimate"]:
    """Slope of the excess and its interval; without a second treatment, of the error."""
    excess = arrays.get(f"{quantity}_excess_slope")
    return arrays[f"{quantity}_slope"][0] if excess is None else excess


def _draw_slopes(
    axes: Axes, frames: np.ndarray, slopes: Float[np.ndarray, "window estimate"]
) -> None:
    """One dot for each window, between its two numbers of frames."""
    places = np.sqrt(frames[1:] * frames[:-1])
    value, low, high = slopes.T
    axes.axhline(1, color=style.REFERENCE, linestyle="--", linewidth=0.8)
    axes.axhline(0, color=style.RULE, linewidth=0.8)
    axes.vlines(places, low, high, color=style.MEASURED, linewidth=0.8)
    axes.plot(places, value, "o", color=style.MEASURED, markersize=3)

"""The many-frame explorer as a still: the error over frames, and layers at one number of them."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.many_frame_errors import TITLES, treatment_label
from attention_collapse.figures.scene_means import frame_axis, logarithmic

Curves = Float[np.ndarray, "treatment frame_count"]
Layers = Float[np.ndarray, "2 layer"]


def many_frames_png(
    frame_counts: Int[np.ndarray, "frame_count"], means: Curves, errors: Curves, **state: object
) -> bytes:
    """PNG of ``draw_many_frames``, which leaves matplotlib's parameters as they were.

    Args:
        frame_counts: Of the error.
        means: Errors of rotations in degrees.
        errors: Their standard errors.
        state: As ``draw_many_frames`` takes it.

    Home section: *What fails*.
    """
    with matplotlib.rc_context():
        return style.png(draw_many_frames(frame_counts, means, errors, **state))


def draw_many_frames(
    frame_counts: Int[np.ndarray, "frame_count"],
    means: Curves,
    errors: Curves,
    *,
    treatments: Sequence[str],
    chosen: int,
    frames: int,
    trained_frames: int,
    shares: Layers,
    ratios: Layers | str,
    least_share: float,
) -> Figure:
    """Errors over frames, and bars by layer: shares of the reference frame, singular ratios.

    Outlines are the values in training.

    Args:
        frame_counts: Of the error.
        means: Errors of rotations in degrees.
        errors: Their standard errors.
        treatments: Names of the curves.
        chosen: Which curve is strong, and has a mark.
        frames: Number of frames shown, one of ``frame_counts``.
        trained_frames: Most frames of training, one of ``frame_counts``.
        shares: By layer, at ``frames`` and in training.
        ratios: Alike, or words on why there are none.
        least_share: Of all states, for an axis that they share.

    Home section: *What fails*.
    """
    figure = style.figure(height=2.5)
    curves, bars, ranks = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    label = treatment_label(treatments[chosen])
    figure.suptitle(f"{frames} frames, {label}", x=0.02, ha="left", size=9, weight="bold")
    for place, name in enumerate(treatments):
        strong = place == chosen
        line = {"color": style.MEASURED if strong else style.REFERENCE, "zorder": 2 + strong}
        bar = {"yerr": errors[place] if strong else None, "elinewidth": 0.8}
        width = 1.8 if strong else 0.8
        curves.errorbar(
            frame_counts, means[place], linewidth=width, label=treatment_label(name), **line, **bar
        )
    _mark_frames(curves, frame_counts, means[chosen], frames, trained_frames)
    bars.set_yscale("log")
    bars.set_ylim(10.0 ** np.floor(np.log10(100 * least_share)), 100)
    _draw_layers(bars, 100 * shares)
    bars.set_title("b  reference frame (%)")
    style.label_logarithm(bars.yaxis, narrow=True)
    ranks.set_ylim(0, 1)
    _draw_layers(ranks, ratios)
    ranks.set_title("c  σ₂/σ₁")
    for axes in (bars, ranks):
        axes.set_xlabel("layer")
        axes.set_xlim(0.4, shares.shape[1] + 0.6)
        axes.set_xticks(range(1, shares.shape[1] + 1))
    return figure


def _mark_frames(
    axes: Axes, frame_counts: np.ndarray, means: np.ndarray, frames: int, trained_frames: int
) -> None:
    """The present number of frames on its curve, and that of training."""
    value = means[list(frame_counts).index(frames)]
    axes.axvline(trained_frames, color=style.REFERENCE, linestyle=":", linewidth=0.8)
    axes.plot(frames, value, "o", color=style.MEASURED, zorder=4)
    number = {"xytext": (-6, 5), "textcoords": "offset points", "ha": "right"}
    axes.annotate(f"{value:.2f}°", (frames, value), color=style.MEASURED, **number)
    logarithmic(axes)
    frame_axis(axes, frame_counts[1::2])
    axes.set_title(f"a  {TITLES['rotation']}")
    axes.legend(loc="upper left")


def _draw_layers(axes: Axes, values: Layers | str) -> None:
    """Bars, and outlines of those in training; or words in their place."""
    if isinstance(values, str):
        axes.text(0.5, 0.5, values, ha="center", transform=axes.transAxes, color=style.REFERENCE)
        return
    layers = np.arange(1, values.shape[1] + 1)
    axes.bar(layers, values[0], color=style.MEASURED, width=0.7)
    axes.bar(layers, values[1], facecolor="none", edgecolor=style.INK, width=0.7, linewidth=0.8)

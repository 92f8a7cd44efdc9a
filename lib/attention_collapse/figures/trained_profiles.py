"""The rank profile of a trained network: over frames, without skips, and under iteration."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from attention_collapse.figures import style
from attention_collapse.figures.depth_profiles import LABELS
from attention_collapse.figures.scene_means import (
    draw_scene_means,
    frame_axis,
    logarithmic,
    share_legend,
)

TITLES = LABELS | {
    "row_entropy": "entropy of rows (nat)",
    "reference_mass": "mass on reference frame",
}
"""What quantities are called."""

OVER_FRAMES = (
    "row_entropy",
    "entropy_deficit",
    "distance_from_rank_one",
    "stable_rank",
    "reference_mass",
    "mean_cosine",
)
OVER_DEPTH = ("spread", "distance_from_rank_one")
OVER_ITERATIONS = ("spread", "participation_ratio")

SETTINGS = {
    "skips": "as trained",
    "no_mlp_skip": "no skip of the MLP",
    "no_attention_skip": "no skip of attention",
    "no_skip": "no skip",
    "attention": "attention alone",
    "frame_attention": "+ frame attention",
    "mlp": "+ MLP",
    "rotary": "+ rotation",
}
"""What the settings of ``depth_skip`` and ``iterated_depth`` are called."""

Arrays = Mapping[str, np.ndarray]


def draw_frame_means(arrays: Arrays, quantities: Sequence[str] = OVER_FRAMES) -> Figure:
    """One panel for each quantity, frames along a logarithmic axis, one colour for each layer.

    Layers count from 1. Heads are averaged; bars are standard errors over scenes. A dashed line in
    the panel of the reference frame's mass is the share of that frame among all.

    Args:
        arrays: Of a record of ``orbit_frames`` or ``walk_frames``.
        quantities: Names of arrays.

    Home section: *Does it collapse?*.
    """
    frames, columns = arrays["frames"], min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    figure = style.figure(height=0.6 + 1.95 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, quantity in zip(panels, quantities, strict=False):
        values = _head_mean(arrays, quantity)
        for layer, colour in enumerate(style.sequence(values.shape[-1])):
            line = {"label": str(layer + 1), "colour": colour}
            draw_scene_means(axes, frames, values[..., layer], **line)
        if quantity == "reference_mass":
            axes.plot(frames, 1 / frames, "--", color=style.REFERENCE, linewidth=1)
        frame_axis(axes, frames)
        _finish(axes, quantity)
        axes.set_title(TITLES[quantity])
    share_legend(figure.axes[0], title="global layer")
    return figure


def draw_skip_means(arrays: Arrays, quantities: Sequence[str] = OVER_DEPTH) -> Figure:
    """One row for each quantity, one column for each number of frames, one colour for each setting.

    Layers are along the axis. Heads are averaged; bars are standard errors over scenes.

    Args:
        arrays: Of a record of ``depth_skip``.
        quantities: Names of arrays.

    Home section: *Does it collapse?*.
    """
    frames, names = arrays["frames"], [str(name) for name in arrays["settings"]]
    figure = style.figure(height=0.6 + 1.75 * len(quantities))
    panels = figure.subplots(len(quantities), len(frames), sharex=True, sharey="row", squeeze=False)
    for row, quantity in zip(panels, quantities, strict=True):
        values = _head_mean(arrays, quantity)
        for place, axes in enumerate(row):
            for name, lines, colour in zip(names, values, style.sequence(len(names)), strict=True):
                line = {"label": SETTINGS[name], "colour": colour}
                draw_scene_means(axes, 1 + np.arange(lines.shape[-1]), lines[:, place], **line)
        _finish(row[0], quantity)
        row[0].set_ylabel(TITLES[quantity])
    for axes, count in zip(panels[0], frames, strict=True):
        axes.set_title(f"{count} frames")
    for axes in panels[-1]:
        axes.set_xlabel("global layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    share_legend(figure.axes[0], columns=4)
    return figure


def draw_iteration_means(
    arrays: Arrays, quantities: Sequence[str] = OVER_ITERATIONS, *, frame_count: int = -1
) -> Figure:
    """One row for each quantity, one column for each setting, one colour for each block.

    Both axes are logarithmic, applications along the horizontal one. Bars are standard errors over
    scenes.

    Args:
        arrays: Of a record of ``iterated_depth``.
        quantities: Names of arrays.
        frame_count: Which of the numbers of frames.

    Home section: *Does it collapse?*.
    """
    counts, names = arrays["applications"], [str(name) for name in arrays["settings"]]
    figure = style.figure(height=0.6 + 1.75 * len(quantities))
    panels = figure.subplots(len(quantities), len(names), sharex=True, sharey="row", squeeze=False)
    for row, quantity in zip(panels, quantities, strict=True):
        for axes, lines in zip(row, _head_mean(arrays, quantity), strict=True):
            for block, values, colour in zip(
                arrays["blocks"], lines, style.sequence(len(lines)), strict=True
            ):
                line = {"label": str(block + 1), "colour": colour}
                draw_scene_means(axes, counts, values[:, frame_count], **line)
            axes.set_xscale("log")
        logarithmic(row[0])
        row[0].set_ylabel(TITLES[quantity])
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(SETTINGS[name])
    for axes in panels[-1]:
        axes.set_xticks([1, 10, 100], ["1", "10", "100"])
        axes.minorticks_off()
        axes.set_xlim(0.8 * counts[0], 1.25 * counts[-1])
        axes.set_xlabel("applications")
    share_legend(figure.axes[0], title=f"block, at {arrays['frames'][frame_count]} frames")
    return figure


def frame_means_png(arrays: Arrays) -> bytes:
    """PNG of ``draw_frame_means``, which leaves matplotlib's parameters as they were.

    Home section: *Does it collapse?*.
    """
    with matplotlib.rc_context():
        return style.png(draw_frame_means(arrays))


def skip_means_png(arrays: Arrays) -> bytes:
    """PNG of ``draw_skip_means``, which leaves matplotlib's parameters as they were.

    Home section: *Does it collapse?*.
    """
    with matplotlib.rc_context():
        return style.png(draw_skip_means(arrays))


def iteration_means_png(arrays: Arrays) -> bytes:
    """PNG of ``draw_iteration_means``, which leaves matplotlib's parameters as they were.

    Home section: *Does it collapse?*.
    """
    with matplotlib.rc_context():
        return style.png(draw_iteration_means(arrays))


def _head_mean(arrays: Arrays, quantity: str) -> Float[np.ndarray, "..."]:
    """Values by scene, number of frames and layer last; the mean over heads of what has heads.

    What has none has an axis less than the entropy deficit, which every record holds.
    """
    values = arrays[quantity]
    return values.mean(axis=-1) if values.ndim == arrays["entropy_deficit"].ndim else values


def _finish(axes: Axes, quantity: str) -> None:
    """Start where the quantity starts; what falls by factors is on a logarithmic axis."""
    if quantity in ("spread", "reference_mass"):
        logarithmic(axes)
    else:
        axes.set_ylim(bottom=1 if quantity.endswith("_rank") else 0)

"""How errors fall while a network is trained."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style

TITLES = {
    "points": "points (scene lengths)",
    "depth": "depth, relative",
    "translation": "translation (scene lengths)",
    "rotation": "rotation (degrees)",
}
"""What errors are called."""

Arrays = Mapping[str, np.ndarray]


def draw_training_curves(runs: Sequence[Arrays]) -> Figure:
    """One panel for each error over the steps, both logarithmic, one line for each run.

    A dot at the end is the error of the kept weights on new worlds, dashed is that of the mean
    predictor there.

    Args:
        runs: Arrays of records of ``training``.

    Raises:
        ValueError: there is no run.

    Home section: *mini-VGGT*.
    """
    if not runs:
        raise ValueError("runs must be one or more, got none: give the arrays of a record.")
    figure = style.figure(height=4.0)
    panels = figure.subplots(2, 2, sharex=True)
    for letter, axes, name in zip("abcd", panels.flat, TITLES, strict=True):
        for run in runs:
            _draw_run(axes, run, name)
        axes.set(xscale="log", yscale="log")
        style.label_logarithm(axes.xaxis, narrow=True)
        style.label_logarithm(axes.yaxis)
        axes.set_title(f"{letter}  {TITLES[name]}")
        axes.grid(axis="y")
    for axes in panels[1]:
        axes.set_xlabel("steps")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles[:3], labels[:3], loc="outside lower center", ncols=3)
    return figure


def training_curves_png(arrays: Arrays) -> bytes:
    """PNG of one run's ``draw_training_curves``, which leaves matplotlib's parameters alone.

    Home section: *mini-VGGT*.
    """
    with matplotlib.rc_context():
        return style.png(draw_training_curves([arrays]))


def _draw_run(axes: Axes, run: Arrays, name: str) -> None:
    steps = run["curve_step"]
    network, mean = run[f"test_{name}"]
    axes.plot(steps, run[f"curve_{name}"], color=style.THEORY, lw=0.9, label="batches of training")
    axes.plot(
        steps[-1:], [network], "o", color=style.MEASURED, ms=4, label="new worlds, kept weights"
    )
    blind = {"color": style.REFERENCE, "linestyle": "--", "linewidth": 0.9}
    axes.axhline(mean, **blind, label="new worlds, mean predictor")

"""A measured rank profile: statistics of attention and tokens over depth and frames."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from attention_collapse.figures import style

PANELS = {
    "entropy_deficit": "entropy deficit (nat)",
    "singular_ratio": "singular ratio σ₂/σ₁",
    "stable_rank": "stable rank",
    "distance_from_rank_one": "distance from rank one",
    "own_frame_mass": "mass on own frame × S",
    "spread": "spread of tokens",
}
"""Quantities that are drawn, in order."""

_FROM_ZERO = ("entropy_deficit", "singular_ratio", "distance_from_rank_one", "own_frame_mass")


def measured_profiles_png(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of ``draw_measured_profiles``, which leaves matplotlib's parameters as they were.

    Args:
        arrays: As in ``draw_measured_profiles``.

    Home section: *A thousand frames*.
    """
    with matplotlib.rc_context():
        return style.png(draw_measured_profiles(arrays))


def draw_measured_profiles(arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel for each quantity, layers along the axis, one colour for each number of frames.

    Heads are averaged. Dashed lines are the closed form for Gaussian tokens of the same
    covariances; a layer with a head outside it has none. A mass is multiplied by the number of
    frames: one where it is even over the frames.

    Args:
        arrays: Of a record of ``rank_profile``.

    Home section: *A thousand frames*.
    """
    figure = style.figure(height=4.6)
    panels = figure.subplots(2, 3, sharex=True).flat
    for axes, (quantity, label) in zip(panels, PANELS.items(), strict=True):
        for row, colour in enumerate(style.sequence(len(arrays["frames"]))):
            _draw_row(axes, arrays, quantity, row, colour)
        axes.set_title(label)
        if quantity in _FROM_ZERO:
            axes.set_ylim(bottom=0)
        else:
            axes.set_yscale("log")
            style.label_logarithm(axes.yaxis)
    for axes in figure.axes[-3:]:
        axes.set_xlabel("global layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title="frames")
    return figure


def _draw_row(
    axes: Axes, arrays: Mapping[str, np.ndarray], quantity: str, row: int, colour: tuple
) -> None:
    frames = int(arrays["frames"][row])
    values = _head_mean(arrays[quantity][row]) * (frames if quantity.endswith("_mass") else 1)
    # A reader counts from 1, records from 0.
    everywhere = np.arange(len(arrays["entropy_deficit"][row])) + 1
    layers = everywhere if len(values) == len(everywhere) else arrays["spectrum_layers"] + 1
    axes.plot(layers, values, "o-", color=colour, markersize=3, label=str(frames))
    predicted = arrays.get(f"predicted_{quantity}")
    if predicted is not None:
        axes.plot(everywhere, _head_mean(predicted[row]), "--", color=colour, linewidth=1)


def _head_mean(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 1 else values.mean(axis=-1)

"""The landmark flow: measured collapse over depth beside the law."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.depth_profiles import LABELS
from attention_collapse.theory.collapse_surface import CollapseSurface


def draw_landmark_flow(arrays: Mapping[str, np.ndarray], surface: CollapseSurface) -> Figure:
    """Spread and singular ratio over depth time, dots measured and lines from the law.

    Args:
        arrays: ``frames`` ``[frame_count]``, ``spread`` and ``singular_ratio``
            ``[frame_count layer]``, starting at layer zero.
        surface: The law with the parameters of the run.

    Home section: *The phenomenon*.
    """
    figure = style.figure(height=3.1)
    panels = figure.subplots(1, 2, sharex=True)
    layers = np.arange(arrays["spread"].shape[1])
    time = np.array([surface.depth_time(int(layer)) for layer in layers])
    shown = np.unique(np.geomspace(1, len(layers), 14).astype(int) - 1)
    for row, (frames, colour) in enumerate(
        zip(arrays["frames"], style.sequence(len(arrays["frames"])), strict=True)
    ):
        laws = _laws(surface, layers, int(frames))
        label = f"{frames} frames, exponent {surface.exponent(int(frames)):.2f}"
        for axes, name in zip(panels, ("spread", "singular_ratio"), strict=True):
            axes.loglog(time, laws[name], color=colour, label=label)
            axes.loglog(time[shown], arrays[name][row, shown], "o", color=colour, markersize=3.5)
    panels[0].set_ylabel("spread relative to its start")
    panels[1].set_ylabel(LABELS["singular_ratio"])
    for axes in panels:
        axes.set_xlabel("depth time t = 1 + τL")
        for axis in (axes.xaxis, axes.yaxis):
            style.label_logarithm(axis)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(arrays["frames"]),
    )
    return figure


def _laws(surface: CollapseSurface, layers: np.ndarray, frames: int) -> dict[str, np.ndarray]:
    profiles = [surface.rank_profile(int(layer), frames, count=2) for layer in layers]
    return {
        "spread": np.array([surface.spread(int(layer), frames) for layer in layers]),
        "singular_ratio": np.array([profile.singular_ratio for profile in profiles]),
    }

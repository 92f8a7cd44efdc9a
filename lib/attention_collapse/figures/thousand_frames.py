"""What happens to attention from a few frames to a thousand."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.figure import Figure

from attention_collapse.figures import style

PANELS = {
    "row_entropy": "entropy of rows (nat)",
    "entropy_deficit": "entropy deficit (nat)",
    "distance_from_rank_one": "distance from rank one",
    "singular_ratio": "singular ratio σ₂/σ₁",
    "stable_rank": "stable rank",
    "mean_cosine": "mean cosine of tokens",
}
"""Quantities of ``draw_thousand_frames``, in order."""

_HIGHEST = {"distance_from_rank_one": 1.0, "singular_ratio": 1.0, "mean_cosine": 1.0}


def draw_thousand_frames(arrays: Mapping[str, np.ndarray], *, layers: Sequence[int]) -> Figure:
    """One panel for each quantity, frames along a logarithmic axis, heads averaged.

    Dashed lines are the closed form for Gaussian tokens of the same covariances.

    Args:
        arrays: ``frames`` ``[frame_count]`` and every quantity of ``PANELS`` with its closed form,
            if it has one, ``[frame_count layer ...]`` for these layers alone.
        layers: The layers, counted from one.

    Home section: *A thousand frames*.
    """
    figure = style.figure(height=4.4)
    panels = figure.subplots(2, 3, sharex=True).flat
    for axes, (quantity, title) in zip(panels, PANELS.items(), strict=True):
        predicted = arrays.get(f"predicted_{quantity}")
        for row, colour in enumerate(style.sequence(len(layers))):
            dots = _head_mean(arrays[quantity][:, row])
            mark = {"color": colour, "markersize": 3, "label": str(layers[row])}
            axes.plot(arrays["frames"], dots, "o-", **mark)
            if predicted is not None:
                law = _head_mean(predicted[:, row])
                axes.plot(arrays["frames"], law, "--", color=colour, linewidth=1)
        axes.set_title(title)
        axes.set_ylim(1 if quantity == "stable_rank" else 0, _HIGHEST.get(quantity))
        style.label_frames(axes)
    for axes in figure.axes[:3]:
        axes.set_xlabel("")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    options = {"loc": "outside lower center", "ncols": len(labels), "title": "global layer"}
    figure.legend(handles, labels, **options)
    return figure


def draw_movement(
    movements: Mapping[
        str, tuple[Int64[np.ndarray, "frame_count"], Float[np.ndarray, "frame_count"]]
    ],
) -> Figure:
    r"""How far quantities are from where they settle, on logarithmic axes.

    Args:
        movements: Label to numbers of frames and relative distances. A dashed line falls like
            :math:`S^{-1/2}` from the first point of the first of them.

    Home section: *A thousand frames*.
    """
    figure = style.figure(height=2.9, width=5)
    axes = figure.subplots()
    colours = style.sequence(len(movements))
    for (label, points), marker, colour in zip(
        movements.items(), "os^Dv"[: len(movements)], colours, strict=True
    ):
        axes.loglog(*points, f"{marker}-", color=colour, markersize=4, label=label)
    frames, values = next(iter(movements.values()))
    law = values[0] * (frames / frames[0]) ** -0.5
    axes.loglog(frames, law, "--", color=style.REFERENCE, linewidth=1, label="like $S^{-1/2}$")
    for axis in (axes.xaxis, axes.yaxis):
        style.label_logarithm(axis)
    axes.set_xlabel("frames")
    axes.set_ylabel("relative distance")
    axes.legend()
    return figure


def draw_windows(
    frames: Int64[np.ndarray, "frame_count"],
    measured: Mapping[str, Float[np.ndarray, "frame_count"]],
    law: tuple[Float[np.ndarray, "point"], Mapping[str, Float[np.ndarray, "point"]]],
    *,
    dilution_frames: float,
) -> Figure:
    r"""Attention in windows over frames: dots measured, lines from the closed form.

    Args:
        frames: Numbers of frames.
        measured: Title to values, one panel each.
        law: Numbers of frames, and the same titles to values there.
        dilution_frames: :math:`S_*`, drawn as a vertical line.

    Home section: *A thousand frames*.
    """
    figure = style.figure(height=2.6)
    panels = figure.subplots(1, len(measured), squeeze=False)[0]
    points, curves = law
    for axes, (title, values) in zip(panels, measured.items(), strict=True):
        axes.axvline(dilution_frames, color=style.REFERENCE, linewidth=0.8, linestyle=":")
        axes.plot(points, curves[title], color=style.THEORY)
        axes.plot(frames, values, "o", color=style.MEASURED, markersize=4)
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        style.label_frames(axes)
    return figure


def _head_mean(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 1 else values.mean(axis=-1)

"""One layer of attention against the number of frames, in settings that differ."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style

PANELS = {
    "entropy_deficit": "entropy deficit (nat)",
    "singular_ratio": "singular ratio σ₂/σ₁",
    "distance_from_rank_one": "distance from rank one",
}
"""Quantities that are drawn, in order."""


def frame_settings_png(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of ``draw_frame_settings``, which leaves matplotlib's parameters as they were.

    Args:
        arrays: As in ``draw_frame_settings``.

    Home section: *A thousand frames*.
    """
    with matplotlib.rc_context():
        return style.png(draw_frame_settings(arrays))


def draw_frame_settings(arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel for each quantity, dots measured and dashed lines from the closed form.

    Heads are averaged; where one of them has no closed form there is no line. Layers are named as
    in the text, from one on.

    Args:
        arrays: Of a record of ``frame_count``.

    Home section: *A thousand frames*.
    """
    figure = style.figure(height=3.2)
    panels = figure.subplots(1, len(PANELS))
    colours = style.sequence(len(arrays["settings"]))
    for axes, (quantity, title) in zip(panels, PANELS.items(), strict=True):
        measured, predicted = (arrays[f"{kind}{quantity}"] for kind in ("", "predicted_"))
        for name, *values, colour in zip(
            arrays["settings"], measured, predicted, colours, strict=True
        ):
            dots, law = (each.mean(axis=-1) for each in values)
            label = _label(str(name))
            axes.plot(arrays["frames"], dots, "o-", color=colour, markersize=3, label=label)
            axes.plot(arrays["frames"], law, "--", color=colour, linewidth=1)
        style.label_frames(axes)
        axes.set_ylim(bottom=0)
        axes.set_title(title)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _label(setting: str) -> str:
    """``orbit_0`` is the orbit in the first layer; settings without a network have one."""
    scene, _, layer = setting.partition("_")
    return f"{scene}, layer {int(layer) + 1}" if layer else scene

"""Errors over frames of networks trained on different numbers of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.many_frame_errors import TITLES, treatment_label
from attention_collapse.figures.scene_means import (
    draw_scene_means,
    frame_axis,
    logarithmic,
    share_legend,
)

COMPARED = ("points", "rotation")
"""Quantities of ``draw_training_ranges``, in order."""

_LINES = ("o-", "s--", "^:")
_COLOURS = (style.MEASURED, style.THEORY, style.INK)

Arrays = Mapping[str, np.ndarray]


def draw_training_ranges(
    arrays: Arrays, trained_frames: Sequence[int], *, seeds: Arrays | None = None
) -> Figure:
    """Errors over frames: a colour for each network, a kind of line for each treatment.

    Lines are means over scenes with standard errors. Each network's most frames in training are
    a dotted line down the panel. Thin lines are other networks trained like the first, without
    treatment.

    Args:
        arrays: Of a record of ``train_range``: networks, scenes, treatments, numbers of frames.
        trained_frames: Most frames of a scene in the training of each network.
        seeds: Of a record of ``orbit_error`` with networks trained like the first, which differ
            in the seed. The first of them is left out, since ``arrays`` has it too, and so are
            numbers of frames beyond those of ``arrays``.

    Raises:
        ValueError: ``trained_frames`` has not one number for each network, or there are more than
            three networks or treatments.

    Home section: *What fails*.
    """
    networks, treatments = len(arrays["weights"]), len(arrays["treatments"])
    if len(trained_frames) != networks or max(networks, treatments) > len(_LINES):
        raise ValueError(
            "trained_frames must hold one number for each of at most three networks, with at most "
            f"three treatments; got {trained_frames} for {networks} networks and {treatments} "
            "treatments: name the most frames of each"
        )
    figure = style.figure(height=3.2)
    for axes, quantity in zip(figure.subplots(1, len(COMPARED)), COMPARED, strict=True):
        if seeds is not None:
            _draw_seeds(axes, seeds, quantity, most=int(arrays["frames"][-1]))
        for network, most in enumerate(trained_frames):
            _draw_network(axes, arrays, quantity, network, int(most))
        logarithmic(axes)
        frame_axis(axes, arrays["frames"])
        axes.set_title(TITLES[quantity])
    share_legend(figure.axes[0], columns=2)
    return figure


def _draw_network(axes: Axes, arrays: Arrays, quantity: str, network: int, most: int) -> None:
    colour = _COLOURS[network]
    axes.axvline(most, color=colour, linestyle=":", linewidth=0.8)
    for place, name in enumerate(arrays["treatments"]):
        label = f"trained on 2 to {most} frames, {treatment_label(str(name))}"
        values = arrays[quantity][network, :, place]
        options = {"label": label, "colour": colour, "line": _LINES[place]}
        draw_scene_means(axes, arrays["frames"], values, **options)


def _draw_seeds(axes: Axes, seeds: Arrays, quantity: str, *, most: int) -> None:
    """All but the first network, which ``arrays`` has too."""
    shown = seeds["frames"] <= most
    for own in seeds[quantity][1:, :, 0].mean(axis=1):
        axes.plot(seeds["frames"][shown], own[shown], color=_COLOURS[0], linewidth=0.5)

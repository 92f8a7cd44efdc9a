"""Errors over frames of networks trained with plain and with scalable softmax."""

from collections.abc import Mapping

import numpy as np
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
"""Quantities of ``draw_scalable_softmax``, in order."""

_LINES = {"none": "o-", "bias": "s--", "held": "^:"}

Arrays = Mapping[str, np.ndarray]


def draw_scalable_softmax(plain: Arrays, scalable: Arrays) -> Figure:
    """Errors over frames: a colour for each softmax, a kind of line for each treatment.

    Lines are means over scenes with standard errors.

    Args:
        plain: Of a record of ``orbit_error`` with one network of plain softmax.
        scalable: The same with scalable softmax.

    Raises:
        ValueError: A record has more than one network, or a treatment other than ``none``,
            ``bias`` and ``held``.

    Home section: *What fails*.
    """
    for arrays in (plain, scalable):
        _check_record(arrays)
    figure = style.figure(height=3.2)
    for axes, quantity in zip(figure.subplots(1, len(COMPARED)), COMPARED, strict=True):
        for softmax, arrays, colour in (
            ("plain", plain, style.MEASURED),
            ("scalable", scalable, style.THEORY),
        ):
            for place, name in enumerate(arrays["treatments"]):
                label = f"{softmax} softmax, {treatment_label(str(name))}"
                options = {"label": label, "colour": colour, "line": _LINES[name]}
                values = arrays[quantity][0, :, place]
                draw_scene_means(axes, arrays["frames"], values, **options)
        logarithmic(axes)
        frame_axis(axes, scalable["frames"])
        axes.set_title(TITLES[quantity])
    share_legend(figure.axes[0], columns=2)
    return figure


def _check_record(arrays: Arrays) -> None:
    networks, treatments = len(arrays["weights"]), list(arrays["treatments"])
    if networks != 1 or not set(treatments) <= set(_LINES):
        raise ValueError(
            f"a record must have one network and treatments among {', '.join(_LINES)}; got "
            f"{networks} and {treatments}: take one apart before it is drawn"
        )

"""The closed forms of the rank profile: where they end, and how they fall over depth."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from attention_collapse.figures import style

LABELS = {
    "singular_ratio": "singular ratio",
    "stable_excess": "stable rank − 1",
    "entropy_deficit": "entropy deficit in nats",
}
"""Quantities that ``draw_profile_over_depth`` draws, all zero where attention has rank one."""


def draw_range(
    gaussian: tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]],
    spheres: Mapping[int, tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]],
    *,
    limit: float,
) -> Figure:
    """Singular ratio of the Gaussian form, which ends at a limit, beside those of spheres.

    Args:
        gaussian: Sharpness and singular ratio.
        spheres: Dimension to concentration per direction and singular ratio.
        limit: Sharpness at which the Gaussian form ends.

    Home section: *The rank profile in closed form*.
    """
    figure = style.figure(height=2.9)
    axes = figure.subplots()
    for (dimension, curve), colour in zip(
        spheres.items(), style.sequence(len(spheres)), strict=True
    ):
        axes.plot(*curve, color=colour, label=f"sphere, d = {dimension}")
    axes.plot(*gaussian, color=style.MEASURED, label="Gaussian")
    axes.axvline(limit, color=style.REFERENCE, linewidth=1, linestyle="--")
    axes.set_xlabel("sharpness a of the Gaussian, κ/d of the sphere")
    axes.set_ylabel(LABELS["singular_ratio"])
    axes.set_ylim(0, 1.02)
    axes.legend(loc="center right")
    return figure


def draw_profile_over_depth(
    law: Mapping[str, Float[np.ndarray, "layer"]],
    measured: Mapping[str, Float[np.ndarray, "shown"]],
    shown: Int[np.ndarray, "shown"],
) -> Figure:
    """Measures of rank over layers: dots from particles, lines from the closed form.

    Args:
        law: Quantity, see ``LABELS``, to its values at layers 0, 1, ...
        measured: The same quantities at the layers of ``shown``.
        shown: Layers that were measured.

    Home section: *The rank profile in closed form*.
    """
    figure = style.figure(height=2.7)
    panels = figure.subplots(1, len(law), squeeze=False)[0]
    for axes, (name, values) in zip(panels, law.items(), strict=True):
        axes.plot(np.arange(len(values)), values, color=style.THEORY, label="closed form")
        axes.plot(
            shown, measured[name], "o", color=style.MEASURED, markersize=3.5, label="particles"
        )
        axes.set_yscale("log")
        style.label_logarithm(axes.yaxis)
        axes.set_xlabel("layer L")
        axes.set_title(LABELS[name])
    panels[0].legend()
    return figure

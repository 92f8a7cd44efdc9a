"""Singular values of attention, measured and predicted."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from attention_collapse.figures import style


def draw_spectra(
    spectra: Mapping[str, tuple[Float[np.ndarray, "value"], Float[np.ndarray, "count"]]],
) -> Figure:
    """Rank profiles side by side: dots measured, the line from the closed form.

    Args:
        spectra: Title to measured and predicted singular values, descending. Each is divided by
            its first, and as many are drawn as were predicted.

    Home section: *The phenomenon*.
    """
    figure = style.figure(height=2.7)
    panels = figure.subplots(1, len(spectra), sharey=True, squeeze=False)[0]
    for axes, (title, (measured, predicted)) in zip(panels, spectra.items(), strict=True):
        index = np.arange(1, len(predicted) + 1)
        axes.plot(index, predicted / predicted[0], color=style.THEORY, label="closed form")
        shown = measured[: len(predicted)] / measured[0]
        axes.plot(index, shown, "o", color=style.MEASURED, markersize=3, label="measured")
        axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel("index n")
    panels[0].set_ylabel("σₙ / σ₁")
    style.label_logarithm(panels[0].yaxis)
    panels[0].legend()
    return figure

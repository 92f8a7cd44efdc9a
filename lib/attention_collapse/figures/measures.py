"""What the measures of collapse see, and what storage and sampling make of them."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from attention_collapse.figures import style

SHOWN_WEIGHTS = (0.01, 100.0)
"""Attention weights over that of uniform rows at which the colours of ``draw_attention`` end."""


def draw_attention(matrices: Mapping[str, Float[np.ndarray, "query key"]]) -> Figure:
    """Attention matrices side by side, each weight over that of uniform rows.

    Args:
        matrices: Title to attention, rows that sum to one.

    Home section: *Measuring collapse*.
    """
    figure = style.figure(height=1.5)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    low, high = SHOWN_WEIGHTS
    for axes, (title, matrix) in zip(panels, matrices.items(), strict=True):
        image = axes.imshow(
            np.clip(matrix * matrix.shape[1], low, high),
            norm=LogNorm(low, high),
            cmap=style.CONTRAST,
        )
        axes.set(xticks=[], yticks=[], title=title)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("query")
    panels[0].set_xlabel("key")
    bar = figure.colorbar(image, ax=panels, aspect=10, label="N · weight")
    bar.outline.set_visible(False)
    style.label_logarithm(bar.ax.yaxis)
    return figure


def draw_floors(
    exact: Float[np.ndarray, "matrix"],
    measured: Mapping[str, Float[np.ndarray, "matrix"]],
    predicted: Mapping[str, Float[np.ndarray, "matrix"]],
) -> Figure:
    """Distance from rank one as measured against the exact one, on logarithmic axes.

    Args:
        exact: Distances from rank one.
        measured: Label to distances as measured; those that are not positive are left out.
        predicted: Some of the same labels to the distances that rounding should give.

    Home section: *Measuring collapse*.
    """
    figure = style.figure(height=3.1)
    axes = figure.subplots()
    axes.plot(exact, exact, color=style.REFERENCE, linewidth=1, linestyle="--", label="exact")
    colours = style.sequence(len(measured))
    for (label, values), marker, colour in zip(
        measured.items(), "os^Dv"[: len(measured)], colours, strict=True
    ):
        shown = values > 0
        axes.plot(exact[shown], values[shown], marker, color=colour, markersize=4, label=label)
        if label in predicted:
            axes.plot(exact, predicted[label], color=colour, linewidth=1)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("distance from rank one, exact")
    axes.set_ylabel("as measured")
    style.label_logarithm(axes.xaxis)
    style.label_logarithm(axes.yaxis)
    axes.legend()
    return figure


def draw_leading_values(
    exact: Float[np.ndarray, "value"],
    streamed: Float[np.ndarray, "found"],
    sampled: Mapping[str, Float[np.ndarray, "found"]],
) -> Figure:
    """Leading singular values: all rows, products with the matrix, and samples of its rows.

    Args:
        exact: Singular values, descending; as many are drawn as were found.
        streamed: Those from products.
        sampled: Label to those of a sample of rows.

    Home section: *Measuring collapse*.
    """
    figure = style.figure(height=2.9)
    axes = figure.subplots()
    index = np.arange(1, len(streamed) + 1)
    axes.plot(index, exact[: len(index)], color=style.THEORY, label="whole matrix")
    axes.plot(index, streamed, "o", color=style.MEASURED, markersize=4, label="from products")
    for (label, values), marker in zip(sampled.items(), "^vs"[: len(sampled)], strict=True):
        axes.plot(
            index,
            values,
            marker,
            color=style.REFERENCE,
            markersize=4,
            fillstyle="none",
            label=label,
        )
    axes.set_xlabel("index n")
    axes.set_ylabel("σₙ")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure

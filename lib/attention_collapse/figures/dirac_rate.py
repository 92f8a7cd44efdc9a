"""How fast tokens meet: the spread over depth, in every architecture."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style

_FLOOR = 1e-4  # below it a spread is left out of the figures


def draw_regimes(measured: Mapping[str, np.ndarray], laws: Mapping[str, np.ndarray]) -> Figure:
    """Spread over layers: exponentials are straight on the left, powers on the right.

    Args:
        measured: Spread of particles after 0, 1, … layers, by the name of the architecture.
        laws: The same from the response law.

    Home section: *How fast: Dirac at O(1/L)*.
    """
    figure = style.figure(height=3.3)
    panels = figure.subplots(1, 2, sharey=True)
    colours = style.sequence(len(laws))
    for (name, law), colour in zip(laws.items(), colours, strict=True):
        for axes, first in zip(panels, (0, 1), strict=True):
            layers = np.arange(first, len(law))
            axes.plot(layers, law[first:], color=colour, label=name)
            dots = _dots(len(law), first)
            axes.plot(dots, measured[name][dots], "o", color=colour, markersize=3.5)
    panels[1].set_xscale("log")
    style.label_logarithm(panels[1].xaxis)
    for axes in panels:
        axes.set_yscale("log")
        axes.set_ylim(_FLOOR, 1.5)
        axes.set_xlabel("layer L")
    panels[0].set_ylabel("spread relative to its start")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_powers(
    spread: np.ndarray,
    *,
    bound: np.ndarray,
    constant: float,
    shares: Mapping[float, np.ndarray],
) -> Figure:
    r"""Power laws of pre-norm: equal rows on the left, shares of matches on the right.

    Args:
        spread: Spread after 1, 2, … layers of equal rows.
        bound: The bound of the theorem on it, for the same layers.
        constant: Limit of the product of layer and spread.
        shares: Relative spread after 1, 2, … layers for each share :math:`\lambda_2`.

    Home section: *How fast: Dirac at O(1/L)*.
    """
    figure = style.figure(height=3.1)
    left, right = figure.subplots(1, 2)
    layers = np.arange(1, len(spread) + 1)
    left.plot(layers, bound, color=style.REFERENCE, label="bound")
    left.plot(layers, constant / layers, color=style.THEORY, linestyle="--", label="limit / L")
    dots = _dots(len(spread) + 1, 1)
    left.plot(dots, spread[dots - 1], "o", color=style.MEASURED, markersize=3.5, label="particles")
    left.set_ylabel("spread of the directions")
    for (share, values), colour in zip(shares.items(), style.sequence(len(shares)), strict=True):
        depths = np.arange(1, len(values) + 1)
        dots = _dots(len(values) + 1, 1)
        right.plot(dots, values[dots - 1], "o", color=colour, markersize=3.5)
        power = values[-1] * (depths / depths[-1]) ** (share - 1.0)
        right.plot(depths, power, color=colour, label=f"λ₂ = {share:g}, slope {share - 1:.1f}")
    right.set_ylabel("spread relative to its start")
    for axes in (left, right):
        _logarithmic(axes)
        axes.legend()
    return figure


def draw_decade(laws: Mapping[str, np.ndarray]) -> Figure:
    """Laws over few layers, each with the straight line fitted to it.

    Args:
        laws: Spread after 1, 2, … layers, by name.

    Home section: *How fast: Dirac at O(1/L)*.
    """
    figure = style.figure(height=2.9)
    left, right = figure.subplots(1, 2, sharey=True)
    for (name, spread), colour in zip(laws.items(), style.sequence(len(laws)), strict=True):
        layers = np.arange(1, len(spread) + 1)
        for axes, abscissa in ((left, np.log(layers)), (right, layers)):
            axes.plot(layers, spread, "o", color=colour, markersize=3.5, label=name)
            slope, intercept = np.polyfit(abscissa, np.log(spread), 1)
            axes.plot(layers, np.exp(intercept + slope * abscissa), color=colour)
    _logarithmic(left)
    left.set_ylabel("spread relative to its start")
    right.set_xlabel("layer L")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(laws))
    return figure


def _dots(count: int, first: int) -> np.ndarray:
    """About a dozen layers below ``count``: evenly spaced from zero, in ratio from one."""
    if first:
        return np.unique(np.geomspace(first, count - 1, 12).astype(int))
    return np.arange(0, count, max(1, count // 12))


def _logarithmic(axes: Axes) -> None:
    axes.loglog()
    axes.set_xlabel("layer L")
    for axis in (axes.xaxis, axes.yaxis):
        style.label_logarithm(axis)

"""One law in depth and frames: data collapse, exponents, and what the number of tokens does."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from attention_collapse.figures import style

_MARKERS = "os^Dv<>P"


def draw_one_curve(
    time: Float[np.ndarray, "layer"],
    spreads: Mapping[str, tuple[float, Float[np.ndarray, "layer"]]],
    law: tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]],
) -> Figure:
    """Spread of several runs, over depth time and over exponent times its logarithm.

    Args:
        time: Depth time of every layer.
        spreads: Collapse exponent and spread of each run, by its name.
        law: The predicted curve: exponent times logarithm of depth time, and spread.

    Home section: *Depth and frames: one law*.
    """
    figure = style.figure(height=3.1)
    left, right = figure.subplots(1, 2, sharey=True)
    shown = np.unique(np.geomspace(1, len(time), 12).astype(int) - 1)
    colours = style.sequence(len(spreads))
    for index, (name, (exponent, spread)) in enumerate(spreads.items()):
        marker = {"marker": _MARKERS[index % len(_MARKERS)], "markersize": 3.5}
        left.loglog(time[shown], spread[shown], color=colours[index], label=name, **marker)
        scaled = exponent * np.log(time[shown])
        right.semilogy(scaled, spread[shown], color=colours[index], linestyle="none", **marker)
    right.semilogy(*law, color=style.THEORY, zorder=1)
    left.set_xlabel("depth time t = 1 + τL")
    right.set_xlabel("p ln t")
    left.set_ylabel("spread relative to its start")
    for axis in (left.xaxis, left.yaxis):
        style.label_logarithm(axis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_exponents(
    measured: Mapping[str, tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]],
) -> Figure:
    r"""Measured collapse exponents over frames by dilution frames, beside the law.

    Args:
        measured: Ratios :math:`S / S_*` and exponents, by the name of the series.

    Home section: *Depth and frames: one law*.
    """
    figure = style.figure(height=2.8, width=4.6)
    axes = figure.subplots()
    ratio = np.geomspace(1e-3, 1e3, 121)
    axes.semilogx(ratio, ratio / (1 + ratio), color=style.THEORY, label="S / (S + S*)")
    colours = style.sequence(len(measured))
    for index, (name, (ratios, exponents)) in enumerate(measured.items()):
        marker = {"marker": _MARKERS[index % len(_MARKERS)], "markersize": 4}
        axes.semilogx(
            ratios, exponents, color=colours[index], linestyle="none", label=name, **marker
        )
    axes.set_xlabel("frames over dilution frames, S / S*")
    axes.set_ylabel("collapse exponent p")
    axes.legend()
    return figure


def draw_long_context(
    counts: Float[np.ndarray, "count"],
    entropies: Mapping[str, tuple[Float[np.ndarray, "count"], Float[np.ndarray, "count"]]],
    cosines: Mapping[str, tuple[Float[np.ndarray, "count"], float]],
) -> Figure:
    """What one layer does as tokens are added: entropy of rows, and cosine of the output.

    Args:
        counts: Numbers of tokens.
        entropies: Measured and predicted entropy over its largest value, by name; a prediction
            that does not cover a number of tokens is not a number there.
        cosines: Cosine after one layer and its limit for many tokens, by name.

    Home section: *Depth and frames: one law*.
    """
    figure = style.figure(height=3.0)
    left, right = figure.subplots(1, 2)
    for (name, (measured, predicted)), colour in zip(
        entropies.items(), style.sequence(len(entropies)), strict=True
    ):
        left.semilogx(counts, predicted, color=colour)
        left.semilogx(counts, measured, "o", color=colour, markersize=3.5, label=name)
    for (name, (cosine, limit)), colour in zip(
        cosines.items(), style.sequence(len(cosines)), strict=True
    ):
        right.semilogx(counts, cosine, color=colour, label=name)
        right.axhline(limit, color=colour, linestyle="dotted")
    left.set_ylabel("entropy over ln N")
    right.set_ylabel("cosine after one layer")
    for axes in (left, right):
        axes.set_xlabel("tokens N")
        axes.set_ylim(0, 1.05)
        axes.legend()
    return figure

"""Tokens as particles and as a density: both move through attention."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.theory.pde.finite_volume import DensityPath


def draw_trajectories(depth_times: np.ndarray, tokens: np.ndarray) -> Figure:
    """Tokens on a line over depth, one curve each.

    Args:
        depth_times: ``[time]``.
        tokens: ``[time token]``.

    Home section: *From particles to the mean field*.
    """
    figure = style.figure(height=2.6)
    axes = figure.subplots()
    order = np.argsort(tokens[0])
    for token, colour in zip(order, style.sequence(len(order)), strict=True):
        axes.plot(depth_times, tokens[:, token], color=colour, linewidth=0.8)
    axes.set_xlabel("depth time t = τL")
    axes.set_ylabel("token x")
    return figure


def draw_densities(path: DensityPath, tokens: np.ndarray) -> Figure:
    """Density at each time of a path, beside the histogram of tokens at that time.

    Args:
        path: Density from the mean-field equation.
        tokens: ``[time token]`` at the same times.

    Home section: *From particles to the mean field*.
    """
    figure = style.figure(height=2.3)
    panels = figure.subplots(1, len(path.depth_times))
    for row, axes in enumerate(np.atleast_1d(panels)):
        axes.hist(tokens[row], bins=40, density=True, color=style.MEASURED, alpha=0.35)
        axes.plot(path.centres[row], path.density[row], color=style.THEORY)
        axes.set_title(f"t = {path.depth_times[row]:g}")
        axes.set_xlabel("x")
        axes.set_yticks([])
    handles = [axes.lines[0], axes.patches[0]]
    figure.legend(handles, ["density", "tokens"], loc="outside lower center", ncols=2)
    return figure


def draw_variances(
    depth_times: np.ndarray, law: np.ndarray, measured: Mapping[str, np.ndarray]
) -> Figure:
    """Variance over depth time, a line for the closed form and markers for the solvers.

    Args:
        depth_times: ``[time]``, positive.
        law: ``[time]``.
        measured: ``[time]`` for each solver by name.

    Home section: *From particles to the mean field*.
    """
    figure = style.figure(height=2.8, width=4.8)
    axes = figure.subplots()
    axes.loglog(depth_times, law, color=style.THEORY, label="closed form")
    for (name, values), marker in zip(measured.items(), "ox+", strict=False):
        axes.loglog(depth_times, values, marker, color=style.MEASURED, label=name, fillstyle="none")
    axes.set_xlabel("depth time t = τL")
    axes.set_ylabel("variance λ")
    for axis in (axes.xaxis, axes.yaxis):
        style.label_logarithm(axis)
    axes.legend()
    return figure


def draw_fluctuations(counts: np.ndarray, errors: np.ndarray) -> Figure:
    """Error against the number of tokens on logarithmic axes, and a line of slope minus one half.

    Args:
        counts: ``[size]``, numbers of tokens.
        errors: ``[size]``, one for each.

    Home section: *From particles to the mean field*.
    """
    figure = style.figure(height=2.6, width=4.8)
    axes = figure.subplots()
    axes.loglog(counts, errors, "o", color=style.MEASURED, label="measured")
    centre = np.exp(np.mean(np.log(errors) + np.log(counts) / 2))
    axes.loglog(counts, centre / np.sqrt(counts), "--", color=style.REFERENCE, label="slope −1/2")
    axes.set_xlabel("number of tokens N")
    axes.set_ylabel("mean error of an average")
    for axis in (axes.xaxis, axes.yaxis):
        style.label_logarithm(axis)
    axes.legend()
    return figure

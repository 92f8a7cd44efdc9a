"""The Gaussian closure: densities that shrink, variances beside particles, shapes that last."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from attention_collapse.figures import style

_TITLES = ("attention with V = −c: shrinks", "porous medium: spreads")


def draw_densities(
    places: Float[np.ndarray, "place"],
    shrinking: Mapping[float, Float[np.ndarray, "place"]],
    spreading: Mapping[float, Float[np.ndarray, "place"]],
) -> Figure:
    """Two densities over time, one that shrinks and one that spreads.

    Args:
        places: Where the densities are given.
        shrinking: Density at each time, in the order of time.
        spreading: The same for the other.

    Home section: *Degenerate diffusion*.
    """
    figure = style.figure(height=2.6)
    panels = figure.subplots(1, 2)
    for axes, title, densities in zip(panels, _TITLES, (shrinking, spreading), strict=True):
        colours = style.sequence(len(densities))
        for (time, density), colour in zip(densities.items(), colours, strict=True):
            axes.plot(places, density, color=colour, label=f"t = {time:g}")
        axes.set_title(title)
        axes.set_xlabel("x")
        axes.set_ylim(bottom=0)
        axes.legend()
    panels[0].set_ylabel("density")
    return figure


def draw_variances(
    times: Float[np.ndarray, "time"],
    measured: Float[np.ndarray, "time direction"],
    predicted: Float[np.ndarray, "time direction"],
    *,
    blow_up: float | None = None,
) -> Figure:
    """Variances along the principal axes, dots measured on particles and lines from the closure.

    Args:
        times: Depth times, above zero.
        measured: Eigenvalues of the covariance of particles.
        predicted: Those of the closure.
        blow_up: Depth time to mark, where the closure is infinite; time is then on a linear axis.

    Home section: *Degenerate diffusion*.
    """
    figure = style.figure(height=2.9, width=4.6)
    axes = figure.subplots()
    for direction, colour in enumerate(style.sequence(predicted.shape[1])):
        axes.loglog(
            times, predicted[:, direction], color=colour, label=f"direction {direction + 1}"
        )
        axes.loglog(times, measured[:, direction], "o", color=colour, markersize=3.5)
    if blow_up is not None:
        axes.set_xscale("linear")
        axes.axvline(blow_up, color=style.REFERENCE, linestyle="--", label="blow-up of the closure")
    axes.set_xlabel("depth time t = τL")
    axes.set_ylabel("variance λ")
    axes.legend()
    return figure


def draw_shapes(
    times: Float[np.ndarray, "time"],
    tails: Mapping[str, Float[np.ndarray, "time"]],
    profiles: Mapping[float, Float[np.ndarray, "token"]],
) -> Figure:
    """What is forgotten and what is remembered: the variance law and the shape.

    Args:
        times: Depth times, above zero.
        tails: The product of depth time and variance that tends to one, for each start.
        profiles: Rescaled tokens in ascending order at each depth time, for one start.

    Home section: *Degenerate diffusion*.
    """
    figure = style.figure(height=2.9)
    left, right = figure.subplots(1, 2)
    for (name, tail), colour in zip(tails.items(), style.sequence(len(tails)), strict=True):
        left.semilogx(times, tail, color=colour, label=name)
    left.axhline(1, color=style.REFERENCE, linestyle="--", linewidth=0.8)
    left.set_xlabel("depth time t = τL")
    left.set_ylabel("2cbtλ")
    for (time, tokens), colour in zip(profiles.items(), style.sequence(len(profiles)), strict=True):
        share = (np.arange(len(tokens)) + 0.5) / len(tokens)
        right.plot(tokens, share, color=colour, label=f"t = {time:g}")
    right.set_xlabel("(x − m) / √λ")
    right.set_ylabel("share of tokens below")
    for axes in (left, right):
        axes.legend()
    return figure

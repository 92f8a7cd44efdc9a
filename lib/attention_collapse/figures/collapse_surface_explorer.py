"""The collapse surface explorer as a still: particles, spread over depth, curve of exponents."""

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from attention_collapse.figures import style
from attention_collapse.theory import frames as frame_dilution

FLOOR = 1e-3  # of the axis of the spread
RATIOS = (1e-3, 1e3)  # of the axis of frames over dilution frames
TILT = 0.35  # radians: the ball is seen from above its equator
GRID = 121  # points along a curve


def collapse_surface_explorer_png(
    particles: Float[np.ndarray, "depth token axis"],
    law: Float[np.ndarray, "depth"],
    **options: float | int | str,
) -> bytes:
    """PNG of ``draw_collapse_surface_explorer``, which leaves matplotlib's parameters alone.

    Args:
        particles: See there.
        law: See there.
        options: Keyword arguments of ``draw_collapse_surface_explorer``.

    Home section: *Depth and frames: one law*.
    """
    with matplotlib.rc_context():
        return style.png(draw_collapse_surface_explorer(particles, law, **options))


def draw_collapse_surface_explorer(
    particles: Float[np.ndarray, "depth token axis"],
    law: Float[np.ndarray, "depth"],
    *,
    scheme: str,
    step: float | int,
    frames: int,
    diluted_frames: float | int,
) -> Figure:
    r"""The collapse surface explorer at one depth and one number of frames.

    Args:
        particles: What attention reads after 0, 1, … layers, points of the unit ball.
        law: Spread after as many layers, relative to its start, by the response law.
        scheme: The update of a layer, for the title.
        step: :math:`\tau`, over the initial norm of the tokens.
        frames: :math:`S`.
        diluted_frames: Dilution frames :math:`S_*/f` with the weight :math:`f` of non-matches.

    Home section: *Depth and frames: one law*.
    """
    spread = relative_spread(particles)
    exponent = frame_dilution.collapse_exponent(frames, diluted_frames)
    figure = style.figure(height=5.6)
    (ball, decay), (curve, readouts) = figure.subplots(2, 2, width_ratios=(1, 1.3))
    _draw_ball(ball, particles)
    _draw_decay(decay, spread, law, step, exponent)
    _draw_exponents(curve, frames / diluted_frames)
    values = {
        "spread, particles": spread[-1],
        "spread, law": law[-1],
        "exponent $S/(S+S_*/f)$": exponent,
        "dilution frames $S_*/f$": diluted_frames,
    }
    _write_readouts(readouts, f"{scheme}: {len(law) - 1} layers, {frames} frames", values)
    return figure


def relative_spread(
    particles: Float[np.ndarray, "depth token axis"],
) -> Float[np.ndarray, "depth"]:
    """Distance of the particles to their mean over depth, relative to its start.

    Source: definition.
    Home section: *Depth and frames: one law*.
    """
    spread = np.sqrt(particles.var(axis=1).sum(axis=-1))
    return spread / spread[0]


def _draw_ball(axes: Axes, particles: Float[np.ndarray, "depth token axis"]) -> None:
    """The first two axes of the ball after a turn around the first one; the third comes near."""
    axes.add_patch(Circle((0, 0), 1, fill=False, color=style.REFERENCE, lw=0.8))
    marks = {
        "at depth 0": {"c": style.REFERENCE, "s": 4},
        f"after {len(particles) - 1} layers": {"c": style.MEASURED, "s": 14, "alpha": 0.7},
    }
    for points, (label, mark) in zip(particles[[0, -1]], marks.items(), strict=True):
        right, up, near = points.T
        axes.scatter(right, np.cos(TILT) * up - np.sin(TILT) * near, label=label, lw=0, **mark)
    axes.set(xlim=(-1.05, 1.85), ylim=(-1.05, 1.05), aspect="equal", title="a  Particles")
    axes.set_axis_off()
    axes.legend(loc="upper right", borderaxespad=0, handletextpad=0.2)


def _draw_decay(
    axes: Axes,
    spread: Float[np.ndarray, "depth"],
    law: Float[np.ndarray, "depth"],
    step: float | int,
    exponent: float,
) -> None:
    time = 1 + step * np.arange(len(law))
    shown = np.unique(np.searchsorted(time, np.geomspace(1, time[-1], 25)).clip(0, len(law) - 1))
    axes.plot(time, law, color=style.THEORY, label="law")
    axes.plot(time, time**-exponent, color=style.INK, lw=0.8, ls="--", label="slope $-p$")
    hollow = {"mfc": "white", "mec": style.MEASURED, "ms": 4}
    axes.plot(time[shown], spread[shown], "o", label="particles", **hollow)
    axes.set(xscale="log", yscale="log", ylim=(FLOOR, 1.3))
    axes.set(xlabel=r"depth time $1 + \tau L$", ylabel="spread", title="b  Spread over depth")
    style.label_logarithm(axes.xaxis)
    axes.grid(axis="y")
    axes.legend(loc="lower left")


def _draw_exponents(axes: Axes, ratio: float) -> None:
    ratios = np.geomspace(*RATIOS, GRID)
    axes.plot(ratios, ratios / (1 + ratios), color=style.THEORY)
    axes.plot(ratio, ratio / (1 + ratio), "o", ms=8, mfc="white", mec=style.THEORY, mew=2.2)
    axes.set(xscale="log", ylim=(0, 1.05), xlabel="$S f/S_*$", ylabel="exponent $p$")
    axes.set_title("c  Collapse surface, on one curve")
    axes.grid(axis="y")


def _write_readouts(axes: Axes, title: str, values: dict[str, float | int]) -> None:
    axes.set_axis_off()
    axes.set_title(title)
    for row, (name, value) in enumerate(values.items()):
        height = 0.85 - 0.22 * row
        axes.text(0, height, name, va="center", size=9)
        axes.text(0.9, height, f"{value:.3g}", va="center", ha="right", size=15, color=style.THEORY)

"""How far the rungs of the ladder of closures are from what is measured."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.scene_means import share_legend

TITLES = {"entropy_deficit": "entropy deficit", "stable_rank": "stable rank"}
"""What is measured and predicted."""

RUNGS = {
    "gaussian": "Gaussian tokens",
    "spherical": "directions on a sphere",
    "mixture": "groups of keys",
    "few_frames": "few frames",
    "diluted": "few frames, diluted",
    "propagated": "propagation",
    "without_mlp": "without MLP",
    "without_frame_attention": "without frame attention",
    "without_own_norm": "without own norm",
}
"""What the rungs are called."""

QUARTILES = (0.25, 0.5, 0.75)


def ladder_errors(
    arrays: Mapping[str, np.ndarray], quantity: str
) -> tuple[Float[np.ndarray, "quartile rung frame_count"], Float[np.ndarray, "rung frame_count"]]:
    r"""Quartiles of :math:`|\text{predicted} / \text{measured} - 1|`, and the share predicted.

    Over scenes, layers and heads; where a rung refuses all of them, not numbers.

    Args:
        arrays: Of a record of ``closure_ladder``.
        quantity: One of ``TITLES``.

    Home section: *Predicting the profile*.
    """
    errors = np.abs(arrays[f"predicted_{quantity}"] / arrays[quantity] - 1)
    rows = np.moveaxis(errors, 2, 1).reshape(*errors.shape[:1], errors.shape[2], -1)
    known = np.isfinite(rows)
    quartiles = np.full((len(QUARTILES), *rows.shape[:2]), np.nan)
    for place in zip(*np.nonzero(known.any(axis=-1)), strict=True):
        quartiles[:, *place] = np.quantile(rows[place][known[place]], QUARTILES)
    return quartiles, known.mean(axis=-1)


def draw_ladder(arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel for each quantity, one row for each rung, one colour for each number of frames.

    Dots are median relative errors over scenes, layers and heads, bars reach from the lower to the
    upper quartile. Hollow dots leave out heads that the rung refuses.

    Args:
        arrays: Of a record of ``closure_ladder``.

    Home section: *Predicting the profile*.
    """
    rungs = [RUNGS[str(rung)] for rung in arrays["rungs"]]
    figure = style.figure(height=1.2 + 0.32 * len(rungs))
    panels = figure.subplots(1, len(TITLES), sharey=True)
    places, frames = np.arange(len(rungs)), arrays["frames"]
    colours = style.sequence(len(frames))
    for axes, (quantity, title) in zip(panels, TITLES.items(), strict=True):
        quartiles, share = ladder_errors(arrays, quantity)
        for row, colour in enumerate(colours):
            lower, middle, upper = quartiles[..., row]
            shift = 0.6 * ((row + 0.5) / len(frames) - 0.5)
            axes.hlines(places + shift, lower, upper, color=colour, linewidth=0.8)
            label = {"label": str(frames[row]), "color": colour, "markersize": 4}
            axes.plot(middle, places + shift, "o", **label, fillstyle="none")
            whole = share[:, row] == 1
            axes.plot(middle[whole], (places + shift)[whole], "o", color=colour, markersize=4)
        axes.set_xscale("log")
        style.label_logarithm(axes.xaxis)
        axes.set_xlabel("relative error")
        axes.set_title(title)
        axes.grid(axis="x")
    panels[0].set_yticks(places, rungs)
    panels[0].invert_yaxis()
    share_legend(panels[0], title="frames", columns=8)
    return figure


def ladder_png(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of ``draw_ladder``, which leaves matplotlib's parameters as they were.

    Home section: *Predicting the profile*.
    """
    with matplotlib.rc_context():
        return style.png(draw_ladder(arrays))

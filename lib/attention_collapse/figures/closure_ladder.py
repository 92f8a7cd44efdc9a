"""How far the rungs of the ladder of closures are from what is measured."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from attention_collapse.figures import style
from attention_collapse.figures.scene_means import share_legend

TITLES = {"entropy_deficit": "entropy deficit", "stable_rank": "stable rank"}
"""What is measured and predicted."""

RUNGS = {
    "gaussian": "Gaussian tokens",
    "spherical": "directions on a sphere",
    "mixture_gaussian": "groups, Gaussian",
    "mixture": "groups, two halves",
    "few_frames": "few frames",
    "diluted": "few frames, diluted",
    "propagated": "propagation",
    "without_mlp": "without MLP",
    "without_frame_attention": "without frame attention",
    "without_own_norm": "without own norm",
}
"""What the rungs are called."""

QUARTILES = (0.25, 0.5, 0.75)

ERROR_RANGE = 0.003, 1.0
"""Relative errors between which colours differ."""

ROUNDING = 1e-5
"""Errors below it are of arithmetic."""


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


def layer_correlations(
    arrays: Mapping[str, np.ndarray], quantity: str, *, rung: str
) -> tuple[Float[np.ndarray, "scene frame_count"], Float[np.ndarray, "scene frame_count"]]:
    """Rank correlation of predicted with measured: of means of layers, and of all their heads.

    Args:
        arrays: Of a record of ``closure_ladder``.
        quantity: One of ``TITLES``.
        rung: One of ``RUNGS``.

    Home section: *Predicting the profile*.
    """
    predicted = arrays[f"predicted_{quantity}"][list(arrays["rungs"]).index(rung)]
    measured = arrays[quantity]
    means = predicted.mean(-1), measured.mean(-1)
    heads = (each.reshape(*each.shape[:2], -1) for each in (predicted, measured))
    over_layers, over_heads = (
        np.array([[spearmanr(p, m).statistic for p, m in zip(*row, strict=True)] for row in pairs])
        for pairs in (list(zip(*means, strict=True)), list(zip(*heads, strict=True)))
    )
    return over_layers, over_heads


def draw_predicted(
    arrays: Mapping[str, np.ndarray], rungs: Sequence[str], *, frame_count: int
) -> Figure:
    """Predicted against measured, a row for each quantity and a panel for each rung.

    A point is a head of a scene, its colour the layer, from light to dark. Points on the upper edge
    are above it: predicted more than three times the largest that is measured.

    Args:
        arrays: Of a record of ``closure_ladder``.
        rungs: Some of ``RUNGS``.
        frame_count: Which number of frames, as counted in the record.

    Home section: *Predicting the profile*.
    """
    figure = style.figure(height=1.9 * len(TITLES) + 0.4)
    panels = figure.subplots(len(TITLES), len(rungs), squeeze=False)
    for row, (quantity, title) in zip(panels, TITLES.items(), strict=True):
        measured = arrays[quantity][:, frame_count]
        places = [list(arrays["rungs"]).index(rung) for rung in rungs]
        every = arrays[f"predicted_{quantity}"][places][:, :, frame_count]
        ends = 0.9 * measured.min(), 1.1 * measured.max()
        range_shown = 0.9 * min(np.nanmin(every), measured.min()), 3 * ends[1]
        for axes, rung, predicted in zip(row, rungs, every, strict=True):
            axes.plot(ends, ends, color=style.REFERENCE, linewidth=0.8)
            for layer, colour in enumerate(style.sequence(measured.shape[1])):
                pair = measured[:, layer], np.clip(predicted[:, layer], None, range_shown[1])
                pair = [values.ravel() for values in pair]
                dots = {"color": colour, "markersize": 2.5, "clip_on": False}
                axes.plot(*pair, "o", **dots, label=f"{layer + 1}")
            axes.set(xscale="log", yscale="log", xlim=ends, ylim=range_shown)
            style.label_logarithm(axes.xaxis)
            style.label_logarithm(axes.yaxis)
            axes.set_title(RUNGS[rung])
            axes.set_xlabel(f"measured {title}")
        row[0].set_ylabel(f"predicted {title}")
    share_legend(panels[0][0], title="layer", columns=8)
    return figure


def draw_ladder(arrays: Mapping[str, np.ndarray]) -> Figure:
    """One panel for each quantity, one row for each rung, one colour for each number of frames.

    Dots are median relative errors over scenes, layers and heads, bars reach from the lower to the
    upper quartile. Hollow dots leave out heads that the rung refuses. Frames that predict
    themselves are not shown.

    Args:
        arrays: Of a record of ``closure_ladder``.

    Home section: *Predicting the profile*.
    """
    rungs = [RUNGS[str(rung)] for rung in arrays["rungs"]]
    thickness = max(0.32, 0.07 * len(arrays["frames"]))  # inches, for dots that do not touch
    figure = style.figure(height=1.2 + thickness * len(rungs))
    panels = figure.subplots(1, len(TITLES), sharey=True)
    places, frames = np.arange(len(rungs)), arrays["frames"]
    colours = style.sequence(len(frames))
    for axes, (quantity, title) in zip(panels, TITLES.items(), strict=True):
        quartiles, share = ladder_errors(arrays, quantity)
        quartiles[quartiles < ROUNDING] = np.nan
        for row, colour in enumerate(colours):
            lower, middle, upper = quartiles[..., row]
            shift = 0.75 * ((row + 0.5) / len(frames) - 0.5)
            axes.hlines(places + shift, lower, upper, color=colour, linewidth=0.8)
            label = {"label": str(frames[row]), "color": colour, "markersize": 4}
            axes.plot(middle, places + shift, "o", **label, fillstyle="none")
            whole = share[:, row] == 1
            axes.plot(middle[whole], (places + shift)[whole], "o", color=colour, markersize=4)
        axes.set_xscale("log")
        style.label_logarithm(axes.xaxis, narrow=True)
        axes.set_xlabel("relative error")
        axes.set_title(title)
        axes.grid(axis="x")
    panels[0].set_yticks(places, rungs)
    panels[0].invert_yaxis()
    share_legend(panels[0], title="frames", columns=8)
    return figure


def draw_head_errors(arrays: Mapping[str, np.ndarray], *, frame_count: int) -> Figure:
    """Error of every layer and head, mean over scenes: a row for each quantity, a panel for a rung.

    Layers go down, heads to the right. Grey is where the rung refuses every scene, or says nothing
    about the quantity.

    Args:
        arrays: Of a record of ``closure_ladder``.
        frame_count: Which number of frames, as counted in the record.

    Home section: *Predicting the profile*.
    """
    rungs = [str(rung) for rung in arrays["rungs"]]
    figure = style.figure(height=2.9)
    panels = figure.subplots(len(TITLES), len(rungs), squeeze=False)
    scale = LogNorm(*ERROR_RANGE, clip=True)
    for row, (quantity, title) in zip(panels, TITLES.items(), strict=True):
        measured = arrays[quantity][:, frame_count]
        predicted = arrays[f"predicted_{quantity}"][:, :, frame_count]
        errors = np.ma.masked_invalid(np.abs(predicted / measured - 1)).mean(axis=1)
        for axes, rung, table in zip(row, rungs, errors, strict=True):
            axes.set_facecolor(style.RULE)
            image = axes.imshow(table, cmap=style.SPREAD, norm=scale)
            axes.set(xticks=[], yticks=[])
            if axes in panels[0]:
                axes.set_title(RUNGS[rung].replace(" ", "\n"), fontsize=6, fontweight="normal")
        row[0].set_ylabel(f"{title}\nlayer", fontsize=7)
    bar = figure.colorbar(image, ax=panels, location="bottom", aspect=60, label="relative error")
    bar.ax.xaxis.set_major_formatter("{x:g}")
    return figure


def ladder_png(arrays: Mapping[str, np.ndarray]) -> bytes:
    """PNG of ``draw_ladder``, which leaves matplotlib's parameters as they were.

    Home section: *Predicting the profile*.
    """
    with matplotlib.rc_context():
        return style.png(draw_ladder(arrays))

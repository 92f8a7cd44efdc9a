"""What merging saves in one layer, against the error of its output, and where its time goes."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from attention_collapse.figures import style

Arrays = Mapping[str, np.ndarray]

LABELS = {
    "plain": "plain",
    "public": "as released",
    "released set": "released tokens, fused",
    "3x3": "3 × 3, full features",
    "3x3, 128": "3 × 3",
    "3x3, 128, unsized": "3 × 3, no sizes",
    "3x3, 128, second order": "3 × 3, second order",
    "3x3, 128, keys": "3 × 3, keys only",
    "2x2, 128": "2 × 2",
    "3x4, 128": "3 × 4",
    "4x4, 128": "4 × 4",
    "3x3, 128, ratio 0.5": "3 × 3, ratio 0.5",
    "3x3, 128, ratio 0.7": "3 × 3, ratio 0.7",
    "3x3, balanced": "3 × 3, balanced, full",
    "3x3, 128, balanced": "3 × 3, balanced",
}
"""How the variants of ``merging_cost`` are called; features have 128 numbers unless full."""

STAGES = {
    "features": "features",
    "match": "search",
    "group": "group",
    "merge": "merge",
    "attention": "attention",
    "unmerge": "way back",
}
"""How its stages are called, in the order in which they run."""

_SLANT, _STEEP = -40, -65
_HALO = [withStroke(linewidth=2, foreground="white")]
_SHORTEST = 0.06  # share of a bar with room for a number
_CLEAR = 0.1  # share of the largest error above the line at which a name touches it no more


def speed_ups(arrays: Arrays) -> Float[np.ndarray, "frame_count variant"]:
    """Time of the first variant, plain attention, over the time of each, all stages together.

    Args:
        arrays: Of a record of ``merging_cost``.

    Home section: *Token merging*.
    """
    total = arrays["seconds"][..., -1]
    return total[:, :1] / total


def shares_of_ceilings(
    arrays: Arrays, *, width: int, bytes_per_number: int = 2
) -> dict[str, Float[np.ndarray, "frame_count variant"]]:
    """How near its stages come to what the device reaches: a matrix product, or a copy.

    Matching and attention are counted in operations, two for a multiply-add. Merging reads queries,
    keys and values of all tokens and writes those of the groups; the way back is a read of outputs
    of the groups and a write for all tokens. Each number moves once.

    Args:
        arrays: Of a record of ``merging_cost``.
        width: Numbers of a token, over all heads.
        bytes_per_number: Size of one of them.

    Returns:
        Stage to the share, not a number where a variant has no such stage.

    Home section: *Token merging*.
    """
    tokens, queries, keys = arrays["tokens"][:, None], arrays["queries"], arrays["keys"]
    asking = np.where(queries < tokens, tokens + queries, 0)
    moved = {"merge": asking + 2 * (tokens + keys), "unmerge": tokens + queries}
    pairs = queries.astype(float) * keys
    work = {"match": 2.0 * arrays["products"], "attention": 4 * width * pairs}
    rates = {stage: (count, arrays["matmul_ceiling"]) for stage, count in work.items()}
    for stage, rows in moved.items():
        rates[stage] = (rows * width * bytes_per_number, arrays["copy_ceiling"])
    stages = arrays["stage"].tolist()
    seconds = {stage: arrays["seconds"][..., stages.index(stage)] for stage in rates}
    return {stage: count / ceiling / seconds[stage] for stage, (count, ceiling) in rates.items()}


def pareto_front(
    gains: Float[np.ndarray, "variant"], errors: Float[np.ndarray, "variant"]
) -> Int[np.ndarray, "front"]:
    """Which points no other beats in gain and in error at once, by falling gain.

    Args:
        gains: What should be large.
        errors: What should be small.

    Returns:
        Positions among the points.

    Home section: *Token merging*.
    """
    order = np.lexsort((errors, -gains))
    least = np.minimum.accumulate(np.concatenate(([np.inf], errors[order][:-1])))
    return order[errors[order] < least]


def draw_merging_front(arrays: Arrays) -> Figure:
    """Error of the output over the speed-up of each variant, for the largest number of frames.

    A line joins the variants that no other beats in both; open marks are those that are beaten.
    Pale lines are the fronts for fewer frames.

    Args:
        arrays: Of a record of ``merging_cost`` with plain attention as the first variant.

    Home section: *Token merging*.
    """
    figure = style.figure(height=4.2)
    axes = figure.subplots()
    gains, errors = speed_ups(arrays), arrays["error"]
    shades = style.sequence(len(gains))
    for row, frames in enumerate(arrays["frames"][:-1]):
        _draw_pale(axes, gains[row], errors[row], colour=shades[row], label=f"{frames} frames")
    _draw_named(axes, arrays["variant"], gains[-1], errors[-1])
    axes.set_xscale("log")
    axes.set_xlim(0.8, 2 * gains.max())
    axes.set_ylim(-0.05 * errors.max(), 1.05 * errors.max())
    style.label_logarithm(axes.xaxis)
    axes.set_xlabel("speed-up over plain attention")
    axes.set_ylabel("error of the output, over its norm")
    axes.set_title(f"{arrays['frames'][-1]} frames")
    return figure


def _draw_pale(
    axes: Axes, gains: np.ndarray, errors: np.ndarray, *, colour: tuple[float, ...], label: str
) -> None:
    front = pareto_front(gains, errors)
    line = {"color": colour, "alpha": 0.55, "linewidth": 1.0, "markersize": 2.5}
    axes.plot(gains[front], errors[front], "o-", **line)
    end = (gains[front[0]], errors[front[0]])
    _write(axes, label, end, (0, 6), ha="center", va="bottom", color=colour)


def _draw_named(axes: Axes, names: np.ndarray, gains: np.ndarray, errors: np.ndarray) -> None:
    front = pareto_front(gains, errors)
    beaten = [point for point in np.argsort(gains) if point not in front]
    axes.plot(gains[front], errors[front], "o-", color=style.INK, markersize=5)
    axes.plot(gains[beaten], errors[beaten], "o", color=style.MEASURED, fillstyle="none")
    slanted = {"rotation": _SLANT, "rotation_mode": "anchor", "va": "center"}
    for point in front:
        _write(axes, names[point], (gains[point], errors[point]), (5, -7), **slanted)
    ahead = [*gains[beaten[1:]], np.inf]
    line = np.interp(np.log(gains), np.log(gains[front[::-1]]), errors[front[::-1]])
    for point, following in zip(beaten, ahead, strict=True):
        if errors[point] - line[point] < _CLEAR * errors.max():
            # Names of the line run down from it, this one up.
            up = slanted | {"ha": "right", "rotation": _STEEP}
            _write(axes, names[point], (gains[point], errors[point]), (-3, 8), **up)
            continue
        # To the left of a mark that has another on its right.
        offset, side = ((-7, 0), "right") if following < 2 * gains[point] else ((7, 0), "left")
        _write(axes, names[point], (gains[point], errors[point]), offset, ha=side, va="center")


def _write(
    axes: Axes, name: str, point: tuple[float, float], offset: tuple[int, int], **text: object
) -> None:
    shown = LABELS.get(str(name), str(name))
    style_of_text = {"textcoords": "offset points", "size": 7.5, "path_effects": _HALO}
    axes.annotate(shown, point, offset, **style_of_text, **text)


def draw_merging_stages(arrays: Arrays, names: Sequence[str], *, frames: int) -> Figure:
    """Shares of the stages in their sum for each variant, with its time at the end of its bar.

    Times are medians of one clock each, so that those of the stages add up to the whole but for
    noise.

    Args:
        arrays: Of a record of ``merging_cost``.
        names: Variants, from top to bottom.
        frames: One of its numbers of frames.

    Home section: *Token merging*.
    """
    figure = style.figure(height=0.8 + 0.3 * len(names))
    axes = figure.subplots()
    row, columns = arrays["frames"].tolist().index(frames), arrays["stage"].tolist()
    rows = [arrays["variant"].tolist().index(name) for name in names]
    seconds = np.nan_to_num(arrays["seconds"][row, rows])
    total, left = seconds[:, columns.index("total")], np.zeros(len(names))
    together = seconds[:, [columns.index(stage) for stage in STAGES]].sum(axis=1)
    for (stage, label), colour in zip(STAGES.items(), _stage_colours(), strict=True):
        taken = seconds[:, columns.index(stage)]
        share = taken / together
        bars = axes.barh(range(len(names)), share, 0.7, left, color=colour, label=label)
        shown = [
            _time(each) if part > _SHORTEST else "" for each, part in zip(taken, share, strict=True)
        ]
        ink = style.INK if stage == "attention" else "white"
        axes.bar_label(bars, shown, label_type="center", color=ink, size=7.5)
        left += share
    for place, each in enumerate(total):
        axes.text(1.01, place, _time(each), va="center", weight="bold")
    axes.set_yticks(range(len(names)), [LABELS.get(name, name) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel(f"share of the time of one layer, {frames} frames")
    figure.legend(loc="outside lower center", ncols=len(STAGES))
    return figure


def _stage_colours() -> list[str]:
    """Attention, the longest bar, is pale; the stages that merging adds are not."""
    added = iter(style.LINE_STOPS)
    return [style.RULE if stage == "attention" else next(added) for stage in STAGES]


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"

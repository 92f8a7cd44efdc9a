"""The merge explorer as a still: groups on frames, variance over depth, readouts."""

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.merging import group_colours
from attention_collapse.theory.merging import (
    covariance_split,
    effective_coefficient,
    merged_attention,
    merged_variance,
)

STEP = 0.25
LAYERS = 32


def merge_explorer_png(
    images: Float[np.ndarray, "frame 3 height width"],
    tokens: Float[np.ndarray, "token direction"],
    groups: Int[np.ndarray, "frame row column"],
    *,
    proportional: bool,
) -> bytes:
    """PNG of ``draw_merge_explorer``, which leaves matplotlib's parameters as they were.

    Args:
        images: Pixels in [0, 1].
        tokens: Coordinates of every patch.
        groups: The token that every patch is merged into.
        proportional: Whether keys weigh the number of their tokens.

    Home section: *Token merging*.
    """
    with matplotlib.rc_context():
        return style.png(draw_merge_explorer(images, tokens, groups, proportional=proportional))


def draw_merge_explorer(
    images: Float[np.ndarray, "frame 3 height width"],
    tokens: Float[np.ndarray, "token direction"],
    groups: Int[np.ndarray, "frame row column"],
    *,
    proportional: bool,
) -> Figure:
    """Frames with merged patches in the colour of their group, and the variance of the tokens.

    Args:
        images: Pixels in [0, 1].
        tokens: Coordinates of every patch, whose scores are plain scalar products.
        groups: The token that every patch is merged into.
        proportional: Whether keys weigh the number of their tokens.

    Home section: *Token merging*.
    """
    figure = style.figure(height=3.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    panels = left.subplots(-(-len(images) // 2), 2, squeeze=False).ravel()
    left.suptitle("a  Who joins whom", x=0.02, ha="left", size=9, weight="bold")
    for axes in panels:
        axes.set_axis_off()
    for axes, picture in zip(panels, merged_pictures(images, groups), strict=False):
        axes.imshow(picture)
    _, numbered = np.unique(groups.ravel(), return_inverse=True)
    _draw_variance(right.subplots(), tokens, numbered, proportional)
    return figure


def merged_pictures(
    images: Float[np.ndarray, "frame 3 height width"], groups: Int[np.ndarray, "frame row column"]
) -> Float[np.ndarray, "frame height width 3"]:
    """Frames in which patches that merged have the mean colour of their group.

    Home section: *Token merging*.
    """
    rows, columns = groups.shape[1:]
    height, width = images.shape[2] // rows, images.shape[3] // columns
    _, numbered, sizes = np.unique(groups.ravel(), return_inverse=True, return_counts=True)
    merged = (sizes > 1)[numbered].reshape(groups.shape)
    tiles = group_colours(images, groups)
    flat, shown = (
        each.repeat(height, axis=1).repeat(width, axis=2) for each in (tiles, merged[..., None])
    )
    return np.where(shown, flat, images.transpose(0, 2, 3, 1))


def flow_variance(
    tokens: Float[np.ndarray, "token direction"],
    groups: Int[np.ndarray, "token"],
    *,
    proportional: bool,
) -> Float[np.ndarray, "depth"]:
    r"""Variance in the flow :math:`x \leftarrow x - \tau A x`, relative to the start.

    Args:
        tokens: The tokens, whose scores are plain scalar products.
        groups: Group of every token, numbered from zero without a gap.
        proportional: Whether keys weigh the number of their tokens.

    Home section: *Token merging*.
    """
    scores = np.eye(tokens.shape[1])
    variance = [tokens.var(axis=0).sum()]
    for _ in range(LAYERS):
        output = merged_attention(tokens, groups, bilinear=scores, proportional=proportional)
        tokens = tokens - STEP * output
        variance.append(tokens.var(axis=0).sum())
    return np.array(variance) / variance[0]


def law_variance(
    tokens: Float[np.ndarray, "token direction"], groups: Int[np.ndarray, "token"]
) -> Float[np.ndarray, "depth"]:
    """The law of the same for keys that weigh the number of their tokens.

    Args:
        tokens: The tokens.
        groups: Group of every token, numbered from zero without a gap.

    Home section: *Token merging*.
    """
    split = covariance_split(tokens, groups)
    # A covariance of rank below its width has zeros that rounding makes negative.
    between = np.clip(np.linalg.eigvalsh(split.between), 0, None)
    none = np.zeros_like(between)
    times = STEP * np.arange(LAYERS + 1)
    left = [merged_variance(between, none, rate=1, depth_time=float(t)).sum() for t in times]
    return (np.trace(split.within) + np.array(left)) / np.trace(split.within + split.between)


def _draw_variance(
    axes: Axes,
    tokens: Float[np.ndarray, "token direction"],
    groups: Int[np.ndarray, "token"],
    proportional: bool,
) -> None:
    times = STEP * np.arange(LAYERS + 1)
    split = covariance_split(tokens, groups)
    alone = flow_variance(tokens, np.arange(len(tokens)), proportional=False)
    merged = flow_variance(tokens, groups, proportional=proportional)
    frozen = np.trace(split.within) / np.trace(split.within + split.between)
    axes.plot(times, alone, color=style.REFERENCE, label="not merged")
    axes.plot(times, law_variance(tokens, groups), color=style.THEORY, label="law with sizes")
    axes.plot(times[::4], merged[::4], "o", mfc="none", color=style.MEASURED, label="merged")
    axes.axhline(frozen, color=style.MEASURED, linestyle="--", lw=1, label="frozen within groups")
    axes.set(xlabel="depth time t", ylabel="variance", ylim=(0, 1.03))
    kept, coefficient = groups.max() + 1, effective_coefficient(split)
    axes.set_title(f"b  {kept} of {len(tokens)} tokens, coefficient {coefficient:.3f}")
    axes.legend()

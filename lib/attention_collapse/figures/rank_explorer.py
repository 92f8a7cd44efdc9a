"""The rank explorer as a still: rank profile, attention map, collapse surface, readouts."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.theory.collapse_surface import CollapseSurface

VALUES_SHOWN = 24
FLOOR = 1e-3  # of the axis of singular values
FOLD = 2  # the attention map saturates at 2**±FOLD times the uniform weight
LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # contours of the spread
GRID = 41  # points along each axis of the surface
MARKERS = "osD^"  # of the measurements


def rank_explorer_png(surface: CollapseSurface, **options: object) -> bytes:
    """PNG of ``draw_rank_explorer``, which leaves matplotlib's parameters as they were.

    Args:
        surface: The law that is drawn.
        options: Keyword arguments of ``draw_rank_explorer``.

    Home section: *The phenomenon*.
    """
    with matplotlib.rc_context():
        return style.png(draw_rank_explorer(surface, **options))


def draw_rank_explorer(
    surface: CollapseSurface,
    *,
    depth: int,
    frames: int,
    probes: Float[np.ndarray, "token direction"],
    max_depth: int,
    max_frames: int,
    measured: Sequence[Mapping[str, object]] = (),
) -> Figure:
    """The rank explorer at one depth and one number of frames.

    Args:
        surface: The law that is drawn.
        depth: Layers.
        frames: Number of frames.
        probes: Deviations of the tokens of the attention map, in standard deviations.
        max_depth: Right end of the surface, in layers.
        max_frames: Upper end of the surface.
        measured: Measurements under this law to draw over it, see ``widgets.measurement``;
            pale and labelled if taken at another depth or number of frames.

    Home section: *The phenomenon*.
    """
    figure = style.figure(height=5.8)
    (profile, attention), (field, readouts) = figure.subplots(2, 2, width_ratios=(1.35, 1))
    _draw_rank_profile(profile, surface, depth, frames, measured)
    _draw_attention(attention, probe_attention(surface.sharpness(depth, frames), probes))
    _draw_spread(field, surface, max_depth, max_frames)
    _mark_position(field, surface, depth, frames, measured)
    _write_readouts(readouts, surface, depth, frames)
    return figure


def probe_attention(
    sharpness: Float[np.ndarray, "direction"], probes: Float[np.ndarray, "token direction"]
) -> Float[np.ndarray, "query key"]:
    r"""Attention among probe tokens, rows :math:`\mathrm{softmax}_j \sum_k a_k z_{ik} z_{jk}`.

    Args:
        sharpness: :math:`a_k`, dimensionless.
        probes: :math:`z_{ik}`, in standard deviations.

    Source: derived in the book.
    Home section: *The phenomenon*.
    """
    weights = np.exp((probes * sharpness) @ probes.T)
    return weights / weights.sum(axis=1, keepdims=True)


def _draw_rank_profile(
    axes: Axes,
    surface: CollapseSurface,
    depth: int,
    frames: int,
    measured: Sequence[Mapping[str, object]],
) -> None:
    index = np.arange(1, VALUES_SHOWN + 1)
    start, present = (surface.rank_profile(layer, frames, VALUES_SHOWN) for layer in (0, depth))
    values, ratio = present.singular_values, present.singular_ratio
    axes.vlines(index, FLOOR, np.maximum(values, FLOOR), color=style.THEORY, alpha=0.45)
    axes.plot(index, values, "o", color=style.THEORY, ms=4, label=f"after {depth} layers")
    axes.plot(
        index, start.singular_values, ".-", color=style.REFERENCE, lw=0.5, ms=3, label="at depth 0"
    )
    for marker, overlay in zip(MARKERS, measured, strict=False):
        here = (overlay["depth"], overlay["frames"]) == (depth, frames)
        _draw_measured_profile(axes, overlay, marker, here)
    axes.hlines(ratio, 2.4, VALUES_SHOWN + 0.8, color=style.THEORY, lw=0.8, ls="--")
    axes.annotate(
        f"$\\sigma_2/\\sigma_1$ = {ratio:.2g}",
        (VALUES_SHOWN + 0.8, ratio),
        (0, 3),
        textcoords="offset points",
        ha="right",
        color=style.THEORY,
    )
    axes.set(yscale="log", ylim=(FLOOR, 1.3), xlim=(0.2, VALUES_SHOWN + 0.8))
    axes.set(xlabel="index $n$", ylabel=r"$\sigma_n/\sigma_1$", title="a  Rank profile")
    axes.set_xticks([1, 4, 8, 12, 16, 20, 24])
    axes.grid(axis="y")
    axes.legend(loc="upper right", borderaxespad=0, labelspacing=0.3)


def _draw_measured_profile(
    axes: Axes, overlay: Mapping[str, object], marker: str, here: bool
) -> None:
    """Hollow markers; pale, and labelled with the place, if measured elsewhere."""
    found = np.array(overlay["singular_values"][:VALUES_SHOWN])
    found = found[found >= FLOOR * found[0]] / found[0]
    index = np.arange(1, len(found) + 1)
    taken = "" if here else f", {overlay['depth']} layers, {overlay['frames']} frames"
    color = style.MEASURED if here else style.REFERENCE
    _plot_hollow(axes, index, found, marker, color, overlay["label"] + taken)


def _draw_attention(axes: Axes, attention: Float[np.ndarray, "query key"]) -> None:
    octaves = np.log2(attention * attention.shape[1])
    image = axes.imshow(octaves, cmap=style.CONTRAST, vmin=-FOLD, vmax=FOLD)
    axes.set(xlabel="key token", ylabel="query token", title="b  Attention", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, label="weight over uniform")
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["¼", "½", "1", "2", "4"])
    bar.outline.set_visible(False)


def _draw_spread(axes: Axes, surface: CollapseSurface, max_depth: int, max_frames: int) -> None:
    """Spread over ln t, labelled in layers, and octaves of frames."""
    time = np.linspace(0.0, np.log(surface.depth_time(max_depth)), GRID)
    octave = np.linspace(0.0, np.log2(max_frames), GRID)
    depths = np.expm1(time) / surface.step
    spread = np.array([[surface.spread(layer, 2.0**row) for layer in depths] for row in octave])
    axes.pcolormesh(
        time, octave, 1.0 - spread, cmap=style.SPREAD, vmin=0, vmax=1, shading="gouraud"
    )
    lines = axes.contour(time, octave, spread, LEVELS, colors=style.INK, linewidths=0.5, alpha=0.6)
    axes.clabel(lines, fontsize=7, fmt="%g")
    layers = sorted({round(max_depth * share) for share in (0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)})
    axes.set_xticks([np.log(surface.depth_time(layer)) for layer in layers], map(str, layers))
    powers = np.arange(0, int(octave[-1]) + 1, 2)
    axes.set_yticks(powers, [str(2**power) for power in powers])
    axes.set(xlabel="depth $L$ (layers)", ylabel="frames $S$", title="c  Collapse surface: spread")


def _mark_position(
    axes: Axes,
    surface: CollapseSurface,
    depth: int,
    frames: int,
    measured: Sequence[Mapping[str, object]],
) -> None:
    x, y = np.log(surface.depth_time(depth)), np.log2(frames)
    axes.axvline(x, color=style.INK, lw=0.6, ls=":")
    axes.axhline(y, color=style.INK, lw=0.6, ls=":")
    for marker, overlay in zip(MARKERS, measured, strict=False):
        layers, count = overlay["depth"], overlay["frames"]
        time = np.log(surface.depth_time(layers))
        _plot_hollow(axes, time, np.log2(count), marker, style.MEASURED)
    axes.plot(x, y, "o", ms=8, mfc="white", mec=style.THEORY, mew=2.2, clip_on=False)


def _plot_hollow(
    axes: Axes, x: object, y: object, marker: str, color: str, label: str | None = None
) -> None:
    """Draw measured points."""
    drawn = {"mfc": "none", "mec": color, "ms": 5, "clip_on": False}
    axes.plot(x, y, marker, label=label, **drawn)


def _write_readouts(axes: Axes, surface: CollapseSurface, depth: int, frames: int) -> None:
    profile = surface.rank_profile(depth, frames)
    readouts = {
        "$\\sigma_2/\\sigma_1$": profile.singular_ratio,
        "effective rank": profile.effective_rank,
        "stable rank": profile.stable_rank,
        "spread": surface.spread(depth, frames),
        "exponent $S/(S+S_*)$": surface.exponent(frames),
    }
    axes.set_axis_off()
    axes.set_title(f"{depth} layers, {frames} frames")
    for row, (name, value) in enumerate(readouts.items()):
        height = 0.9 - 0.2 * row
        axes.text(0, height, name, va="center", size=9)
        axes.text(0.8, height, f"{value:.3g}", va="center", ha="right", size=15, color=style.THEORY)

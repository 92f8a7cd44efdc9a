"""Token merging: who joins whom, and what merging does to exponents, coefficients and depth."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attention_collapse.figures import style
from attention_collapse.figures.depth_profiles import LABELS

_TITLES = LABELS | {"departure": "distance from unmerged"}
_DASHES = {"none": "-", "size": "--"}


def draw_groups(
    images: Float[np.ndarray, "frame 3 height width"],
    groups: Int[np.ndarray, "frame row column"],
    destinations: Bool[np.ndarray, "frame row column"],
) -> Figure:
    """Frames above, and below them every patch in the mean colour of its group.

    A line separates neighbouring patches of different groups. A dot marks a destination; a patch
    that joined one of another frame has the number of that frame, counted from one.

    Args:
        images: Pixels in [0, 1].
        groups: The group of every patch.
        destinations: Whether a patch is a destination.

    Home section: *Token merging*.
    """
    frames, _, height, width = images.shape
    figure = style.figure(height=2 * style.WIDTH / frames * height / width + 0.35)
    panels = figure.subplots(2, frames, squeeze=False)
    colours = group_colours(images, groups)
    homes = _home_frames(groups, destinations)
    for frame, (above, below) in enumerate(panels.T):
        above.imshow(images[frame].transpose(1, 2, 0))
        above.set_title(f"frame {frame + 1}")
        below.imshow(colours[frame])
        _draw_borders(below, groups[frame])
        _mark_patches(below, frame, homes[frame], destinations[frame])
        above.set_axis_off()
        below.set_axis_off()
    return figure


def group_colours(
    images: Float[np.ndarray, "frame 3 height width"], groups: Int[np.ndarray, "frame row column"]
) -> Float[np.ndarray, "frame row column 3"]:
    """Mean colour of the group of every patch.

    Home section: *Token merging*.
    """
    frames, rows, columns = groups.shape
    tiles = images.reshape(frames, 3, rows, images.shape[2] // rows, columns, -1)
    patches = tiles.mean(axis=(3, 5)).transpose(0, 2, 3, 1).reshape(-1, 3)
    _, names = np.unique(groups.ravel(), return_inverse=True)
    sums = np.zeros((names.max() + 1, 3))
    np.add.at(sums, names, patches)
    return (sums / np.bincount(names)[:, None])[names].reshape(frames, rows, columns, 3)


def _home_frames(
    groups: Int[np.ndarray, "frame row column"], destinations: Bool[np.ndarray, "frame row column"]
) -> Int[np.ndarray, "frame row column"]:
    """The frame of the destination of every patch; its own where it joined none."""
    own = np.broadcast_to(np.arange(len(groups))[:, None, None], groups.shape)
    home = dict(zip(groups[destinations], own[destinations], strict=True))
    pairs = zip(groups.ravel(), own.ravel(), strict=True)
    return np.array([home.get(group, frame) for group, frame in pairs]).reshape(groups.shape)


def _draw_borders(axes: Axes, groups: Int[np.ndarray, "row column"]) -> None:
    line = {"color": "white", "linewidth": 1.0}
    for row, column in np.argwhere(groups[:, 1:] != groups[:, :-1]):
        axes.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], **line)
    for row, column in np.argwhere(groups[1:] != groups[:-1]):
        axes.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, **line)


def _mark_patches(
    axes: Axes,
    frame: int,
    homes: Int[np.ndarray, "row column"],
    destinations: Bool[np.ndarray, "row column"],
) -> None:
    text = {"ha": "center", "va": "center_baseline", "size": 5, "color": style.INK}
    for row, column in np.argwhere(homes != frame):
        axes.text(column, row, str(homes[row, column] + 1), **text)
    rows, columns = np.nonzero(destinations)
    axes.plot(columns, rows, "o", markersize=2.2, color=style.INK)


def draw_merging_exponents(
    arrays: Mapping[str, np.ndarray], panels: Mapping[str, Mapping[str, str]]
) -> Figure:
    """Collapse exponents over frames: marks measured, lines from the closed form.

    Args:
        arrays: A record's ``frames``, ``cases``, ``exponent`` and ``predicted_eigenvalue``.
        panels: Title to the labels of the cases that a panel shows, by the names of ``cases``.

    Home section: *Token merging*.
    """
    figure = style.figure(height=3.7)
    names = arrays["cases"].tolist()
    for axes, (title, shown) in zip(
        figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True
    ):
        markers = zip(shown.items(), style.sequence(len(shown)), "os^Dv<>P", strict=False)
        for index, ((case, label), colour, marker) in enumerate(markers):
            row = names.index(case)
            law = 1 - arrays["predicted_eigenvalue"][row]
            # The first is broad: others may lie on it.
            axes.semilogx(arrays["frames"], law, color=colour, lw=1.2 if index else 4)
            dots = {"marker": marker, "linestyle": "none", "markersize": 4, "fillstyle": "none"}
            axes.semilogx(arrays["frames"], arrays["exponent"][row], color=colour, **dots)
            axes.plot([], [], color=colour, marker=marker, markersize=4, label=label)
        axes.set_title(title)
        axes.set_xlabel("frames S")
        style.label_logarithm(axes.xaxis)
        axes.set_xticks(arrays["frames"])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    figure.axes[0].set_ylabel("collapse exponent p")
    figure.axes[0].set_ylim(0, 1.02)
    return figure


def draw_coefficients(arrays: Mapping[str, np.ndarray]) -> Figure:
    """How merging slows a contracting head, over the ratio, predicted and measured.

    Means over layers; a bar spans the layers.

    Args:
        arrays: A record's ``ratios``, ``references``, ``weightings``, ``predicted_coefficient``
            ``[reference ratio layer]`` and ``coefficient`` ``[reference weighting ratio layer]``.

    Home section: *Token merging*.
    """
    figure = style.figure(height=2.9)
    ratios = arrays["ratios"]
    panels = figure.subplots(1, len(arrays["references"]), sharey=True, squeeze=False)[0]
    for row, (axes, reference) in enumerate(zip(panels, arrays["references"], strict=True)):
        law = arrays["predicted_coefficient"][row].mean(axis=-1)
        axes.plot(
            [0, *ratios], [1, *law], color=style.THEORY, label=r"tr $\Sigma_b^2$ / tr $\Sigma^2$"
        )
        weightings = enumerate(arrays["weightings"])
        for (column, weighting), marker in zip(weightings, "os", strict=False):
            values = arrays["coefficient"][row, column]
            middle = values.mean(axis=-1)
            reach = np.abs(np.stack([values.min(axis=-1), values.max(axis=-1)]) - middle)
            label = {"none": "measured, no sizes", "size": "measured, ln size"}[str(weighting)]
            colour = (style.MEASURED, style.INK)[column]
            dots = {"fmt": marker, "markersize": 4, "fillstyle": "none", "color": colour}
            axes.errorbar(ratios, middle, yerr=reach, label=label, capsize=2, **dots)
        axes.set_title({"grid": "all frames merged", "protected": "reference apart"}[reference])
        axes.set_xlabel("share of tokens removed")
        axes.legend()
    panels[0].set_ylim(0, 1.05)
    panels[0].set_ylabel("contraction over unmerged")
    return figure


def draw_merged_depth(
    arrays: Mapping[str, np.ndarray], quantities: Sequence[str], *, ratio: int = -1
) -> Figure:
    """Statistics over depth, merged beside unmerged, at one ratio.

    Args:
        arrays: A record's ``references``, ``weightings`` and quantities
            ``[reference weighting ratio layer]``, with ``unmerged_...`` ``[layer]`` where there is
            one.
        quantities: Names of arrays.
        ratio: Which ratio is shown.

    Home section: *Token merging*.
    """
    figure = style.figure(height=2.9)
    for axes, quantity in zip(figure.subplots(1, len(quantities)), quantities, strict=True):
        if (plain := arrays.get(f"unmerged_{quantity}")) is not None:
            axes.plot(np.arange(1, len(plain) + 1), plain, color=style.INK, lw=2, label="unmerged")
        for row, colour in enumerate((style.THEORY, style.MEASURED)):
            for column, weighting in enumerate(arrays["weightings"]):
                values = arrays[quantity][row, column, ratio]
                where = {"grid": "all merged", "protected": "reference apart"}
                how = {"none": "no sizes", "size": "ln size"}[str(weighting)]
                label = f"{where[str(arrays['references'][row])]}, {how}"
                line = {"color": colour, "linestyle": _DASHES[str(weighting)], "linewidth": 1.1}
                axes.plot(np.arange(1, len(values) + 1), values, label=label, **line)
        axes.set_xlabel("global layer")
        axes.set_title(_TITLES.get(quantity, quantity))
        axes.set_ylim(bottom=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure

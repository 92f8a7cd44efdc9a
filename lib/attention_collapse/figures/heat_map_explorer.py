"""The heat-map explorer as a still: maps of attention over frames."""

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from attention_collapse.figures import style

Map = Float[np.ndarray, "frame row column"]


def heat_maps_png(
    images: Float[np.ndarray, "frame 3 height width"],
    maps: dict[str, Map],
    *,
    query: tuple[int, int, int],
    title: str,
) -> bytes:
    """PNG of ``draw_heat_maps``, which leaves matplotlib's parameters as they were.

    Args:
        images: Pixels in [0, 1].
        maps: Weights by their names, ``"recorded"`` first.
        query: Frame, row and column of the query.
        title: Above the maps.

    Home section: *Does it collapse?*.
    """
    with matplotlib.rc_context():
        return style.png(draw_heat_maps(images, maps, query=query, title=title))


def draw_heat_maps(
    images: Float[np.ndarray, "frame 3 height width"],
    maps: dict[str, Map],
    *,
    query: tuple[int, int, int],
    title: str,
) -> Figure:
    """Maps over grey frames, one row for each, on one scale; a ring marks the query.

    Args:
        images: Pixels in [0, 1].
        maps: Weights by their names, ``"recorded"`` first.
        query: Frame, row and column of the query.
        title: Above the maps.

    Home section: *Does it collapse?*.
    """
    frames = len(images)
    figure = style.figure(height=0.5 + len(maps) * min(1.6, 0.3 + style.WIDTH / frames))
    panels = figure.subplots(len(maps), frames, squeeze=False)
    peak = max(float(weights.max()) for weights in maps.values())
    figure.suptitle(title, x=0.02, ha="left", size=9, weight="bold")
    for letter, row, (name, weights) in zip("ab", panels, maps.items(), strict=False):
        colour = style.MEASURED if name == "recorded" else style.THEORY
        row[0].set_title(f"{letter}  {name}")
        for frame, axes in enumerate(row):
            _draw_map(axes, images[frame], np.sqrt(weights[frame] / peak), colour)
        across, down = images.shape[3] / weights.shape[2], images.shape[2] / weights.shape[1]
        place = (query[2] + 0.5) * across, (query[1] + 0.5) * down
        row[query[0]].plot(*place, "o", mfc="none", mec=style.INK)
    return figure


def _draw_map(
    axes: Axes,
    image: Float[np.ndarray, "3 height width"],
    roots: Float[np.ndarray, "row column"],
    colour: str,
) -> None:
    height, width = image.shape[1:]
    shade = LinearSegmentedColormap.from_list("shade", [(colour, 0.0), (colour, 1.0)])
    extent = (0, width, height, 0)
    axes.imshow(0.55 + 0.35 * image.mean(axis=0), cmap="gray", vmin=0, vmax=1, extent=extent)
    axes.imshow(roots, cmap=shade, vmin=0, vmax=1, extent=extent, interpolation="nearest")
    axes.set_axis_off()

"""The reconstruction viewer as a still: points and cameras, seen from one place."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from attention_collapse.figures import style

FOCAL = 1.3
DISTANCE = 2.6
NEAREST = 0.05
EDGES = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)]
SHARES = LinearSegmentedColormap.from_list(
    "shares", [*style.CONTRAST_STOPS[:2], *style.CONTRAST_STOPS[3:]]
)
_POINT = 3.0  # square points of print at the reader's distance


@dataclass(frozen=True)
class Cloud:
    """Points and cameras in a viewer's coordinates.

    Home section: *mini-VGGT*.

    Attributes:
        points: Where they are.
        shades: Colour of every point, or a share of a ramp.
        cameras: Corners of pyramids, the apex first.
    """

    points: Float[np.ndarray, "point 3"]
    shades: Float[np.ndarray, "point channel"] | Float[np.ndarray, "point"]
    cameras: Float[np.ndarray, "camera 5 3"]


def view_axes(azimuth: float, elevation: float) -> Float[np.ndarray, "3 3"]:
    """Axes of a reader who looks at the origin: to the right, up and to the reader.

    Args:
        azimuth: Where the reader is, in degrees to the right.
        elevation: The same above the horizon.

    Home section: *mini-VGGT*.
    """
    turn, tilt = np.deg2rad([azimuth, elevation])
    back = np.array([np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)])
    right = np.array([np.cos(turn), 0, -np.sin(turn)])
    return np.stack([right, np.cross(back, right), back])


def project(
    points: Float[np.ndarray, "point 3"],
    *,
    azimuth: float,
    elevation: float,
    zoom: float,
    image_size: tuple[int, int],
) -> Float[np.ndarray, "point 3"]:
    r"""Pixel coordinates of points, and their distance along the line of sight.

    The reader is :math:`2.6 / \text{zoom}` from the origin. Points behind, or nearer than .05,
    are NaN.

    Args:
        points: In a viewer's coordinates, y up.
        azimuth: As for ``view_axes``.
        elevation: As for ``view_axes``.
        zoom: Nearness.
        image_size: Height and width in pixels.

    Home section: *mini-VGGT*.
    """
    height, width = image_size
    seen = points @ view_axes(azimuth, elevation).T
    depth = DISTANCE / zoom - seen[:, 2]
    depth = np.where(depth > NEAREST, depth, np.nan)
    scale = FOCAL * min(image_size) / depth
    return np.stack([width / 2 + scale * seen[:, 0], height / 2 - scale * seen[:, 1], depth], 1)


def viewer_png(clouds: dict[str, Cloud], *, azimuth: float, elevation: float, zoom: float) -> bytes:
    """PNG of ``draw_viewer``, which leaves matplotlib's parameters as they were.

    Args:
        clouds: By their titles.
        azimuth: As for ``view_axes``.
        elevation: As for ``view_axes``.
        zoom: As for ``project``.

    Home section: *mini-VGGT*.
    """
    with matplotlib.rc_context():
        drawn = draw_viewer(clouds, azimuth=azimuth, elevation=elevation, zoom=zoom)
        return style.png(drawn)


def draw_viewer(
    clouds: dict[str, Cloud], *, azimuth: float, elevation: float, zoom: float
) -> Figure:
    """Clouds beside each other, seen from the same place.

    Args:
        clouds: By their titles.
        azimuth: As for ``view_axes``.
        elevation: As for ``view_axes``.
        zoom: As for ``project``.

    Home section: *mini-VGGT*.
    """
    size = (300, 350 if len(clouds) > 1 else 700)
    figure = style.figure(height=3.3)
    for letter, axes, (name, cloud) in zip(
        "ab", figure.subplots(1, len(clouds), squeeze=False)[0], clouds.items(), strict=False
    ):
        view = {"azimuth": azimuth, "elevation": elevation, "zoom": zoom, "image_size": size}
        _draw_cloud(axes, cloud, view, style.THEORY if name == "predicted" else style.REFERENCE)
        axes.set_title(f"{letter}  {name.capitalize()}")
    return figure


def _draw_cloud(axes: Axes, cloud: Cloud, view: dict, colour: str) -> None:
    height, width = view["image_size"]
    seen = project(cloud.points, **view)
    order = np.argsort(-seen[:, 2])[: np.isfinite(seen[:, 2]).sum()]  # NaN comes last
    far = seen[order]
    sizes = _POINT * (DISTANCE / far[:, 2]) ** 2
    colours = cloud.shades if cloud.shades.ndim == 2 else SHARES(cloud.shades)
    axes.scatter(far[:, 0], far[:, 1], s=sizes, c=colours[order], lw=0)
    for number, corners in enumerate(cloud.cameras):
        places = project(corners, **view)[:, :2]
        lines = [places[list(edge)] for edge in EDGES]
        axes.add_collection(LineCollection(lines, colors=colour, lw=0.8 if number else 1.6))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")

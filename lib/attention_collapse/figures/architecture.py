"""The network as a diagram whose boxes are functions of the library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from attention_collapse.figures import style

_HEIGHT = 3.3
_BOX = (0.98, 0.66)
_LOOP = (3.42, 0.42, 1.32, 2.26)  # left, bottom, width, height


@dataclass(frozen=True)
class Box:
    """One step of the network.

    Args:
        title: What it does.
        function: The function of the library that does it, ``Class.method``.
        centre: Where it is drawn, inches from the lower left corner.

    Home section: *VGGT in one chapter*.
    """

    title: str
    function: str
    centre: tuple[float, float]


BOXES = (
    Box("patch encoder", "PatchEncoder.residual_stream", (1.4, 1.55)),
    Box("special tokens", "Aggregator.embed", (2.72, 1.55)),
    Box("frame attention", "Aggregator._mix_frames", (4.08, 2.1)),
    Box("global attention", "Aggregator._mix_scenes", (4.08, 1.0)),
    Box("camera head", "CameraHead._refine", (5.62, 2.6)),
    Box("depth head", "DenseHead._fuse", (5.62, 1.55)),
    Box("point head", "DenseHead._fuse", (5.62, 0.5)),
)
"""The steps, in the order in which they run."""

LOOP = "Aggregator._alternate"
"""The function that repeats frame and global attention."""

_ARROWS = (
    ((0.71, 1.55), (0.89, 1.55)),
    ((1.91, 1.55), (2.21, 1.55)),
    ((3.23, 1.55), (3.42, 1.55)),
    ((3.88, 1.75), (3.88, 1.35)),
    ((4.28, 1.35), (4.28, 1.75)),
    ((4.76, 1.95), (5.09, 2.5)),
    ((4.76, 1.55), (5.09, 1.55)),
    ((4.76, 1.15), (5.09, 0.6)),
    ((6.15, 2.6), (6.35, 2.6)),
    ((6.15, 1.55), (6.35, 1.55)),
    ((6.15, 0.5), (6.35, 0.5)),
)

_PLACES = {
    "images": (0.36, 1.55),
    "patches": (1.4, 0.95),
    "tokens": (2.72, 0.95),
    "layer": (4.08, 0.2),
    "cameras": (6.76, 2.6),
    "depth": (6.76, 1.55),
    "points": (6.76, 0.5),
}


def draw_architecture(shapes: Mapping[str, Sequence[int]], *, depth: int) -> Figure:
    """The steps from images to cameras, depth and points, with the shapes between them.

    Args:
        shapes: Shape of the tensor called ``images``, ``patches``, ``tokens``, ``layer``,
            ``cameras``, ``depth`` and ``points``.
        depth: Number of times that frame and global attention take turns.

    Home section: *VGGT in one chapter*.
    """
    figure = style.figure(height=_HEIGHT)
    axes = figure.add_subplot(xlim=(0, style.WIDTH), ylim=(0, _HEIGHT), aspect="equal")
    axes.set_axis_off()
    _draw_loop(axes, depth)
    for box in BOXES:
        _draw_box(axes, box)
    for start, end in _ARROWS:
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": style.REFERENCE})
    for name, place in _PLACES.items():
        text = f"{name}\n" + "×".join(str(size) for size in shapes[name])
        axes.text(*place, text, ha="center", va="center", fontsize=6.2, color=style.MEASURED)
    return figure


def _draw_loop(axes: Axes, depth: int) -> None:
    left, bottom, width, height = _LOOP
    axes.add_patch(_rounded((left, bottom), (width, height), style.SPREAD_STOPS[0]))
    top = bottom + height
    axes.text(left + width / 2, top + 0.2, f"{depth} times", ha="center", weight="bold")
    _function(axes, (left + width / 2, top + 0.08), LOOP)


def _draw_box(axes: Axes, box: Box) -> None:
    (x, y), (width, height) = box.centre, _BOX
    axes.add_patch(_rounded((x - width / 2, y - height / 2), _BOX, "white"))
    axes.text(x, y + 0.18, box.title, ha="center", va="center", weight="bold", fontsize=7)
    _function(axes, (x, y - 0.1), box.function.replace(".", "\n."))


def _function(axes: Axes, place: tuple[float, float], name: str) -> None:
    axes.text(*place, name, ha="center", va="center", fontsize=6, family="monospace")


def _rounded(corner: tuple[float, float], size: tuple[float, float], colour: str) -> FancyBboxPatch:
    rounding = "round,pad=0,rounding_size=0.06"
    return FancyBboxPatch(
        corner, *size, boxstyle=rounding, facecolor=colour, edgecolor=style.REFERENCE, linewidth=0.8
    )

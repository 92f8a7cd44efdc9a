"""One palette, one set of type sizes, one way to a PNG.

The widgets use the same colours: ``widgets/static`` names them as CSS properties, and a test
keeps the two equal. Colours that meet in one figure differ in lightness, so that they stay apart
under the colour vision deficiencies and in print.
"""

import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

INK = "#1b222b"
REFERENCE = "#56616d"
RULE = "#d5dae0"
THEORY = "#0b5394"
MEASURED = "#b3470a"
SPREAD_STOPS = ("#f7f5ee", "#d6e3e0", "#9fc5cb", "#5f9dba", "#2f6d9f", "#1c3f73")
CONTRAST_STOPS = ("#1d4f91", "#93b3d8", "#f7f5ee", "#eaa671", "#a8430b")
LINE_STOPS = ("#86bfa3", "#4a9aa6", "#2f6d9f", "#27467f", "#1a1f45")

SPREAD = LinearSegmentedColormap.from_list("spread", SPREAD_STOPS)
"""For surfaces: from the paper, where tokens are spread out, to dark blue, where they collapsed."""

CONTRAST = LinearSegmentedColormap.from_list("contrast", CONTRAST_STOPS)
"""For departures from a reference: blue below it, the paper at it, orange above it."""

SEQUENTIAL = LinearSegmentedColormap.from_list("sequential", LINE_STOPS)
"""For points and lines in an order: every colour is legible on white."""

WIDTH = 7.2
"""Width of a figure in inches, that of a page's text."""

_DOTS_PER_INCH = 144
_FINE_DECADES = 4  # more of them leave no room for labels between powers of ten
_PARAMETERS = {
    "axes.axisbelow": True,
    "axes.edgecolor": REFERENCE,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 8,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.title_fontsize": 7.5,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "xtick.color": REFERENCE,
    "xtick.labelsize": 7.5,
    "ytick.color": REFERENCE,
    "ytick.labelsize": 7.5,
}


class _NotebookFigure(Figure):
    """A figure that a notebook shows as a PNG, without pyplot and its registry."""

    def _repr_png_(self) -> bytes:
        return png(self)


def figure(*, height: float | int, width: float | int = WIDTH) -> Figure:
    """Empty figure in the book's style, which a notebook shows without pyplot.

    It sets matplotlib's parameters for the process, because matplotlib reads them while artists
    are made and drawn. ``matplotlib.rc_context`` keeps that inside a block.

    Args:
        height: In inches.
        width: In inches.

    Home section: *The phenomenon*.
    """
    matplotlib.rcParams.update(_PARAMETERS)
    return _NotebookFigure(figsize=(width, height), layout="constrained")


def sequence(count: int) -> list[tuple[float, float, float, float]]:
    """Colours for ``count`` lines in an order, from light to dark.

    Raises:
        ValueError: If ``count`` is below 1.

    Home section: *The phenomenon*.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1; got {count}: ask for one colour or more.")
    return [SEQUENTIAL(index / max(count - 1, 1)) for index in range(count)]


def label_logarithm(axis: Axis, *, narrow: bool = False) -> None:
    """Mark a logarithmic axis in plain numbers: at 1, 2 and 5 times the powers of ten.

    Over more than four decades, as they are when this is called, and along an axis that is narrow,
    at powers of ten alone.

    Home section: *The phenomenon*.
    """
    low, high = sorted(axis.get_view_interval())
    wide = narrow or 0 < low * 10**_FINE_DECADES < high
    axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def label_frames(axes: Axes) -> None:
    """Make numbers of frames a logarithmic axis, marked at 2 and at powers of ten.

    Home section: *A thousand frames*.
    """
    axes.set_xscale("log")
    axes.set_xticks([2, 10, 100, 1000], ["2", "10", "100", "1000"])
    axes.minorticks_off()
    axes.set_xlabel("frames")


def png(drawing: Figure) -> bytes:
    """PNG of a figure; figures drawn alike have the same bytes.

    Home section: *The phenomenon*.
    """
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()

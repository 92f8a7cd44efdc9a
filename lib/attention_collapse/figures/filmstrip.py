"""Rendered frames in a row."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from attention_collapse.figures import style


def draw_filmstrip(
    images: Float[np.ndarray, "frame 3 height width"], *, columns: int = 4
) -> Figure:
    """Frames in reading order, numbered from one.

    Args:
        images: Pixels in [0, 1].
        columns: Frames in a row.

    Home section: *The phenomenon*.
    """
    rows = -(-len(images) // columns)
    _, _, height, width = images.shape
    figure = style.figure(height=7.2 / columns * rows * height / width + 0.25 * rows)
    for number, image in enumerate(images, start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(image.transpose(1, 2, 0))
        axes.set_title(f"frame {number}")
        axes.set_axis_off()
    return figure

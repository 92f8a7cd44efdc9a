"""A small scene without a renderer, for a merge explorer that is given none."""

import numpy as np
from jaxtyping import Float

PATCH = 14  # pixels
ROWS, COLUMNS, FRAMES = 6, 8, 3
DISCS = (  # place at the start, step per frame, radius in pixels; red, green, blue
    ((30.0, 40.0), (0.0, 9.0), 16.0, (0.8, 0.3, 0.2)),
    ((58.0, 84.0), (-4.0, -7.0), 12.0, (0.2, 0.6, 0.4)),
)


def example_scene() -> tuple[
    Float[np.ndarray, "frame 3 image_height image_width"],
    Float[np.ndarray, "frame row column width"],
]:
    """Discs that move over a wall and a floor, and colours and contrasts of the patches.

    Home section: *Token merging*.
    """
    images = np.stack([_frame(number) for number in range(FRAMES)])
    tiles = images.reshape(FRAMES, 3, ROWS, PATCH, COLUMNS, PATCH)
    parts = [tiles.mean(axis=(3, 5)), tiles.std(axis=(3, 5))]
    return images, np.concatenate(parts, axis=1).transpose(0, 2, 3, 1)


def _frame(number: int) -> Float[np.ndarray, "3 image_height image_width"]:
    row, column = np.mgrid[: ROWS * PATCH, : COLUMNS * PATCH]
    wall = np.stack([0.6 + 0.002 * column, 0.62 + 0 * row, 0.75 - 0.001 * column])
    floor = np.stack([0.55 + 0.002 * row, 0.42 + 0 * row, 0.3 + 0.001 * column])
    image = np.where(row < 55 + 2 * number, wall, floor)
    for (y, x), (down, right), radius, colour in DISCS:
        inside = (row - y - number * down) ** 2 + (column - x - number * right) ** 2 < radius**2
        image = np.where(inside, np.array(colour)[:, None, None], image)
    return np.clip(image, 0, 1)

"""A small orbit with attention drawn at random, for tests of the heat-map explorer."""

import numpy as np
import torch

from attention_collapse.scenes import orbit
from attention_collapse.widgets.heat_map_explorer import HeatMapExplorer
from attention_collapse.widgets.heat_maps import HeatMaps

ROWS, COLUMNS, LAYERS, HEADS, SPECIAL = 4, 5, 3, 2, 5
QUERIES = np.array([[0, 1, 1], [0, 2, 3], [1, 0, 4], [1, 3, 0]])
COUNTS = (2, 4, 16)
SHOWN = 4


def random_maps(frames, *, predicted=True, seed=0):
    """Softmax rows of random scores over all tokens, of which the patches of some are kept."""
    generator = np.random.default_rng([seed, frames])
    shape = (LAYERS, HEADS, len(QUERIES), frames, ROWS * COLUMNS + SPECIAL)
    weights = np.exp(generator.standard_normal(shape))
    weights /= weights.sum(axis=(3, 4), keepdims=True)
    shown = min(frames, SHOWN)
    kept = weights[..., :shown, SPECIAL:].reshape(*shape[:3], shown, ROWS, COLUMNS)
    entropy = -(weights * np.log(weights)).sum(axis=(3, 4)).mean(axis=2)
    ratio = generator.uniform(0.1, 0.9, size=(LAYERS, HEADS))
    kernel = kept * generator.uniform(0.2, 1.0, size=kept.shape) if predicted else None
    return HeatMaps(frames, kept, entropy, ratio, kernel)


def orbit_images():
    """The frames that are shown."""
    return orbit(SHOWN, seed=3, image_size=(28, 35), dtype=torch.float64).images.numpy()


def heat_map_explorer(*, predicted=True, **traits):
    """An explorer of three passes over an orbit."""
    maps = [random_maps(frames, predicted=predicted) for frames in COUNTS]
    return HeatMapExplorer.from_maps(orbit_images(), QUERIES, maps, **traits)

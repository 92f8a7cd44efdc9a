"""Small records of errors and ranks, drawn at random, for tests of the many-frame explorer."""

import numpy as np

from attention_collapse.widgets.many_frame_explorer import ManyFrameExplorer

COUNTS = (2, 4, 8, 16, 64)
RANKED = 4
NETWORKS, SCENES, LAYERS, HEADS = 3, 5, 4, 2


def error_arrays(**changed):
    """Errors that grow as trained and stay with the bias, and shares that fall."""
    generator = np.random.default_rng(0)
    shape = (NETWORKS, SCENES, 2, len(COUNTS))
    growth = np.stack([np.array(COUNTS) / 8, np.ones(len(COUNTS))])
    shares = generator.uniform(0.2, 0.9, size=(NETWORKS, 2, len(COUNTS), LAYERS, HEADS))
    arrays = {
        "frames": np.array(COUNTS),
        "treatments": np.array(["none", "bias"]),
        "rotation": growth * generator.uniform(0.5, 1.5, size=shape),
        "points": 0.02 * growth * generator.uniform(0.5, 1.5, size=shape),
        "reference_mass": shares / np.array(COUNTS)[:, None, None],
    }
    return arrays | changed


def rank_arrays(**changed):
    """Singular ratios of one network, to fewer frames."""
    generator = np.random.default_rng(1)
    ratios = generator.uniform(0.3, 0.9, size=(SCENES - 1, RANKED, LAYERS, HEADS))
    return {"frames": np.array(COUNTS[:RANKED]), "singular_ratio": ratios} | changed


def many_frame_explorer(**traits):
    """An explorer of the two."""
    return ManyFrameExplorer.from_records(error_arrays(), rank_arrays(), **traits)

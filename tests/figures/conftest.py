"""Arrays that tests of several figures share."""

import numpy as np
import pytest

from attention_collapse.experiments import closure_ladder
from attention_collapse.figures.closure_ladder import TITLES

LADDER_SHAPE = (2, 3, 4, 5)  # scene, frame count, layer, head


@pytest.fixture
def ladder() -> dict[str, np.ndarray]:
    """A ladder of closures whose rung r is off by (r + 1) % everywhere."""
    rungs = np.array(closure_ladder.RUNGS)
    off = 1 + 0.01 * np.arange(1, len(rungs) + 1)[:, None, None, None, None]
    arrays = {"rungs": rungs, "frames": np.array([8, 64, 512])}
    for seed, name in enumerate(TITLES):
        arrays[name] = 1 + np.random.default_rng(seed).random(LADDER_SHAPE)
        arrays[f"predicted_{name}"] = arrays[name] * off
    return arrays

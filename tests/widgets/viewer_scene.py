"""A small orbit with a prediction that errs by a known amount, for tests of the viewer."""

import numpy as np
import torch

from attention_collapse.scenes import orbit
from attention_collapse.widgets.reconstruction_viewer import ReconstructionViewer


def orbit_arrays(*, frames=3, size=(20, 24)):
    """Arguments of ``from_arrays``: errors grow with the distance from the first camera."""
    scene = orbit(frames, seed=3, image_size=size, dtype=torch.float64)
    truth = scene.points.numpy()
    generator = np.random.default_rng(0)
    errors = 0.05 * scene.depth.numpy()[..., None] * generator.standard_normal(truth.shape)
    cameras = scene.world_to_camera.numpy()
    moved = cameras.copy()
    moved[:, :, 3] += 0.1 * generator.standard_normal((frames, 3))
    return {
        "points": truth + errors,
        "images": scene.images.numpy(),
        "world_to_camera": moved,
        "intrinsics": scene.intrinsics.numpy(),
        "true_points": truth,
        "true_world_to_camera": cameras,
        "confidence": 1 / scene.depth.numpy(),
    }


def orbit_viewer(**traits):
    """A viewer of the orbit."""
    return ReconstructionViewer.from_arrays(**orbit_arrays(), **traits)

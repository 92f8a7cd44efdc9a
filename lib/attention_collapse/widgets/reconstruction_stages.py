"""Several reconstructions of one scene in one viewer, with a button for each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attention_collapse.widgets.base import StateError
from attention_collapse.widgets.camera_frusta import ViewerFrame
from attention_collapse.widgets.quantisation import PointGrid, encode_shares
from attention_collapse.widgets.reconstruction_viewer import (
    MAX_POINTS,
    STATE_BUDGET,
    ReconstructionViewer,
    camera_outlines,
)

POINT_BYTES = 8  # of text, on the grid
COLOUR_BYTES = 4
POINTS_SHARE = 0.8
"""Share of the page's bytes that points and colours may take."""


@dataclass(frozen=True)
class Stage:
    """One reconstruction.

    Attributes:
        points: Predicted points in the world.
        world_to_camera: Predicted cameras with OpenCV axes.

    Home section: *What fails*.
    """

    points: Float[np.ndarray, "frame height width 3"]
    world_to_camera: Float[np.ndarray, "frame 3 4"]


def staged_viewer(
    stages: Mapping[str, Stage],
    images: Float[np.ndarray, "frame 3 height width"],
    intrinsics: Float[np.ndarray, "frame 3 3"],
    *,
    truth: Stage,
    start: str,
    **traits: object,
) -> ReconstructionViewer:
    """A viewer of the same pixels under each of several reconstructions, beside the truth.

    The buttons take the place of the views of ``ReconstructionViewer``. The more stages, the fewer
    points: the page holds all of them.

    Args:
        stages: By the words on their buttons, all of the same frames.
        images: Pixels in [0, 1], the colours of the points.
        intrinsics: Of the cameras.
        truth: True points and cameras.
        start: The stage that is shown first.
        traits: Further traits of the viewer.

    Raises:
        ValueError: There is no stage called ``start``, or as in ``ReconstructionViewer``.

    Home section: *What fails*.
    """
    if start not in stages:
        raise StateError(
            f"start must be one of the stages {', '.join(stages)}; got {start!r}: name one."
        )
    chosen = _drawn(truth.points[..., 0].size, len(stages))
    clouds = {name: stage.points.reshape(-1, 3)[chosen] for name, stage in stages.items()}
    true_cloud = truth.points.reshape(-1, 3)[chosen]
    frame = ViewerFrame.of(true_cloud, truth.world_to_camera)
    placed = {name: frame(cloud) for name, cloud in clouds.items()}
    grid = PointGrid.around(np.concatenate([frame(true_cloud), *placed.values()]))
    size = images.shape[2:]
    presets = [
        {
            "name": name,
            "points": grid.encode(cloud),
            "cameras": camera_outlines(frame, stages[name].world_to_camera, intrinsics, size),
        }
        for name, cloud in placed.items()
    ]
    (first,) = (preset for preset in presets if preset["name"] == start)
    state = {name: first[name] for name in ("points", "cameras")} | {
        "presets": presets,
        "true_points": grid.encode(frame(true_cloud)),
        "true_cameras": camera_outlines(frame, truth.world_to_camera, intrinsics, size),
        "colours": encode_shares(images.transpose(0, 2, 3, 1).reshape(-1, 3)[chosen]),
        "lower": list(grid.lower),
        "step": grid.step,
        "unit": frame.unit,
        "shown": "both",
    }
    return ReconstructionViewer(**state | traits)


def _drawn(count: int, stages: int) -> np.ndarray:
    """Indices of the pixels to show, always the same."""
    # The stages, the one that is shown, and the truth.
    each = POINT_BYTES * (stages + 2) + COLOUR_BYTES
    most = min(MAX_POINTS, int(POINTS_SHARE * STATE_BUDGET) // each)
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))

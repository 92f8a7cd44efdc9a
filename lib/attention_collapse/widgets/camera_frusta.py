"""Where a viewer stands, from the cameras of a scene, and the cameras as outlines."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

EXTENT = 0.9
"""Share of the points within one unit of length of a viewer's coordinates."""


@dataclass(frozen=True)
class ViewerFrame:
    r"""Coordinates with the scene upright, in the middle and of size one.

    A point :math:`X` of the world is at :math:`Q (X - c) / u`: x to the right, y up and z to the
    back of the mean camera.

    Home section: *mini-VGGT*.

    Attributes:
        rotation: :math:`Q`.
        centre: :math:`c`, median of the points.
        unit: :math:`u`, distance within which 90 % of the points are.
    """

    rotation: Float[np.ndarray, "3 3"]
    centre: Float[np.ndarray, "3"]
    unit: float

    @classmethod
    def of(
        cls, points: Float[np.ndarray, "point 3"], world_to_camera: Float[np.ndarray, "frame 3 4"]
    ) -> "ViewerFrame":
        """The frame of points that these cameras see.

        Args:
            points: In the world.
            world_to_camera: Matrices with OpenCV axes: x right, y down, z forward.

        Raises:
            ValueError: If the cameras look up and down alike, so that none is upright, or the
                points are all the same.
        """
        down, forward = world_to_camera[:, 1, :3].mean(axis=0), world_to_camera[:, 2, :3]
        sideways = np.cross(down, forward.mean(axis=0))
        centre = np.median(points, axis=0)
        unit = float(np.quantile(np.linalg.norm(points - centre, axis=1), EXTENT))
        if not (np.linalg.norm(sideways) > 0 and unit > 0):
            raise ValueError(
                "cameras must have a mean direction and points must differ; got a mean axis to "
                f"the right of {sideways} and a radius of {unit:.3g}: check world_to_camera."
            )
        up = -down / np.linalg.norm(down)
        right = sideways / np.linalg.norm(sideways)
        return cls(np.stack([right, up, np.cross(right, up)]), centre, unit)

    def __call__(self, points: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        """Points of the world in these coordinates."""
        return (points - self.centre) @ self.rotation.T / self.unit


def frusta(
    world_to_camera: Float[np.ndarray, "frame 3 4"],
    intrinsics: Float[np.ndarray, "frame 3 3"],
    *,
    image_size: tuple[int, int],
    depth: float,
) -> Float[np.ndarray, "frame 5 3"]:
    r"""Corners of the pyramids that cameras see up to a depth, the apex first.

    The apex is the centre :math:`-R^\top t`; a corner of the image with pixel coordinates
    :math:`p` is at :math:`R^\top (\text{depth} \cdot K^{-1} (p, 1) - t)`, in the order around it.

    Args:
        world_to_camera: :math:`[R \mid t]` with OpenCV axes.
        intrinsics: :math:`K`, pixel coordinates from 0 to width and height.
        image_size: Height and width in pixels.
        depth: In units of length.

    Home section: *mini-VGGT*.
    """
    height, width = image_size
    image = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=float)
    corners = depth * np.einsum("fij,cj->fci", np.linalg.inv(intrinsics), image)
    places = np.concatenate([np.zeros_like(corners[:, :1]), corners], axis=1)
    rotation, translation = world_to_camera[:, :, :3], world_to_camera[:, :, 3]
    return np.einsum("fji,fcj->fci", rotation, places - translation[:, None])

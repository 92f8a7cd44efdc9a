"""What the network says about a scene."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from attention_collapse.tokens import TokenLayout


@dataclass(frozen=True)
class Reconstruction:
    r"""Cameras, depth and points of all frames of some scenes.

    The world has the axes of the first camera and the scale that the network chose: lengths are
    not metres. Camera axes are those of OpenCV: x right, y down, z forward.

    Args:
        pose_encoding: Translation, quaternion :math:`x, y, z, w`, vertical and horizontal field of
            view in radians.
        world_to_camera: :math:`[R \mid t]` of each frame.
        intrinsics: Camera matrix of each frame, in pixels.
        depth: Distance of each pixel's point along the camera's z.
        depth_confidence: Confidence in the depth, above 1.
        points: Each pixel's point in the world, from a head of its own; ``unproject`` gives
            another estimate from depth and camera.
        points_confidence: Confidence in the points, above 1.
        layout: Where each token of a scene sits.

    Home section: *The phenomenon*.
    """

    pose_encoding: Float[Tensor, "scene frame 9"]
    world_to_camera: Float[Tensor, "scene frame 3 4"]
    intrinsics: Float[Tensor, "scene frame 3 3"]
    depth: Float[Tensor, "scene frame image_height image_width"]
    depth_confidence: Float[Tensor, "scene frame image_height image_width"]
    points: Float[Tensor, "scene frame image_height image_width 3"]
    points_confidence: Float[Tensor, "scene frame image_height image_width"]
    layout: TokenLayout

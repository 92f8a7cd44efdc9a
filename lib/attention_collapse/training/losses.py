"""The loss of a reconstruction, and its errors in plain units."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.training.config import TrainingConfig
from attention_collapse.training.targets import Targets
from attention_collapse.vggt import Reconstruction

POSE_PARTS = (3, 4, 2)

Loss = Callable[[Reconstruction, Targets, TrainingConfig], Float[Tensor, ""]]


@dataclass(frozen=True)
class Errors:
    """Mean errors of reconstructions.

    Home section: *mini-VGGT*.

    Attributes:
        points: Distance from the true point, in units of the scene's length.
        depth: Difference over the true depth.
        translation: Length of the difference, in units of the scene's length; not of the
            reference frames.
        rotation: Angle between the rotations in degrees; not of the reference frames.
    """

    points: Float[Tensor, ""]
    depth: Float[Tensor, ""]
    translation: Float[Tensor, ""]
    rotation: Float[Tensor, ""]


def loss(
    reconstruction: Reconstruction, targets: Targets, config: TrainingConfig
) -> Float[Tensor, ""]:
    r"""The mean loss of the pixels plus that of the cameras.

    A pixel with the error :math:`e` (distance of points, difference of depths) and the confidence
    :math:`c` costs :math:`c e - \alpha \ln c`. The camera costs the absolute differences of
    translation, quaternion and fields of view, the mean over the numbers of each.

    Source: VGGT (arXiv 2503.11651), section 3.4, with absolute differences and without gradients
    of the depth. Home section: *mini-VGGT*.
    """
    points = (reconstruction.points - targets.points).norm(dim=-1)
    depth = (reconstruction.depth - targets.depth).abs()
    alpha = config.confidence_weight
    pixels = sum(
        (confidence * error - alpha * confidence.log()).mean()
        for error, confidence in (
            (points, reconstruction.points_confidence),
            (depth, reconstruction.depth_confidence),
        )
    )
    difference = (reconstruction.pose_encoding - targets.pose_encoding).abs()
    camera = sum(part.mean() for part in difference.split(POSE_PARTS, dim=-1))
    return pixels + config.camera_weight * camera


@torch.no_grad()
def errors(reconstruction: Reconstruction | Targets, targets: Targets) -> Errors:
    """How far a reconstruction is off, on average.

    Home section: *mini-VGGT*.
    """
    points = (reconstruction.points - targets.points).norm(dim=-1)
    depth = (reconstruction.depth - targets.depth).abs() / targets.depth
    # The pose of the reference frame is the same in every scene.
    said, true = (p.pose_encoding[:, 1:] for p in (reconstruction, targets))
    translation = (said[..., :3] - true[..., :3]).norm(dim=-1)
    return Errors(points.mean(), depth.mean(), translation.mean(), _angle(said, true).mean())


def _angle(
    said: Float[Tensor, "scene frame 9"], true: Float[Tensor, "scene frame 9"]
) -> Float[Tensor, "scene frame"]:
    """Angle between two rotations in degrees, from half the chord of their quaternions."""
    one, other = (torch.nn.functional.normalize(pose[..., 3:7], dim=-1) for pose in (said, true))
    chord = torch.minimum((one - other).norm(dim=-1), (one + other).norm(dim=-1))
    return torch.rad2deg(4 * (chord / 2).clamp(max=1).asin())

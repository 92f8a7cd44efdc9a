"""What a network should say about a rendered scene."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from attention_collapse.scenes import Clips
from attention_collapse.scenes.cameras import intrinsics_matrix
from attention_collapse.vggt import encode_pose


@dataclass(frozen=True)
class Targets:
    r"""Geometry in the axes of each scene's first camera, in units of its distance.

    The unit of length is the mean distance from the first camera to the points of the first frame
    alone, so that it does not change with the number of frames.
    Home section: *mini-VGGT*.

    Attributes:
        pose_encoding: Translation, quaternion and fields of view, as in ``encode_pose``.
        depth: z-depth of every pixel.
        points: Every pixel's point in the axes of the first camera.
    """

    pose_encoding: Float[Tensor, "*frame 9"]
    depth: Float[Tensor, "*frame height width"]
    points: Float[Tensor, "*frame height width 3"]


def reference_targets(clips: Clips, reference: Int64[Tensor, "view"]) -> Targets:
    r"""The geometry of views, each seen from the reference frame of its scene.

    With the camera :math:`[R \mid t]` of a view, that of its reference :math:`[R_0 \mid t_0]`,
    world points :math:`X` and the unit of length :math:`s`,

    .. math::

        X' = (R_0 X + t_0) / s, \qquad R' = R R_0^\top, \qquad t' = (t - R' t_0) / s.

    Home section: *mini-VGGT*.

    Args:
        clips: The views of all scenes.
        reference: Which view is the reference of each, on the CPU; a reference is its own.
    """
    first = clips.world_to_camera[reference]
    world = clips.frame.points
    rotation, shift = first.to(world)[:, None, None].split((3, 1), dim=-1)
    points = (rotation * world[..., None, :]).sum(-1) + shift[..., 0]
    scale = points.norm(dim=-1).mean(dim=(-2, -1))[reference.to(world.device)]
    # Poses stay on the CPU until they are encoded: the checks of ``encode_pose`` read them.
    encoding = _encoded(clips.world_to_camera, first, points.shape[1:3]).to(world)
    translation = encoding[:, :3] / scale[:, None]
    return Targets(
        torch.cat((translation, encoding[:, 3:]), dim=-1),
        clips.frame.depth / scale[:, None, None],
        points / scale[:, None, None, None],
    )


def _encoded(
    cameras: Float64[Tensor, "view 3 4"],
    first: Float64[Tensor, "view 3 4"],
    image_size: tuple[int, int],
) -> Float64[Tensor, "view 9"]:
    rotation = cameras[..., :3] @ first[..., :3].mT
    translation = cameras[..., 3:] - rotation @ first[..., 3:]
    intrinsics = intrinsics_matrix(tuple(image_size)).expand(len(cameras), 3, 3)
    return encode_pose(torch.cat((rotation, translation), dim=-1), intrinsics, tuple(image_size))

"""Unprojection: from depth and cameras to points in the world."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_collapse.vggt.pose import require_cameras

PixelCentre = Literal["integer", "half"]
"""Where the centre of a pixel sits: at its column and row, or half a pixel further."""

SMALLEST_DEPTH = 1e-8
"""Depths up to this one mean that nothing was seen."""


@dataclass(frozen=True)
class Points:
    """The points that the pixels see, in the units of the depth.

    Args:
        world: In the coordinates that all cameras share.
        camera: In the coordinates of the pixel's own camera: x right, y down, z forward.
        valid: True where the depth is a number above 1e-8 and the camera is one: positive finite
            focal lengths, a finite pose.

    Home section: *Notation*.
    """

    world: Float[Tensor, "*frame height width 3"]
    camera: Float[Tensor, "*frame height width 3"]
    valid: Bool[Tensor, "*frame height width"]


def unproject(
    depth: Float[Tensor, "..."],
    world_to_camera: Float[Tensor, "..."],
    intrinsics: Float[Tensor, "..."],
    *,
    pixel_centre: PixelCentre = "integer",
) -> Points:
    r"""The point that each pixel sees, in its camera and in the world.

    With depth :math:`d` at the pixel of column :math:`u` and row :math:`v`,

    .. math::

        y &= (v - c_y)\, d / f_y, \qquad x = \bigl((u - c_x)\, d - s y\bigr) / f_x, \qquad z = d, \\
        X_{\text{world}} &= R^\top (X_{\text{camera}} - t),

    with focal lengths :math:`f`, principal point :math:`c` and skew :math:`s` in pixels.

    VGGT counts pixel centres from zero, ``"integer"``: the middle of its first pixel is at
    :math:`u = v = 0`, though ``decode_pose`` puts the principal point at :math:`(W / 2, H / 2)`,
    half a pixel from the middle of the image counted so. With ``"half"`` the middle of the first
    pixel is at :math:`u = v = 1/2`, as in most renderers.

    Args:
        depth: Along the optical axis, ``[*frame height width]``.
        world_to_camera: :math:`[R \mid t]`, ``[*frame 3 4]``.
        intrinsics: Pixels of the depth map, ``[*frame 3 3]``.
        pixel_centre: Where the centre of a pixel sits.

    Raises:
        ValueError: The shapes do not fit each other, or no pixel centre has this name.

    Source: VGGT (arXiv 2503.11651), section 3.1. Home section: *Notation*.
    """
    _check(depth, world_to_camera, intrinsics, pixel_centre)
    camera = _camera_points(depth, intrinsics, 0.5 if pixel_centre == "half" else 0.0)
    rotation, translation = world_to_camera[..., None, None, :, :].split((3, 1), dim=-1)
    x, y, z = (camera - translation[..., 0]).split(1, dim=-1)
    to_x, to_y, to_z = rotation.unbind(-2)
    world = x * to_x + y * to_y + z * to_z
    valid = (depth > SMALLEST_DEPTH) & depth.isfinite()
    return Points(world, camera, valid & _usable(world_to_camera, intrinsics)[..., None, None])


def _camera_points(
    depth: Float[Tensor, "*frame height width"],
    intrinsics: Float[Tensor, "*frame 3 3"],
    offset: float,
) -> Float[Tensor, "*frame height width 3"]:
    height, width = depth.shape[-2:]
    rows = torch.arange(height, device=depth.device)[:, None] + offset
    columns = torch.arange(width, device=depth.device) + offset
    focal_x, skew, centre_x, _, focal_y, centre_y, *_ = (
        intrinsics[..., None, None, :, :].flatten(-2).unbind(-1)
    )
    y = (rows - centre_y) * depth / focal_y
    x = ((columns - centre_x) * depth - skew * y) / focal_x
    return torch.stack(torch.broadcast_tensors(x, y, depth), dim=-1)


def _usable(
    world_to_camera: Float[Tensor, "*frame 3 4"], intrinsics: Float[Tensor, "*frame 3 3"]
) -> Bool[Tensor, "*frame"]:
    positive = (intrinsics[..., 0, 0] > 0) & (intrinsics[..., 1, 1] > 0)
    finite = torch.cat((world_to_camera, intrinsics), dim=-1).isfinite()
    return positive & finite.flatten(-2).all(-1)


def _check(
    depth: Tensor, world_to_camera: Tensor, intrinsics: Tensor, pixel_centre: PixelCentre
) -> None:
    require_cameras(world_to_camera, intrinsics)
    if depth.ndim < 2 or depth.shape[:-2] != world_to_camera.shape[:-2]:
        raise ValueError(
            "depth must have the axes of the cameras and then height and width, got depth "
            f"{tuple(depth.shape)} and world_to_camera {tuple(world_to_camera.shape)}; "
            "for the values of a depth head pass values[..., 0]"
        )
    if pixel_centre not in get_args(PixelCentre):
        raise ValueError(
            f"no pixel centre is called {pixel_centre!r}; use 'integer', as VGGT does, or 'half'"
        )

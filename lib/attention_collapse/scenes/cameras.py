"""Pinhole cameras with OpenCV axes: x right, y down, z forward.

A world point :math:`X` has camera coordinates :math:`R X + t` with ``world_to_camera`` =
:math:`[R \\mid t]`. Pixel coordinates are (x, y) = (column, row) and continuous: the image covers
[0, width] x [0, height], the centre of pixel (row i, column j) is (j + 1/2, i + 1/2), and the
principal point is (width / 2, height / 2).

Coordinates are transformed elementwise, not by matrix products: those may run in TF32 on a GPU,
which keeps 10 bits.
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

FIELD_OF_VIEW = math.radians(70)

Number = float | Float64[Tensor, "*frame"]


def intrinsics_matrix(
    image_size: tuple[int, int], *, field_of_view: float = FIELD_OF_VIEW
) -> Float[Tensor, "3 3"]:
    """Intrinsics with square pixels and the principal point in the middle.

    The focal length is :math:`f = \\max(H, W) / (2 \\tan(\\theta / 2))` pixels.
    Home section: *The phenomenon*.

    Args:
        image_size: height and width in pixels.
        field_of_view: angle :math:`\\theta` over the longer side, in radians.
    """
    height, width = image_size
    focal = max(height, width) / (2 * math.tan(field_of_view / 2))
    matrix = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
    return torch.tensor(matrix, dtype=torch.float64)


def look_at(
    position: tuple[Number, Number, Number],
    target: tuple[Number, Number, Number],
    *,
    roll: Number = 0.0,
) -> Float64[Tensor, "*frame 3 4"]:
    """World-to-camera matrix of a camera at a position, looking at a target, with y up the world.

    Tensors in the place of numbers give one camera for each of their elements.
    Home section: *The phenomenon*.

    Args:
        position: camera centre in the world.
        target: a world point on the optical axis, not straight above or below the camera.
        roll: angle by which the camera turns clockwise about its optical axis, in radians.
    """
    centre = _vectors(position)
    forward = _unit(_vectors(target) - centre)
    right = _unit(
        torch.linalg.cross(forward, forward.new_tensor([0.0, 1.0, 0.0]).expand_as(forward))
    )
    down = torch.linalg.cross(forward, right)
    turn = torch.as_tensor(roll, dtype=torch.float64)[..., None]
    cosine, sine = turn.cos(), turn.sin()
    axes = (cosine * right + sine * down, cosine * down - sine * right, forward)
    rotation = torch.stack(axes, dim=-2)
    return torch.cat([rotation, -(rotation @ centre[..., None])], dim=-1)


def _vectors(coordinates: tuple[Number, Number, Number]) -> Float64[Tensor, "*frame 3"]:
    numbers = (torch.as_tensor(number, dtype=torch.float64) for number in coordinates)
    return torch.stack(torch.broadcast_tensors(*numbers), dim=-1)


def _unit(vectors: Float64[Tensor, "*frame 3"]) -> Float64[Tensor, "*frame 3"]:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def camera_centre(world_to_camera: Float[Tensor, "*frame 3 4"]) -> Float[Tensor, "*frame 3"]:
    """Camera centre in the world, :math:`-R^\\top t`.

    Home section: *The phenomenon*.
    """
    rotation, translation = world_to_camera[..., :3], world_to_camera[..., 3]
    return -(rotation * translation[..., None]).sum(-2)


def pixel_centres(
    image_size: tuple[int, int], *, dtype: torch.dtype, device: torch.device | str
) -> Float[Tensor, "height width 2"]:
    """Pixel coordinates (x, y) = (column + 1/2, row + 1/2) of every pixel centre.

    Home section: *The phenomenon*.
    """
    height, width = image_size
    rows = torch.arange(height, dtype=dtype, device=device) + 0.5
    columns = torch.arange(width, dtype=dtype, device=device) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1)


def unproject(
    pixels: Float[Tensor, "*#frame point 2"],
    *,
    world_to_camera: Float[Tensor, "*#frame 3 4"],
    intrinsics: Float[Tensor, "3 3"],
) -> Float[Tensor, "*#frame point 3"]:
    """World directions of the rays through pixels, scaled to advance one unit of depth.

    The ray at z-depth :math:`z` is ``camera_centre + z * direction``.
    Home section: *The phenomenon*.
    """
    focal = torch.stack([intrinsics[0, 0], intrinsics[1, 1]])
    plane = (pixels - intrinsics[:2, 2]) / focal
    right, down, forward = world_to_camera[..., None, :3].unbind(-3)
    return plane[..., :1] * right + plane[..., 1:] * down + forward


def project(
    points: Float[Tensor, "*point 3"],
    *,
    world_to_camera: Float[Tensor, "3 4"],
    intrinsics: Float[Tensor, "3 3"],
) -> tuple[Float[Tensor, "*point 2"], Float[Tensor, "*point"]]:
    """Pixel coordinates (x, y) and z-depth of world points seen by one camera.

    Points behind the camera have negative depth; their pixel coordinates mean nothing.
    Home section: *The phenomenon*.
    """
    camera = (points[..., None, :] * world_to_camera[:, :3]).sum(-1) + world_to_camera[:, 3]
    depth = camera[..., 2]
    pixels = (camera[..., None, :] * intrinsics[:2]).sum(-1)
    return pixels / depth[..., None], depth

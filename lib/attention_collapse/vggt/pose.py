"""Camera poses: rigid transforms, quaternions and the nine numbers that the camera head gives.

A camera is ``world_to_camera`` = :math:`[R \\mid t]` with OpenCV axes (x right, y down, z forward)
and a matrix of intrinsics in pixels. Vectors are rotated elementwise, not by matrix products:
those may run in TF32 on a GPU, which keeps 10 bits.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

ENCODING_PARTS = (3, 4, 2)
"""Numbers of a pose encoding: translation, quaternion, field of view."""

# Largest entry of R Rᵀ - 1: float32 rotations from files are within 1e-6, other matrices are not.
ORTHOGONALITY = 1e-3


def rotation_from_quaternion(quaternion: Float[Tensor, "..."]) -> Float[Tensor, "*frame 3 3"]:
    r"""The rotation matrix of a quaternion of any length but zero.

    With :math:`(x, y, z, w)` scaled to length one,

    .. math::

        R = \begin{pmatrix}
            1 - 2(y^2 + z^2) & 2(xy - zw) & 2(xz + yw) \\
            2(xy + zw) & 1 - 2(x^2 + z^2) & 2(yz - xw) \\
            2(xz - yw) & 2(yz + xw) & 1 - 2(x^2 + y^2)
        \end{pmatrix}.

    A zero quaternion stands for no rotation at all: its matrix is filled with NaN.

    Args:
        quaternion: :math:`x, y, z, w`, the scalar last, ``[*frame 4]``.

    Raises:
        ValueError: The last axis is not 4 long.

    Source: VGGT (arXiv 2503.11651), section 3.1, for the order. Home section: *Notation*.
    """
    require_shape("quaternion", quaternion, (4,), "give x, y, z, w")
    # Squares of very small and very large numbers leave the range of float32.
    largest = quaternion.detach().abs().amax(-1, keepdim=True)
    x, y, z, w = (quaternion / largest).unbind(-1)
    twice = 2 / (x * x + y * y + z * z + w * w)
    entries = (
        *(1 - twice * (y * y + z * z), twice * (x * y - z * w), twice * (x * z + y * w)),
        *(twice * (x * y + z * w), 1 - twice * (x * x + z * z), twice * (y * z - x * w)),
        *(twice * (x * z - y * w), twice * (y * z + x * w), 1 - twice * (x * x + y * y)),
    )
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def quaternion_from_rotation(rotation: Float[Tensor, "..."]) -> Float[Tensor, "*frame 4"]:
    r"""The unit quaternion :math:`q = (x, y, z, w)` of a rotation, the one with :math:`w \ge 0`.

    The entries of :math:`R` give the matrix :math:`M = 4 q q^\top` without a division. Its column
    at the largest diagonal entry, which is at least one, is divided by twice the root of that
    entry: exact near half turns too, and with a finite gradient everywhere.

    Args:
        rotation: Orthogonal matrix of determinant one, ``[*frame 3 3]``.

    Raises:
        ValueError: The last axes are not 3 by 3, or a matrix is not a rotation.

    Source: derived in the book from the entries of ``rotation_from_quaternion``.
    Home section: *Notation*.
    """
    require_shape("rotation", rotation, (3, 3), "give world_to_camera[..., :3]")
    _require_rotation(rotation)
    products = _four_products(rotation)
    diagonal, index = products.diagonal(dim1=-2, dim2=-1).max(dim=-1, keepdim=True)
    column = products.take_along_dim(index[..., None], dim=-1)[..., 0]
    quaternion = column / (2 * diagonal.sqrt())
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def invert_rigid(transform: Float[Tensor, "..."]) -> Float[Tensor, "*frame 3 4"]:
    r"""The inverse of :math:`[R \mid t]`, which is :math:`[R^\top \mid -R^\top t]`.

    The last column of an inverted ``world_to_camera`` is the camera's centre in the world.

    Args:
        transform: ``[*frame 3 4]``; whether :math:`R` is a rotation is not checked.

    Raises:
        ValueError: The last axes are not 3 by 4.

    Home section: *Notation*.
    """
    require_shape("transform", transform, (3, 4), "leave out the row 0, 0, 0, 1")
    rotation, translation = transform[..., :3], transform[..., 3]
    centre = -(rotation * translation[..., None]).sum(-2)
    return torch.cat((rotation.transpose(-1, -2), centre[..., None]), dim=-1)


def encode_pose(
    world_to_camera: Float[Tensor, "..."],
    intrinsics: Float[Tensor, "..."],
    image_size: Sequence[int],
) -> Float[Tensor, "*frame encoding"]:
    r"""The nine numbers of a camera: translation, quaternion and the two fields of view.

    The fields of view are :math:`2 \arctan(H / 2 f_y)` and :math:`2 \arctan(W / 2 f_x)`, the
    vertical one first, in radians. Principal point and skew are not encoded.

    Args:
        world_to_camera: :math:`[R \mid t]`, ``[*frame 3 4]``.
        intrinsics: Pixels, ``[*frame 3 3]``.
        image_size: Height :math:`H` and width :math:`W` in pixels.

    Raises:
        ValueError: A shape is wrong, a rotation is none, or a focal length is not positive.

    Source: VGGT (arXiv 2503.11651), section 3.1. Home section: *Notation*.
    """
    require_cameras(world_to_camera, intrinsics)
    height, width = _height_and_width(image_size)
    focal_x, focal_y = intrinsics[..., 0, 0], intrinsics[..., 1, 1]
    _require_focal_lengths(torch.stack((focal_x, focal_y), dim=-1))
    quaternion = quaternion_from_rotation(world_to_camera[..., :3])
    ratios = torch.stack((height / 2 / focal_y, width / 2 / focal_x), dim=-1)
    return torch.cat((world_to_camera[..., 3], quaternion, 2 * ratios.atan()), dim=-1)


def decode_pose(
    encoding: Float[Tensor, "..."], image_size: Sequence[int]
) -> tuple[Float[Tensor, "*frame 3 4"], Float[Tensor, "*frame 3 3"]]:
    r"""The camera that nine numbers stand for: ``world_to_camera`` and intrinsics in pixels.

    The focal lengths are :math:`f_y = (H / 2) / \tan(\theta_v / 2)` and :math:`f_x` likewise, the
    principal point is :math:`(W / 2, H / 2)`, and there is no skew. The quaternion may have any
    length but zero.

    The camera head can give numbers that stand for no camera. A zero quaternion gives a rotation
    of NaN, a zero field of view an infinite focal length (without a finite gradient), and one
    above :math:`\pi` a negative focal length. ``unproject`` marks the points of such cameras as
    not valid.

    Args:
        encoding: Translation, quaternion :math:`x, y, z, w`, vertical and horizontal field of view
            in radians, ``[*frame 9]``.
        image_size: Height :math:`H` and width :math:`W` in pixels.

    Raises:
        ValueError: The last axis is not 9 long, or the image has no pixels.

    Source: VGGT (arXiv 2503.11651), section 3.1. Home section: *Notation*.
    """
    require_shape("encoding", encoding, (sum(ENCODING_PARTS),), "pass the camera head's output")
    translation, quaternion, angles = encoding.split(ENCODING_PARTS, dim=-1)
    rotation = rotation_from_quaternion(quaternion)
    height, width = _height_and_width(image_size)
    tangent_y, tangent_x = (angles / 2).tan().unbind(-1)
    focal_y, focal_x = height / 2 / tangent_y, width / 2 / tangent_x
    centre_y, centre_x = torch.full_like(focal_y, height / 2), torch.full_like(focal_x, width / 2)
    zero, one = torch.zeros_like(focal_x), torch.ones_like(focal_x)
    entries = (focal_x, zero, centre_x, zero, focal_y, centre_y, zero, zero, one)
    intrinsics = torch.stack(entries, dim=-1).unflatten(-1, (3, 3))
    return torch.cat((rotation, translation[..., None]), dim=-1), intrinsics


def require_cameras(world_to_camera: Tensor, intrinsics: Tensor) -> None:
    """Refuse cameras whose tensors have a wrong shape or differ in their leading axes.

    Raises:
        ValueError: They do.

    Home section: *Notation*.
    """
    require_shape("world_to_camera", world_to_camera, (3, 4), "leave out the row 0, 0, 0, 1")
    require_shape("intrinsics", intrinsics, (3, 3), "give one matrix for each camera")
    if world_to_camera.shape[:-2] != intrinsics.shape[:-2]:
        raise ValueError(
            "world_to_camera and intrinsics must have the same leading axes, got shapes "
            f"{tuple(world_to_camera.shape)} and {tuple(intrinsics.shape)}; expand the shorter one"
        )


def require_shape(name: str, tensor: Tensor, trailing: tuple[int, ...], fix: str) -> None:
    """Refuse a tensor whose last axes have other lengths than ``trailing``.

    Raises:
        ValueError: They do.

    Home section: *Notation*.
    """
    shape = tuple(tensor.shape)
    if shape[-len(trailing) :] != trailing:
        lengths = " by ".join(map(str, trailing))
        raise ValueError(f"{name} must end in axes of length {lengths}, got shape {shape}; {fix}")


def _four_products(rotation: Float[Tensor, "*frame 3 3"]) -> Float[Tensor, "*frame 4 4"]:
    """Four times the products of any two of x, y, z, w."""
    entries = rotation.flatten(-2).unbind(-1)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = entries
    symmetric = (xy + yx, xz + zx, yz + zy)
    turning = (zy - yz, xz - zx, yx - xy)
    rows = (
        *(1 + xx - yy - zz, symmetric[0], symmetric[1], turning[0]),
        *(symmetric[0], 1 - xx + yy - zz, symmetric[2], turning[1]),
        *(symmetric[1], symmetric[2], 1 - xx - yy + zz, turning[2]),
        *(turning[0], turning[1], turning[2], 1 + xx + yy + zz),
    )
    return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


def _require_rotation(rotation: Float[Tensor, "*frame 3 3"]) -> None:
    with torch.no_grad():
        products = (rotation[..., :, None, :] * rotation[..., None, :, :]).sum(-1)
        identity = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
        orthogonal = ((products - identity).abs() <= ORTHOGONALITY).flatten(-2).all(-1)
        turn = torch.linalg.cross(rotation[..., 0, :], rotation[..., 1, :])
        right_handed = (turn * rotation[..., 2, :]).sum(-1) > 0
        refused = int((~(orthogonal & right_handed)).sum())
    if refused:
        raise ValueError(
            f"a rotation must be orthogonal with determinant 1, {refused} of "
            f"{orthogonal.numel()} matrices are not; take out scale, shear and reflections"
        )


def _require_focal_lengths(focal: Float[Tensor, "*frame 2"]) -> None:
    if not ((focal > 0) & focal.isfinite()).all():
        raise ValueError(
            f"focal lengths must be positive and finite, got {focal.min().item():g} to "
            f"{focal.max().item():g}; give them in pixels, with x right, y down and z forward"
        )


def _height_and_width(image_size: Sequence[int]) -> tuple[int, int]:
    if len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(
            "image_size must be (height, width) of at least 1 pixel each, got "
            f"{tuple(image_size)}; use images.shape[-2:]"
        )
    return image_size[0], image_size[1]

"""How far a reconstruction is off: as it is, and after the similarity that fits it best.

A network that loses its coordinate frame is off in the first sense and not in the second. Errors
are of single frames, so that frames can be compared; a mean over them is that of the scene.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.similarity import fit_similarity

ROW_CHUNK = 256
"""Frames at a time that are paired with all others."""

# Share of the spread of the cameras below which two of them stand at one place.
SAME_PLACE = 1e-6


@dataclass(frozen=True)
class Geometry:
    """Points, depth and cameras of the frames of some scenes, true or reconstructed.

    Attributes:
        points: Each pixel's point in the world.
        depth: Distance of each pixel's point along the camera's z.
        world_to_camera: :math:`[R \\mid t]` of each frame.

    Home section: *What fails*.
    """

    points: Float[Tensor, "*scene frame height width 3"]
    depth: Float[Tensor, "*scene frame height width"]
    world_to_camera: Float[Tensor, "*scene frame 3 4"]


@dataclass(frozen=True)
class FrameErrors:
    """Errors of every frame.

    Attributes:
        points: Mean distance from the true point, in the unit of the true points.
        depth: Mean difference of depths over the true depth.
        rotation: Angle between the rotations, degrees.
        centre: Distance between the camera centres, in the unit of the true points.

    Home section: *What fails*.
    """

    points: Float[Tensor, "*scene frame"]
    depth: Float[Tensor, "*scene frame"]
    rotation: Float[Tensor, "*scene frame"]
    centre: Float[Tensor, "*scene frame"]


def frame_errors(said: Geometry, true: Geometry) -> FrameErrors:
    """Errors in the coordinates and the unit of length that both are given in.

    Raises:
        ValueError: The shapes differ.

    Home section: *What fails*.
    """
    _check(said, true)
    rotation, centre = rotation_and_centre(said.world_to_camera)
    true_rotation, true_centre = rotation_and_centre(true.world_to_camera)
    depth = (said.depth - true.depth).abs() / true.depth
    return FrameErrors(
        points=(said.points - true.points).norm(dim=-1).mean((-2, -1)),
        depth=depth.mean((-2, -1)),
        rotation=rotation_angle(rotation, true_rotation),
        centre=(centre - true_centre).norm(dim=-1),
    )


def aligned(said: Geometry, true: Geometry) -> Geometry:
    """A reconstruction moved by the similarity that brings its points closest to the true ones.

    Depths are scaled, cameras move along with the points. In float64.

    Raises:
        ValueError: The shapes differ, or as in ``fit_similarity``.

    Home section: *What fails*.
    """
    _check(said, true)
    cloud = said.points.flatten(-4, -2)
    fitted = fit_similarity(cloud, true.points.flatten(-4, -2))
    return Geometry(
        fitted.points(cloud).unflatten(-2, said.points.shape[-4:-1]),
        fitted.scale[..., None, None, None] * said.depth.to(fitted.scale),
        fitted.cameras(said.world_to_camera),
    )


def rotation_and_centre(
    world_to_camera: Float[Tensor, "*frame 3 4"],
) -> tuple[Float[Tensor, "*frame 3 3"], Float[Tensor, "*frame 3"]]:
    r"""Rotation :math:`R` and centre :math:`-R^\top t` of cameras, in float64.

    Home section: *What fails*.
    """
    rotation, shift = world_to_camera.double().split((3, 1), dim=-1)
    return rotation, -(rotation.mT @ shift)[..., 0]


def rotation_angle(
    one: Float[Tensor, "*frame 3 3"], other: Float[Tensor, "*frame 3 3"]
) -> Float[Tensor, "*frame"]:
    r"""Angle between rotations in degrees, :math:`2 \arcsin(\lVert R - R' \rVert_F / \sqrt 8)`.

    Home section: *What fails*.
    """
    chord = (one - other).flatten(-2).norm(dim=-1)
    return torch.rad2deg(2 * (chord / math.sqrt(8)).clamp(max=1).asin())


def centre_spread(world_to_camera: Float[Tensor, "*scene frame 3 4"]) -> Float[Tensor, "*scene"]:
    """Root mean square distance of the camera centres from their mean.

    Home section: *What fails*.
    """
    centre = rotation_and_centre(world_to_camera)[1]
    return (centre - centre.mean(-2, keepdim=True)).square().sum(-1).mean(-1).sqrt()


def relative_pose_accuracy(
    said: Float[Tensor, "frame 3 4"],
    true: Float[Tensor, "frame 3 4"],
    *,
    limit: float = 30.0,
) -> Float[Tensor, ""]:
    r"""Area under the accuracy of relative poses up to an angle, over all pairs of frames.

    .. math:: \frac{2}{S (S-1)} \sum_{i < j} \max(0,\ 1 - e_{ij} / \theta)

    with :math:`e_{ij}` the larger of the angle between the rotations from camera :math:`i` to
    :math:`j` and the angle between the directions of camera :math:`j` seen from :math:`i`. It does
    not feel a similarity. The direction of a reversed baseline counts as 180 degrees. A true pair
    at one place has no direction, and counts by its rotation.

    Args:
        said: Cameras of one scene, two or more.
        true: The true cameras.
        limit: :math:`\theta`, degrees.

    Raises:
        ValueError: The shapes differ, there is a single frame, or the limit is not positive.

    Source: the AUC of PoseDiffusion (arXiv 2306.15667) as an integral in place of a histogram.
    Home section: *What fails*.
    """
    if said.shape != true.shape or len(said) < 2 or not limit > 0:
        raise ValueError(
            "said and true must be the cameras of the same two or more frames and the limit be "
            f"positive, got shapes {tuple(said.shape)} and {tuple(true.shape)} and {limit}"
        )
    frames, total = len(said), said.new_zeros((), dtype=torch.float64)
    for start in range(0, frames, ROW_CHUNK):
        rows = slice(start, min(start + ROW_CHUNK, frames))
        error = _pair_angles(rotation_and_centre(said), rotation_and_centre(true), rows)
        later = torch.arange(frames, device=error.device)
        after = later > later[rows, None]
        total += ((1 - error / limit).clamp(min=0) * after).sum()
    return total * 2 / (frames * (frames - 1))


def _pair_angles(
    said: tuple[Tensor, Tensor], true: tuple[Tensor, Tensor], rows: slice
) -> Float[Tensor, "row frame"]:
    """The larger of the two angles of the pairs of some frames with all."""
    # tr((R_i' R_j'^T)(R_i R_j^T)^T) is the inner product of the turns R_i^T R_i' and R_j^T R_j'.
    turn = (true[0].mT @ said[0]).flatten(1)
    chord = (turn[rows, None] - turn).norm(dim=-1)
    rotation = torch.rad2deg(2 * (chord / math.sqrt(8)).clamp(max=1).asin())
    seen, straight = (
        (turns[rows, None] @ (centre - centre[rows, None])[..., None])[..., 0]
        for turns, centre in (said, true)
    )
    length = straight.norm(dim=-1)
    spread = (true[1] - true[1].mean(0)).norm(dim=-1).max()
    direction = _direction_angle(seen, straight)
    return torch.where(length > SAME_PLACE * spread, torch.maximum(rotation, direction), rotation)


def _direction_angle(
    one: Float[Tensor, "*pair 3"], other: Float[Tensor, "*pair 3"]
) -> Float[Tensor, "*pair"]:
    crossed = torch.linalg.cross(one, other).norm(dim=-1)
    return torch.rad2deg(torch.atan2(crossed, (one * other).sum(-1)))


def _check(said: Geometry, true: Geometry) -> None:
    shapes = [
        (tuple(g.points.shape), tuple(g.depth.shape), tuple(g.world_to_camera.shape))
        for g in (said, true)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"a reconstruction must have the shapes of the truth, got {shapes[0]} and {shapes[1]};"
            " compare the same frames"
        )

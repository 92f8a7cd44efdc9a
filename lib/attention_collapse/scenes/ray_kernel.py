"""The first solid along each ray on a CUDA device, without the distances to the others.

Importing this module needs Triton, which torch brings along where CUDA is; it is imported where it
runs. Kernels are marked ``no_type_check``: Triton compiles their source, which a wrapper would
hide.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

# Rays of a program; one ray stays in registers while the program looks at one solid after another.
RAYS = 256

# Numbers of a solid: centre, half size, cosine and sine of its yaw.
_ENTRIES = tl.constexpr(8)
_INFINITE = tl.constexpr(float("inf"))


@triton.jit
@no_type_check
def _ball_distance(ball, x, y, z, along_x, along_y, along_z, square):
    """As ``ball_distances`` of one ball."""
    x, y, z = x - tl.load(ball), y - tl.load(ball + 1), z - tl.load(ball + 2)
    radius = tl.load(ball + 3)
    half_slope = x * along_x + y * along_y + z * along_z
    constant = x * x + y * y + z * z - radius * radius
    discriminant = half_slope * half_slope - square * constant
    distance = -(half_slope + tl.sqrt(tl.maximum(discriminant, 0.0))) / square
    return tl.where((discriminant > 0) & (distance > 0), distance, _INFINITE)


@triton.jit
@no_type_check
def _narrow(enter, leave, begin, along, half):
    """Where a ray is in one slab more; what is no number stays none and ends as a miss."""
    inverse = 1 / along
    one, other = (-half - begin) * inverse, (half - begin) * inverse
    first = tl.minimum(one, other, propagate_nan=tl.PropagateNan.ALL)
    last = tl.maximum(one, other, propagate_nan=tl.PropagateNan.ALL)
    enter = tl.maximum(enter, first, propagate_nan=tl.PropagateNan.ALL)
    return enter, tl.minimum(leave, last, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
@no_type_check
def _block_distance(block, x, y, z, along_x, along_y, along_z):
    """As ``block_distances`` of one block."""
    x, y, z = x - tl.load(block), y - tl.load(block + 1), z - tl.load(block + 2)
    cosine, sine = tl.load(block + 6), tl.load(block + 7)
    x, z = cosine * x - sine * z, sine * x + cosine * z
    along_x, along_z = cosine * along_x - sine * along_z, sine * along_x + cosine * along_z
    enter, leave = x * 0, x * 0 + _INFINITE
    enter, leave = _narrow(enter, leave, x, along_x, tl.load(block + 3))
    enter, leave = _narrow(enter, leave, y, along_y, tl.load(block + 4))
    enter, leave = _narrow(enter, leave, z, along_z, tl.load(block + 5))
    return tl.where(enter < leave, enter, _INFINITE)


@triton.jit
@no_type_check
def _nearest_kernel(
    origins, directions, table, distances, indices, rays, origin_step, origin_ray, direction_step,
    direction_ray, balls, solids, RAYS: tl.constexpr,
):  # fmt: skip
    frame, ray = tl.program_id(1).to(tl.int64), tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    known = ray < rays
    start = origins + frame * origin_step + ray * origin_ray
    aim = directions + frame * direction_step + ray * direction_ray
    x, y, z = (
        tl.load(start, mask=known, other=0.0),
        tl.load(start + 1, mask=known, other=0.0),
        tl.load(start + 2, mask=known, other=0.0),
    )
    along_x, along_y, along_z = (
        tl.load(aim, mask=known, other=1.0),
        tl.load(aim + 1, mask=known, other=1.0),
        tl.load(aim + 2, mask=known, other=1.0),
    )
    square = along_x * along_x + along_y * along_y + along_z * along_z
    least, which = tl.full([RAYS], float("inf"), tl.float32), tl.zeros([RAYS], tl.int32)
    solid = table + frame * solids * _ENTRIES
    for ball in range(0, balls):
        found = _ball_distance(solid, x, y, z, along_x, along_y, along_z, square)
        which = tl.where(found < least, ball, which)
        least = tl.minimum(least, found)
        solid += _ENTRIES
    for block in range(balls, solids):
        found = _block_distance(solid, x, y, z, along_x, along_y, along_z)
        which = tl.where(found < least, block, which)
        least = tl.minimum(least, found)
        solid += _ENTRIES
    at = frame * rays + ray
    tl.store(distances + at, least, mask=known)
    tl.store(indices + at, which.to(tl.int64), mask=known)


@torch.library.custom_op("attention_collapse::nearest_solid", mutates_args=())
def nearest_solid(
    origins: Tensor, directions: Tensor, solids: Tensor, balls: int
) -> tuple[Tensor, Tensor]:
    """How far along each ray the first solid begins, and which; ``Solids.nearest`` in one pass.

    Args:
        origins: starts of the rays, ``[frame ray 3]`` or one for all rays of a frame.
        directions: of the rays, ``[frame ray 3]`` or one for all rays of a frame.
        solids: ``[frame solid 8]``, centre, half size, cosine and sine of the yaw of each.
        balls: how many of the solids are balls, which come first.

    Home section: *mini-VGGT*.
    """
    frames, rays = _frames_and_rays(origins, directions)
    distances = origins.new_empty(frames, rays)
    indices = origins.new_empty(frames, rays, dtype=torch.int64)
    if not distances.numel():
        return distances, indices
    origins, directions, solids = (each.contiguous() for each in (origins, directions, solids))
    steps = [(each.stride(0), 3 * (each.shape[1] > 1)) for each in (origins, directions)]
    _nearest_kernel[(triton.cdiv(rays, RAYS), frames)](
        origins,
        directions,
        solids,
        distances,
        indices,
        rays,
        *steps[0],
        *steps[1],
        balls,
        solids.shape[1],
        RAYS=RAYS,
    )
    return distances, indices


@nearest_solid.register_fake
def _(origins: Tensor, directions: Tensor, solids: Tensor, balls: int) -> tuple[Tensor, Tensor]:
    shape = _frames_and_rays(origins, directions)
    return origins.new_empty(shape), origins.new_empty(shape, dtype=torch.int64)


def _frames_and_rays(origins: Tensor, directions: Tensor) -> tuple[int, int]:
    return torch.broadcast_shapes(origins.shape[:2], directions.shape[:2])

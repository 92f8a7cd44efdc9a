"""The kernel of rays against the distances to every solid.

``pytest -m gpu`` on a CUDA device; ``TRITON_INTERPRET=1`` runs it on the CPU.
"""

import pytest
import torch

from attention_collapse.scenes.solids import Solids
from kernel_device import DEVICE, MARKS, skip_without_kernels
from tolerances import RAY_FLOAT32

skip_without_kernels()

pytestmark = MARKS


def uniform(*shape, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * (2 * torch.rand(*shape, generator=generator) - 1).to(DEVICE)


def draw_solids(frames, balls, blocks):
    """Solids about the origin; the last of each kind has no size and is met by no ray."""
    count = balls + blocks
    half_size = 0.3 + 0.2 * uniform(frames, count, 3, seed=2)
    for kind in (slice(0, balls), slice(balls, count)):
        half_size[:, kind][:, 1:][:, -1:] = torch.nan
    yaw = uniform(frames, count, seed=3, scale=3.0)
    heading = torch.stack([yaw.cos(), yaw.sin()], dim=-1)
    return Solids(uniform(frames, count, 3, seed=1, scale=2.0), half_size, heading, balls)


@pytest.mark.parametrize(("balls", "blocks"), [(3, 4), (0, 3), (2, 0), (0, 0)])
@pytest.mark.parametrize("alike", ["origin", "direction", "neither"])
def test_the_first_solid_is_the_nearest_of_all(balls, blocks, alike):
    frames, rays = 3, 300
    solids = draw_solids(frames, balls, blocks)
    origins = uniform(frames, 1 if alike == "origin" else rays, 3, seed=4, scale=3.0)
    aims = uniform(frames, 1 if alike == "direction" else rays, 3, seed=5)
    found, index = solids._nearest_by_kernel(origins, aims)
    every = torch.cat(solids.distances(origins, aims))
    every = torch.cat([every, torch.full_like(found, torch.inf)[None]])
    torch.testing.assert_close(found, every.amin(0), rtol=RAY_FLOAT32, atol=0)
    hit = found.isfinite()
    assert hit.any() == (balls + blocks > 0)
    assert torch.equal(index[hit], every.argmin(0)[hit])


@pytest.mark.parametrize("alike", [True, False])
def test_no_rays_meet_nothing(alike):
    """As where a picture has no edges."""
    origins = uniform(2, 1 if alike else 0, 3, seed=4)
    found = draw_solids(2, 2, 2)._nearest_by_kernel(origins, uniform(2, 0, 3, seed=5))
    assert [tuple(each.shape) for each in found] == [(2, 0), (2, 0)]


def test_a_ray_from_nowhere_meets_nothing():
    solids, aims = draw_solids(1, 0, 0), uniform(1, 4, 3, seed=5)
    distance, _ = solids._nearest_by_kernel(torch.full_like(aims, torch.inf), aims)
    assert (distance == torch.inf).all()


def test_one_frame_needs_no_axis():
    solids = draw_solids(1, 2, 2)
    alone = Solids(*(table[0] for table in (solids.centre, solids.half_size, solids.heading)), 2)
    origin, aims = uniform(1, 3, seed=4, scale=3.0), uniform(200, 3, seed=5)
    expected = solids._nearest_by_kernel(origin[None], aims[None])
    assert all(map(torch.equal, alone._nearest_by_kernel(origin, aims), (e[0] for e in expected)))

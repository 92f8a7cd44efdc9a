"""Where rays meet balls and blocks."""

import math
from dataclasses import replace

import pytest
import torch

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.palette import wood
from attention_collapse.scenes.solids import Solid, Solids, turn
from tolerances import FLOAT64, RAY_ROOT

WOOD = wood(Draws.from_seed(0))
BALL = Solid((0.3, -0.2, 2.0), (0.7, 0.7, 0.7), WOOD, is_ball=True)
BLOCK = Solid((-0.4, 0.1, 2.5), (0.5, 0.8, 0.3), WOOD, yaw=0.6)


def stack(*solids: Solid) -> Solids:
    return Solids.stack(solids, dtype=torch.float64, device=torch.device("cpu"))


@pytest.fixture
def rays() -> torch.Tensor:
    """Directions into a cone about the solids."""
    generator = torch.Generator().manual_seed(2)
    aside = 1.2 * torch.rand(400, 2, generator=generator, dtype=torch.float64) - 0.6
    return torch.cat([aside, torch.ones(400, 1, dtype=torch.float64)], dim=1)


@pytest.mark.parametrize("solid", [BALL, BLOCK])
def test_rays_stop_at_the_surface_and_nowhere_before(solid: Solid, rays, signed_distance):
    origin = torch.tensor([[0.1, 0.2, -0.5]], dtype=torch.float64)
    distances = torch.cat(stack(solid).distances(origin, rays))[0]
    hit = distances.isfinite()
    assert 50 < hit.sum() < 350
    ends = origin + distances[hit, None] * rays[hit]
    assert signed_distance(solid, ends).abs().max() < RAY_ROOT
    steps = torch.linspace(0, 1, 200, dtype=torch.float64)[:-1, None, None]
    reach = torch.where(hit, distances, 6.0)[:, None]
    assert (signed_distance(solid, origin + steps * reach * rays) > 0).all()


def test_rays_may_have_their_own_origins_and_one_direction(rays):
    solids = stack(BALL, BLOCK)
    origins = -0.3 * rays
    direction = torch.tensor([[0.05, 0.02, 1.0]], dtype=torch.float64)
    together = solids.nearest(origins, direction)
    apart = zip(*(solids.nearest(origin[None], direction) for origin in origins), strict=True)
    assert all(map(torch.equal, together, map(torch.cat, apart)))


def test_the_nearest_of_the_solids_that_a_ray_meets_comes_with_its_number(rays):
    origin = torch.tensor([[0.1, 0.2, -0.5]], dtype=torch.float64)
    balls = [replace(BALL, centre=(0.9 * place - 0.9, 0.3, 2.0 + place)) for place in range(3)]
    blocks = [BLOCK, replace(BLOCK, centre=(0.2, 0.0, 1.5))]
    solids = stack(*balls, *blocks)
    distance, index = solids.nearest(origin, rays)
    every = torch.cat(solids.distances(origin, rays))
    assert torch.equal(distance, every.amin(0))
    hit = distance.isfinite()
    assert torch.equal(index[hit], every.argmin(0)[hit])
    assert 0 < (index[hit] < len(balls)).sum() < hit.sum()


@pytest.mark.parametrize(("x", "expected"), [(0.0, 1.7), (0.6, math.inf)])
def test_rays_along_an_axis_of_a_block(x: float, expected: float):
    block = Solid((0.0, 0.0, 2.0), (0.5, 0.5, 0.3), WOOD)
    origin = torch.tensor([[x, 0.2, 0.0]], dtype=torch.float64)
    ahead = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    assert torch.cat(stack(block).distances(origin, ahead)).item() == pytest.approx(
        expected, abs=FLOAT64
    )


def test_solids_behind_are_not_met():
    origin = torch.zeros(1, 3, dtype=torch.float64)
    back = torch.tensor([[0.0, 0.0, -1.0]], dtype=torch.float64)
    assert stack(BALL, BLOCK).nearest(origin, back)[0].isinf().all()


def test_turning_by_the_yaw_gives_the_coordinates_along_the_turned_axes():
    heading = torch.tensor([math.cos(math.pi / 6), 0.5], dtype=torch.float64)
    vector = torch.tensor([1.0, 5.0, 0.0], dtype=torch.float64)
    turned = torch.stack(turn(vector, heading)).tolist()
    assert turned == pytest.approx([math.cos(math.pi / 6), 5.0, 0.5], abs=FLOAT64)

"""What rays meet, and where the light falls."""

import pytest
import torch

from attention_collapse.scenes.casting import Hits, cast, lit
from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.noise import Lattice
from attention_collapse.scenes.palette import paint
from attention_collapse.scenes.solids import Solid
from attention_collapse.scenes.world import Light, Room, World
from tolerances import FINITE_DIFFERENCE, FLOAT64, RAY_ROOT

PAINT = paint(Draws.from_seed(0))
CUBE = Room((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (PAINT,) * 6)
LAMP = Light((0.0, 0.9, 0.0), ambient=0.2, strength=1.0, reach=2.0)
SUN = Light((1.0, 1.0, 0.0), ambient=0.2, strength=1.0, is_sun=True)
BALL = Solid((0.0, 0.2, 0.0), (0.2, 0.2, 0.2), PAINT, is_ball=True)
BLOCK = Solid((0.0, -0.9, 0.7), (0.1, 0.1, 0.1), PAINT)


def cube_with(*solids: Solid, light: Light = LAMP) -> World:
    cpu = torch.device("cpu")
    lattice = Lattice.sample(Draws.from_seed(0), dtype=torch.float64, device=cpu)
    return World.build(CUBE, solids, light=light, lattice=lattice)


def shoot(world: World, origin: list[float], *directions: list[float]) -> Hits:
    rays = torch.tensor(directions, dtype=torch.float64)
    return cast(world, torch.tensor(origin, dtype=torch.float64), rays)


@pytest.fixture
def hits(world: World) -> Hits:
    """Rays from a place in the furnished room: a third anywhere, the rest to its middle."""
    generator = torch.Generator().manual_seed(3)
    directions = torch.randn(1500, 3, generator=generator, dtype=torch.float64)
    directions[500:] = 0.4 * directions[500:] + torch.tensor([-2.5, -1.0, -0.3])
    return cast(world, torch.tensor([2.5, 1.4, 0.3], dtype=torch.float64), directions)


def test_faces_of_the_room_in_order():
    axes = torch.eye(3, dtype=torch.float64)
    directions = torch.stack([-axes, axes], dim=1).reshape(6, 3)
    hits = shoot(cube_with(BLOCK), [0.2, 0.1, -0.3], *directions.tolist())
    assert hits.surface.tolist() == [0, 1, 2, 3, 4, 5]
    assert hits.depth.tolist() == pytest.approx([1.2, 0.8, 1.1, 0.9, 0.7, 1.3], abs=FLOAT64)
    assert torch.equal(hits.normal, -directions)


def test_hits_lie_on_the_nearest_surface(furnished, hits, open_space):
    room, solids, _ = furnished
    assert open_space(room, solids, hits.points).abs().max() < RAY_ROOT
    origin = torch.tensor([2.5, 1.4, 0.3], dtype=torch.float64)
    for part in torch.linspace(0, 0.999, 60).tolist():
        between = origin + part * (hits.points - origin)
        assert (open_space(room, solids, between) > 0).all()


def test_rays_meet_faces_balls_and_blocks(furnished, hits):
    _, solids, _ = furnished
    balls = sum(solid.is_ball for solid in solids)
    kinds = torch.bucketize(hits.surface, torch.tensor([6, 6 + balls]), right=True)
    assert torch.bincount(kinds, minlength=3).min() > 50


def test_normals_are_gradients_of_the_distance(furnished, hits, open_space):
    room, solids, _ = furnished
    step = 1e-6
    # Off the surface by a little, where the distance is smooth.
    points = hits.points + 2 * step * hits.normal
    slopes = [
        open_space(room, solids, points + step * axis)
        - open_space(room, solids, points - step * axis)
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    gradient = torch.stack(slopes, dim=-1) / (2 * step)
    error = (gradient - hits.normal).abs().amax(-1)
    # Within a step of an edge the nearest surface changes.
    assert error.median() < FINITE_DIFFERENCE
    assert error.quantile(0.999) < FINITE_DIFFERENCE


def test_a_ball_shades_the_floor_below_the_lamp():
    world = cube_with(BALL)
    hits = shoot(world, [0.0, -0.5, 0.0], [0.0, -1.0, 0.0], [0.0, -1.0, 1.6], [0.0, 1.0, 0.0])
    # The floor below the ball, the floor aside, the ball's own lower side.
    assert lit(world, hits).tolist() == [False, True, False]


def test_the_sun_throws_the_shadow_sideways():
    world = cube_with(BALL, light=SUN)
    # The shadow of the ball's centre falls from (0, 0.2) to x = 0 - 1.2 on the floor: past the
    # wall at x = -1, which it meets at y = 0.2 - 1.
    hits = shoot(world, [0.0, -0.5, 0.0], [-1.0, -0.3, 0.0], [0.0, -1.0, 0.0], [-1.0, 0.5, 0.0])
    assert hits.surface.tolist() == [0, 2, 0]
    assert lit(world, hits).tolist() == [False, True, True]


def test_light_reaches_what_nothing_stands_before(world, furnished, hits, open_space):
    room, solids, light = furnished
    to_light = torch.tensor(light.position, dtype=torch.float64) - hits.points
    cosine = (hits.normal * to_light).sum(-1) / to_light.norm(dim=-1)
    # From 1 cm off the surface to the lamp, which hangs 30 cm below the ceiling.
    start = hits.points + 0.01 * hits.normal
    steps = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None, None]
    clearance = open_space(room, solids, start + steps * (to_light - 0.01 * hits.normal)).amin(0)
    clear = (cosine > 0.1) & (clearance > 0.005)
    blocked = (cosine > 0.1) & (clearance < -0.02)
    bright = lit(world, hits)
    assert bright[clear].all()
    assert not bright[blocked].any()
    assert min(clear.sum(), blocked.sum()) > 50


def test_charts_measure_length_and_height_on_faces():
    hits = shoot(cube_with(BLOCK), [0.2, 0.1, -0.3], [1.0, 0.1, 0.2], [0.1, -1.0, 0.2])
    assert torch.equal(hits.chart[0], hits.points[0, [2, 1]])
    assert torch.equal(hits.chart[1], hits.points[1, [0, 2]])
    assert torch.equal(hits.local, hits.points)


def test_points_on_a_solid_are_given_in_its_own_axes():
    hits = shoot(cube_with(BLOCK), [0.0, -0.9, 0.0], [0.0, 0.0, 1.0])
    assert hits.surface.tolist() == [6]
    assert hits.local[0].tolist() == pytest.approx([0.0, 0.0, -0.1], abs=FLOAT64)
    assert hits.chart[0].tolist() == pytest.approx([0.0, 0.0], abs=FLOAT64)

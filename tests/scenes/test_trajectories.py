"""Where the cameras are."""

import itertools
import math

import pytest
import torch

from attention_collapse.scenes.cameras import camera_centre
from attention_collapse.scenes.corridor import Corridor
from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.room import furnished_room
from attention_collapse.scenes.trajectories import ARC, OrbitPath, WalkPath
from tolerances import FLOAT64

SEEDS = range(8)


@pytest.mark.parametrize("kind", [OrbitPath, WalkPath])
def test_cameras_are_rotations(kind: type):
    path = kind.sample(Draws.from_seed(0))
    for frame in range(50):
        rotation = path.camera(frame)[:, :3]
        identity = torch.eye(3, dtype=torch.float64)
        assert torch.allclose(rotation @ rotation.T, identity, rtol=0, atol=FLOAT64)
        assert torch.linalg.det(rotation).item() == pytest.approx(1, abs=FLOAT64)
        # The world's y axis is up in the image: it points against the camera's y axis.
        assert rotation[1, 1] < -0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_orbiting_cameras_are_in_the_open_space_and_look_inwards(seed: int, open_space):
    draws = Draws.from_seed(seed)
    room, solids, _ = furnished_room(draws)
    path = OrbitPath.sample(draws)
    for azimuth in torch.linspace(0, 2 * math.pi, 12).tolist():
        turned = OrbitPath(azimuth, path.starts)
        cameras = torch.stack([turned.camera(frame) for frame in range(40)])
        centres = camera_centre(cameras)
        assert open_space(room, solids, centres).min() > 0.2
        inwards = -torch.nn.functional.normalize(centres[:, [0, 2]], dim=-1)
        assert ((cameras[:, 2, [0, 2]] * inwards).sum(-1) > 0.8).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_walking_cameras_are_in_the_open_space(seed: int, open_space):
    draws = Draws.from_seed(seed)
    path = WalkPath.sample(draws)
    corridor = Corridor.sample(draws, length=path.z(100))
    solids = [solid for station in corridor.stations for solid in station]
    centres = camera_centre(torch.stack([path.camera(frame) for frame in range(101)]))
    assert open_space(corridor.room, solids, centres).min() > 0.2


def test_every_prefix_of_an_orbit_spreads_over_the_arc():
    path = OrbitPath.sample(Draws.from_seed(0))
    x, _, z = camera_centre(torch.stack([path.camera(k) for k in range(200)])).unbind(-1)
    offset = torch.atan2(z, x) - (path.azimuth - ARC / 2)
    place = (offset.remainder(2 * math.pi) / ARC).tolist()
    assert max(place) <= 1
    for count in (2, 3, 5, 8, 21, 50, 200):
        around = sorted(place[:count])
        around.append(around[0] + 1)
        gaps = [after - before for before, after in itertools.pairwise(around)]
        # Points k * golden section on a circle: gaps stay below 2 / count (three-gap theorem).
        assert max(gaps) < 2 / count


def test_a_walk_has_a_steady_step():
    path = WalkPath.sample(Draws.from_seed(0))
    centres = camera_centre(torch.stack([path.camera(frame) for frame in range(60)]))
    steps = centres[:, 2].diff()
    expected = torch.full_like(steps, path.step)
    assert torch.allclose(steps, expected, rtol=0, atol=FLOAT64)

"""Solid noise."""

import itertools

import pytest
import torch

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.noise import OCTAVES, PERIOD, Lattice, fractal_noise, value_noise
from tolerances import FLOAT64

CPU = torch.device("cpu")


@pytest.fixture
def lattice() -> Lattice:
    return Lattice.sample(Draws.from_seed(3), dtype=torch.float64, device=CPU)


@pytest.fixture
def points() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 40 * torch.rand(500, 3, generator=generator, dtype=torch.float64) - 20


def corner_value(lattice: Lattice, x: int, y: int, z: int) -> float:
    """The value of a lattice point, with Python integers."""
    order = lattice.permutation.tolist()
    hashed = order[(order[(order[x % PERIOD] + y) % PERIOD] + z) % PERIOD]
    return lattice.values[hashed].item()


def test_integer_points_have_the_values_of_the_lattice(lattice: Lattice):
    corners = [(0, 0, 0), (5, -7, 9), (-1, -2, -3), (PERIOD + 1, 2, -PERIOD)]
    noise = value_noise(torch.tensor(corners, dtype=torch.float64), lattice)
    expected = [corner_value(lattice, *corner) for corner in corners]
    assert noise.tolist() == pytest.approx(expected, abs=FLOAT64)


def test_the_middle_of_a_cell_is_the_mean_of_its_corners(lattice: Lattice):
    noise = value_noise(torch.tensor([[4.5, -2.5, 7.5]], dtype=torch.float64), lattice)
    corners = itertools.product((4, 5), (-3, -2), (7, 8))
    mean = sum(corner_value(lattice, *corner) for corner in corners) / 8
    assert noise.item() == pytest.approx(mean, abs=FLOAT64)


def test_noise_is_smooth_and_bounded(lattice: Lattice, points: torch.Tensor):
    step = 1e-4
    noise = value_noise(points, lattice)
    for axis in range(3):
        moved = points + step * torch.eye(3, dtype=torch.float64)[axis]
        # The steepest smooth step between -1 and 1 has slope 2 * 3/2.
        assert ((value_noise(moved, lattice) - noise).abs() <= 3 * step).all()
    assert noise.abs().max() <= 1
    assert noise.std() > 0.2


def test_noise_continues_across_cell_walls(lattice: Lattice, points: torch.Tensor):
    walls = points.clone()
    walls[:, 0] = walls[:, 0].round()
    aside = torch.tensor([1e-9, 0, 0], dtype=torch.float64)
    jump = value_noise(walls + aside, lattice) - value_noise(walls - aside, lattice)
    assert jump.abs().max() < 1e-8


def test_octaves_fade_with_the_pixel(lattice: Lattice, points: torch.Tensor):
    def spread(footprint: float) -> float:
        pixel = torch.full((len(points),), footprint, dtype=torch.float64)
        return fractal_noise(points, lattice, footprint=pixel).std().item()

    assert spread(0.5 / OCTAVES[0][0]) == 0.0
    sharp, middle, coarse = spread(1e-4), spread(0.25 / OCTAVES[2][0]), spread(0.3 / OCTAVES[0][0])
    assert sharp > middle > coarse > 0
    assert spread(0.25 / OCTAVES[-1][0]) == sharp


def test_the_lattice_follows_the_seed(lattice: Lattice):
    again = Lattice.sample(Draws.from_seed(3), dtype=torch.float32, device=CPU)
    other = Lattice.sample(Draws.from_seed(4), dtype=torch.float64, device=CPU)
    assert torch.equal(again.permutation, lattice.permutation)
    assert torch.equal(again.values, lattice.values.float())
    assert not torch.equal(other.permutation, lattice.permutation)

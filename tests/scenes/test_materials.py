"""Patterns and colours."""

import dataclasses

import pytest
import torch

from attention_collapse.scenes.draws import Draws
from attention_collapse.scenes.materials import Material, Materials, Pattern, albedo, pulse
from attention_collapse.scenes.noise import Lattice
from tolerances import FLOAT64, PATTERN_AREA, PULSE_SAMPLING

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
CPU = torch.device("cpu")
PLAIN = Material(
    base=BLACK,
    accent=WHITE,
    pattern=Pattern.STRIPES,
    period=(0.5, 0.25),
    offset=(0.1, 0.2, 0.3),
    contrast=0.0,
)


def shares(material: Material, chart: torch.Tensor, *, pixel: float) -> torch.Tensor:
    """Brightness of a black and white surface: the share of the accent."""
    rays = len(chart)
    table = Materials.stack([material], dtype=torch.float64, device=CPU)
    colour = albedo(
        table.of(torch.zeros(rays, dtype=torch.int64)),
        points=torch.zeros(rays, 3, dtype=torch.float64),
        chart=chart,
        footprint=torch.full((rays,), pixel, dtype=torch.float64),
        lattice=Lattice.sample(Draws.from_seed(0), dtype=torch.float64, device=CPU),
    )
    return colour[:, 0]


def grid(count: int, size: tuple[float, float]) -> torch.Tensor:
    """Midpoints of count x count cells of a rectangle."""
    unit = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.cartesian_prod(unit * size[0], unit * size[1])


@pytest.mark.parametrize("width", [0.01, 0.3, 1.0, 2.7])
def test_pulse_is_the_mean_of_the_train_over_the_window(width: float):
    position = torch.linspace(-2, 2, 41, dtype=torch.float64)
    window = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000 - 0.5
    train = ((position[:, None] + width * window) % 1 < 0.3).double()
    filtered = pulse(position, duty=0.3, width=torch.full_like(position, width))
    assert torch.allclose(filtered, train.mean(-1), rtol=0, atol=PULSE_SAMPLING)


def test_a_window_of_one_period_sees_the_duty():
    position = torch.linspace(-3, 3, 50, dtype=torch.float64)
    filtered = pulse(position, duty=0.2, width=torch.ones_like(position))
    assert torch.allclose(filtered, torch.full_like(position, 0.2), rtol=0, atol=FLOAT64)


def test_stripes_and_checkers_alternate():
    chart = torch.tensor([[0.1, 0.05], [0.4, 0.05], [0.1, 0.2], [0.4, 0.2]], dtype=torch.float64)
    checker = dataclasses.replace(PLAIN, pattern=Pattern.CHECKER)
    assert shares(PLAIN, chart, pixel=1e-4).tolist() == pytest.approx([1, 0, 1, 0], abs=FLOAT64)
    assert shares(checker, chart, pixel=1e-4).tolist() == pytest.approx([0, 1, 1, 0], abs=FLOAT64)


def test_joints_have_their_width_and_every_other_row_is_shifted():
    bricks = dataclasses.replace(PLAIN, pattern=Pattern.BRICKS, joint=0.02)
    area = shares(bricks, grid(500, (0.5, 0.5)), pixel=1e-6).mean().item()
    assert area == pytest.approx(1 - (1 - 0.02 / 0.5) * (1 - 0.02 / 0.25), abs=PATTERN_AREA)
    ends = torch.tensor([[0.49, 0.1], [0.49, 0.35], [0.24, 0.1], [0.24, 0.35]], dtype=torch.float64)
    assert shares(bricks, ends, pixel=1e-3).tolist() == pytest.approx([1, 0, 0, 1], abs=FLOAT64)


@pytest.mark.parametrize("pattern", [Pattern.STRIPES, Pattern.CHECKER, Pattern.BRICKS])
def test_coarse_pixels_see_the_mean_of_a_pattern(pattern: Pattern):
    material = dataclasses.replace(PLAIN, pattern=pattern, joint=0.02)
    chart = grid(400, (1.0, 1.0))
    sharp, blurred = shares(material, chart, pixel=1e-6), shares(material, chart, pixel=5.0)
    assert blurred.std() < 0.05 * sharp.std()
    assert blurred.mean().item() == pytest.approx(sharp.mean().item(), abs=PATTERN_AREA)


def test_bricks_differ_in_brightness_and_are_even_inside():
    bricks = dataclasses.replace(PLAIN, base=WHITE, accent=WHITE, pattern=Pattern.BRICKS, tint=0.3)
    # Bricks of 0.5 x 0.25, each at its two ends; the second row is shifted by half a brick.
    ends = [[0.02, 0.1], [0.46, 0.2], [0.52, 0.1], [0.96, 0.1], [0.27, 0.3], [0.71, 0.45]]
    shades = shares(bricks, torch.tensor(ends, dtype=torch.float64), pixel=1e-4).tolist()
    assert shades[::2] == shades[1::2]
    assert len(set(shades)) == 3
    assert all(0.7 <= shade <= 1.3 for shade in shades)


def test_each_ray_gets_the_material_of_its_surface():
    red = dataclasses.replace(PLAIN, base=(1.0, 0.0, 0.0))
    table = Materials.stack([PLAIN, red], dtype=torch.float64, device=CPU)
    assert table.of(torch.tensor([1, 0, 1])).base[:, 0].tolist() == [1.0, 0.0, 1.0]

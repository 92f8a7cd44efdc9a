"""Shading and anti-aliasing."""

import math

import pytest
import torch

from attention_collapse.scenes.cameras import intrinsics_matrix, look_at
from attention_collapse.scenes.casting import Hits
from attention_collapse.scenes.materials import DISPLAY_GAMMA
from attention_collapse.scenes.rendering import Frame, irradiance, render
from attention_collapse.scenes.world import Light, Lights, World
from tolerances import FLOAT64


@pytest.fixture
def camera() -> torch.Tensor:
    return look_at((2.6, 1.5, 0.4), (0.0, 0.6, 0.1))


def view(world: World, camera: torch.Tensor, image_size: tuple[int, int]) -> Frame:
    return render(
        world,
        world_to_camera=camera,
        intrinsics=intrinsics_matrix(image_size),
        image_size=image_size,
    )


def lights(light: Light) -> Lights:
    return Lights.build(light, dtype=torch.float64, device=torch.device("cpu"))


def hits_at(point: list[float], normal: list[float]) -> Hits:
    one = torch.ones(1, dtype=torch.float64)
    place = torch.tensor([point], dtype=torch.float64)
    towards = torch.tensor([normal], dtype=torch.float64)
    return Hits(one, torch.zeros(1, dtype=torch.int64), place, towards, place, place[:, :2])


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
def test_lambert_law_and_half_the_light_at_the_reach(angle: float):
    lamp = lights(Light((0.0, 3.0, 0.0), ambient=0.25, strength=0.8, reach=3.0))
    hits = hits_at([0.0, 0.0, 0.0], [math.sin(angle), math.cos(angle), 0.0])
    bright = irradiance(lamp, hits, torch.tensor([True])).item()
    shaded = irradiance(lamp, hits, torch.tensor([False])).item()
    assert bright == pytest.approx(0.25 + 0.4 * max(math.cos(angle), 0), abs=FLOAT64)
    assert shaded == 0.25


def test_the_sun_is_as_strong_everywhere():
    sun = lights(Light((0.0, 5.0, 5.0), ambient=0.0, strength=0.8, is_sun=True))
    for point in ([0.0, 0.0, 0.0], [3.0, 1.0, -2.0]):
        light = irradiance(sun, hits_at(point, [0.0, 1.0, 0.0]), torch.tensor([True]))
        assert light.item() == pytest.approx(0.8 * math.cos(math.pi / 4), abs=FLOAT64)


def test_small_images_come_closer_to_the_mean_of_a_large_one(world: World, camera: torch.Tensor):
    fine = view(world, camera, (8 * 28, 8 * 42)).image ** DISPLAY_GAMMA
    mean = torch.nn.functional.avg_pool2d(fine, 8) ** (1 / DISPLAY_GAMMA)
    # The large image's pixels nearest the small pixels' centres: one sample per pixel.
    single = fine[:, 4::8, 4::8] ** (1 / DISPLAY_GAMMA)
    small = view(world, camera, (28, 42)).image
    error, aliased = ((image - mean).square().mean().sqrt() for image in (small, single))
    assert error < 0.5 * aliased


def test_a_single_pixel_without_edges(world: World, camera: torch.Tensor):
    frame = view(world, camera, (1, 1))
    assert frame.image.shape == (3, 1, 1)
    assert frame.depth.item() > 0

"""Scenes of the study against those that are filmed frame by frame."""

import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments import error_scenes
from attention_collapse.experiments.error_scenes import (
    SceneSettings,
    duplicate_scene,
    foreign_scene,
    orbit_scene,
    walk_scene,
)
from attention_collapse.scenes.reference import from_first_camera
from tolerances import BATCHED_RENDERING

SETTINGS = SceneSettings((14, 14), "cpu", torch.float64)
SHARED = {"image_size": (14, 14), "seed": 5, "dtype": torch.float64}


def same(shown, filmed, judged):
    torch.testing.assert_close(shown.images, filmed.images, rtol=0, atol=BATCHED_RENDERING)
    seen = from_first_camera(filmed)
    for name, tensor in vars(shown.truth).items():
        expected = getattr(seen, name)[:judged]
        torch.testing.assert_close(tensor, expected, rtol=0, atol=BATCHED_RENDERING)


def test_an_orbit_is_that_of_its_seed(monkeypatch):
    monkeypatch.setattr(error_scenes, "FRAMES_AT_ONCE", 2)
    same(orbit_scene(5, 5, SETTINGS), scenes.orbit(5, **SHARED), 5)


def test_copies_are_those_of_the_control():
    shown = duplicate_scene(5, 5, SETTINGS, distinct=3)
    same(shown, scenes.duplicates(5, distinct=3, **SHARED), 5)


def test_foreign_frames_are_those_of_the_next_seed_and_are_not_judged():
    shown = foreign_scene(5, 5, SETTINGS, related=2)
    same(shown, scenes.foreign(5, related=2, foreign_seeds=(6,), **SHARED), 2)
    assert len(shown.true(5).depth) == len(shown.true(2).depth) == 2


@pytest.mark.parametrize("extent", [None, 2.5])
def test_a_walk_is_that_of_its_seed(extent):
    shown = walk_scene(3, 5, SETTINGS, extent=extent)
    same(shown, scenes.walk(3, extent=extent, **SHARED), 3)
    assert len(shown.true(2).points) == 2

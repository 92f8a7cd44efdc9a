"""Shading in parts of one size: as without them, whatever the number of rays."""

import pytest
import torch

from attention_collapse.scenes import orbit_collection
from attention_collapse.scenes.rendering import STAGES, Stages, shade
from attention_collapse.training.shading import in_parts

VIEWS = torch.tensor([0, 1, 0])


@pytest.fixture(scope="module")
def rooms():
    return orbit_collection(range(2))


def film(rooms, image_size, shader):
    return rooms.film(VIEWS, VIEWS.double(), image_size=image_size, shader=shader).frame


@pytest.mark.parametrize("rays", [100, 14 * 21, 1000])
def test_parts_of_one_size_make_the_same_picture(rooms, rays):
    sizes = []

    def shader(view, pixels):
        sizes.append(pixels.shape[1])
        assert pixels.is_contiguous()
        return shade(view, pixels)

    whole = film(rooms, (14, 21), shade)
    parts = film(rooms, (14, 21), in_parts(shader, rays))
    assert set(sizes) == {rays}
    for name in ("image", "depth", "points"):
        assert torch.equal(getattr(parts, name), getattr(whole, name)), name


def test_every_stage_can_be_replaced(rooms):
    seen = []

    def noted(name, stage):
        def call(*arguments, **named):
            seen.append(name)
            return stage(*arguments, **named)

        return call

    stages = Stages(*(noted(*pair) for pair in STAGES._asdict().items()))
    film(rooms, (14, 21), lambda view, pixels: shade(view, pixels, stages=stages))
    assert seen == [*Stages._fields] * 2

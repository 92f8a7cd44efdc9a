"""Many worlds filmed together give the pixels of each filmed alone."""

import pytest
import torch

from attention_collapse.scenes import orbit, orbit_collection, walk, walk_collection
from attention_collapse.scenes.cameras import camera_centre, intrinsics_matrix
from attention_collapse.scenes.rendering import render
from attention_collapse.scenes.world_batches import choose_worlds, join_worlds
from tolerances import BATCHED_RENDERING, FLOAT64, PROJECTION, RAYS_PAST_AN_EDGE

SEEDS = (3, 8, 5)
IMAGE_SIZE = (21, 28)


def collection(family, dtype: torch.dtype = torch.float64):
    if family is orbit:
        return orbit_collection(SEEDS, dtype=dtype)
    return walk_collection(SEEDS, length=3.0, dtype=dtype)


@pytest.mark.parametrize("family", [orbit, walk])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frames_are_those_rendered_alone(family, dtype: torch.dtype):
    chosen = torch.tensor([2, 2, 0, 1, 2])
    frames = torch.tensor([0, 5, 1, 7, 4], dtype=torch.float64)
    many = collection(family, dtype)
    clips = many.film(chosen, frames, image_size=IMAGE_SIZE)
    for row, camera in enumerate(clips.world_to_camera.to(dtype)):
        alone = render(
            choose_worlds(many.worlds, chosen[row]),
            world_to_camera=camera,
            intrinsics=intrinsics_matrix(IMAGE_SIZE).to(dtype),
            image_size=IMAGE_SIZE,
        )
        for name in ("image", "depth", "points"):
            difference = (getattr(clips.frame, name)[row] - getattr(alone, name)).abs().max()
            assert difference <= (0 if dtype == torch.float64 else BATCHED_RENDERING)


@pytest.mark.parametrize("family", [orbit, walk])
def test_scenes_are_those_of_the_seeds(family):
    frames = torch.arange(4, dtype=torch.float64)
    for place, seed in enumerate(SEEDS):
        clips = collection(family).film(torch.full((4,), place), frames, image_size=IMAGE_SIZE)
        scene = family(4, image_size=IMAGE_SIZE, seed=seed, dtype=torch.float64)
        assert (clips.world_to_camera - scene.world_to_camera).abs().max() < FLOAT64
        # Cameras differ in their last bit, so that a ray may pass an edge on the other side.
        near = (clips.frame.depth - scene.depth).abs() < PROJECTION
        assert near.double().mean() > 1 - RAYS_PAST_AN_EDGE


def test_worlds_of_a_collection_have_different_numbers_of_solids():
    singles = [orbit_collection([seed]).worlds.solids for seed in SEEDS]
    assert len({solids.heading.shape[1] for solids in singles}) > 1


def test_a_walk_has_frames_between_frames():
    frames = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    clips = collection(walk).film(torch.zeros(3).long(), frames, image_size=(4, 4))
    first, middle, last = camera_centre(clips.world_to_camera)[:, 2].tolist()
    assert middle == pytest.approx((first + last) / 2, abs=FLOAT64)


@pytest.mark.parametrize("family", [orbit, walk])
def test_processes_draw_the_same_worlds(family):
    one, several = (
        orbit_collection(SEEDS, processes=processes)
        if family is orbit
        else walk_collection(SEEDS, length=3.0, processes=processes)
        for processes in (1, 2)
    )
    options = {"image_size": IMAGE_SIZE}
    views = torch.tensor([0, 1, 2, 2]), torch.tensor([0.0, 3.0, 1.0, 2.0], dtype=torch.float64)
    assert torch.equal(
        one.film(*views, **options).frame.image, several.film(*views, **options).frame.image
    )


@pytest.mark.parametrize(
    ("seeds", "processes", "message"),
    [([], 1, r"got \[\] and 1; use"), ([4], 0, r"got \[4\] and 0; use")],
)
def test_without_a_seed_or_a_process_nothing_is_drawn(seeds, processes, message):
    with pytest.raises(ValueError, match=f"at least one seed by at least one process, {message}"):
        orbit_collection(seeds, processes=processes)


def test_lamps_and_suns_are_not_joined():
    lamp, sun = collection(orbit).worlds, collection(walk).worlds
    with pytest.raises(ValueError, match="all with lamps or all with suns, got"):
        join_worlds([lamp, sun])

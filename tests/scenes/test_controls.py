"""More frames without new views, of other worlds, or at a fixed range."""

import itertools
import math
from collections.abc import Callable
from dataclasses import fields
from functools import partial

import pytest
import torch

from attention_collapse.scenes import (
    Scene,
    duplicates,
    foreign,
    orbit,
    project,
    scene,
    shown_views,
    walk,
)
from attention_collapse.scenes.cameras import camera_centre, pixel_centres
from tolerances import FLOAT32_RENDERING, FLOAT64, PROJECTION

CONTROLS = {
    "duplicates": partial(duplicates, distinct=3),
    "foreign": partial(foreign, related=2, foreign_seeds=(11, 12)),
    "fixed_range": partial(walk, extent=2.5),
}
every_control = pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
every_device = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
        ),
    ],
)
SMALL = {"image_size": (14, 28), "seed": 3}


def same_frames(views: Scene, frames: list[int], other: Scene, others: list[int]) -> bool:
    """Whether frames of one scene are bit for bit frames of another."""
    return all(
        torch.equal(getattr(views, field.name)[frames], getattr(other, field.name)[others])
        for field in fields(Scene)
    )


def common(views: Scene, source: int, target: int) -> float:
    """Share of the source's points that the target sees too."""
    points = views.points[source].reshape(-1, 3)
    pixels, depth = project(
        points, world_to_camera=views.world_to_camera[target], intrinsics=views.intrinsics[target]
    )
    height, width = views.depth.shape[1:]
    inside = (
        (depth > 0) & (pixels >= 0).all(-1) & (pixels < pixels.new_tensor([width, height])).all(-1)
    )
    column, row = pixels[inside].long().unbind(-1)
    seen = (views.depth[target, row, column] - depth[inside]).abs() < 0.05 * depth[inside]
    return seen.sum().item() / len(points)


@pytest.mark.parametrize("distinct", [2, 3, 5])
def test_duplicates_are_bit_for_bit_the_views_of_the_orbit(distinct: int):
    shown = shown_views(7, distinct=distinct).tolist()
    views = orbit(distinct, **SMALL)
    assert same_frames(duplicates(7, distinct=distinct, **SMALL), list(range(7)), views, shown)


def test_the_reference_is_shown_once_and_the_other_views_in_turn():
    assert shown_views(9, distinct=4).tolist() == [0, 1, 2, 3, 1, 2, 3, 1, 2]
    assert shown_views(2, distinct=4).tolist() == [0, 1]
    assert shown_views(1, distinct=4).tolist() == [0]
    counts = torch.bincount(shown_views(1 + 5 * 7, distinct=8))
    assert counts.tolist() == [1] + 7 * [5]


def test_duplicates_dilute_the_reference_and_nothing_else():
    copies, distinct = 6, 5
    shown = shown_views(1 + copies * (distinct - 1), distinct=distinct)
    scores = torch.randn(distinct, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def mass(weights: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(scores).index_add(0, shown, weights)

    alone, diluted = scores.softmax(0), mass(scores[shown].softmax(0))
    expected = alone[1:] / alone[1:].sum()
    assert torch.allclose(diluted[1:] / diluted[1:].sum(), expected, rtol=0, atol=FLOAT64)
    odds = (diluted[0] / diluted[1]) / (alone[0] / alone[1])
    assert odds.item() == pytest.approx(1 / copies, abs=FLOAT64)
    bias = math.log(copies) * (shown == 0).double()
    assert torch.allclose(mass((scores[shown] + bias).softmax(0)), alone, rtol=0, atol=FLOAT64)


def test_each_distinct_view_is_rendered_once(monkeypatch: pytest.MonkeyPatch):
    rendered = []
    original = scene.render
    monkeypatch.setattr(
        scene, "render", lambda *world, **view: rendered.append(1) or original(*world, **view)
    )
    duplicates(20, distinct=3, **SMALL)
    assert len(rendered) == 3


def test_foreign_frames_are_those_of_the_other_worlds_in_turn():
    mixed = foreign(8, related=3, foreign_seeds=(11, 12), **SMALL)
    assert mixed.is_foreign.tolist() == 3 * [False] + 5 * [True]
    own = orbit(3, **SMALL)
    first, second = (orbit(3, image_size=SMALL["image_size"], seed=seed) for seed in (11, 12))
    assert same_frames(mixed, [0, 1, 2], own, [0, 1, 2])
    assert same_frames(mixed, [3, 5, 7], first, [0, 1, 2])
    assert same_frames(mixed, [4, 6], second, [0, 1])


def test_all_frames_are_related_until_enough_are_asked_for():
    mixed = foreign(2, related=4, foreign_seeds=(11,), **SMALL)
    assert not mixed.is_foreign.any()
    assert same_frames(mixed, [0, 1], orbit(2, **SMALL), [0, 1])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fixed_range_shares_its_start_with_the_walk_and_is_filled_evenly(seed: int):
    extent = 6.0
    ranged = walk(21, extent=extent, image_size=(2, 2), seed=seed, dtype=torch.float64)
    free = walk(1, image_size=(2, 2), seed=seed, dtype=torch.float64)
    assert same_frames(ranged, [0], free, [0])
    z = camera_centre(ranged.world_to_camera)[:, 2]
    assert -FLOAT64 < z.min() <= z.max() < extent
    for count in (2, 3, 5, 8, 21):
        places = [0.0, *z[:count].sort().values.tolist(), extent]
        gaps = [after - before for before, after in itertools.pairwise(places)]
        # Points k * golden section: gaps stay below 2 / count (three-gap theorem).
        assert max(gaps) < 2 * extent / count


def test_all_frames_of_a_short_range_overlap_and_those_of_a_long_one_do_not():
    near, far = (walk(8, extent=extent, image_size=(14, 21), seed=0) for extent in (2.5, 25.0))
    for views, overlap in ((near, True), (far, False)):
        seen = [common(views, i, j) > 0.1 for i in range(8) for j in range(8) if i != j]
        assert all(seen) == overlap


@every_control
def test_points_project_to_their_pixel_centres_with_their_depth(control: Callable[..., Scene]):
    views = control(5, image_size=(20, 30), seed=1, dtype=torch.float64)
    centres = pixel_centres((20, 30), dtype=torch.float64, device="cpu")
    for frame in range(5):
        pixels, depth = project(
            views.points[frame],
            world_to_camera=views.world_to_camera[frame],
            intrinsics=views.intrinsics[frame],
        )
        assert (pixels - centres).abs().max() < PROJECTION
        assert (depth - views.depth[frame]).abs().max() < PROJECTION


@every_control
def test_float32_shows_the_geometry_of_float64(control: Callable[..., Scene]):
    single, double = (
        control(4, image_size=(28, 42), seed=6, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    error = (single.depth.double() - double.depth).abs().flatten()
    assert error.quantile(0.999) < FLOAT32_RENDERING
    poses = (single.world_to_camera.double() - double.world_to_camera).abs()
    assert poses.max() < FLOAT32_RENDERING


@every_device
@pytest.mark.parametrize("family", [orbit, walk, *CONTROLS.values()])
def test_the_same_call_gives_the_same_bits(family: Callable[..., Scene], device: str):
    first, again = (family(5, device=device, **SMALL) for _ in range(2))
    assert first.images.device.type == device
    assert same_frames(first, list(range(5)), again, list(range(5)))


@every_device
@every_control
def test_the_first_frames_of_a_longer_call_are_the_same_bits(
    control: Callable[..., Scene], device: str
):
    longer = control(9, device=device, **SMALL)
    for frames in (1, 2, 4):
        shorter = control(frames, device=device, **SMALL)
        assert same_frames(longer, list(range(frames)), shorter, list(range(frames)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("family", [orbit, walk])
def test_a_gpu_shows_the_geometry_of_the_cpu(family: Callable[..., Scene]):
    here, there = (
        family(3, image_size=(28, 42), seed=6, device=device, dtype=torch.float64)
        for device in ("cpu", "cuda")
    )
    error = (there.depth.cpu() - here.depth).abs().flatten()
    assert error.quantile(0.999) < FLOAT32_RENDERING
    assert torch.equal(there.world_to_camera.cpu(), here.world_to_camera)
    assert (there.images.cpu() - here.images).abs().mean() < FLOAT32_RENDERING


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(duplicates, distinct=1), "distinct must be at least 2, .*, got 1; use"),
        (partial(foreign, related=0, foreign_seeds=(1,)), "related .* at least 1, .*, got 0; use"),
        (partial(foreign, related=2, foreign_seeds=()), r"at least one world, got \(\); use"),
        (partial(foreign, related=2, foreign_seeds=(3,)), r"all differ, got 3 and \(3,\); give"),
        (partial(foreign, related=2, foreign_seeds=(4, 4)), r"all differ, got 3 and \(4, 4\)"),
        (partial(foreign, related=2, foreign_seeds=(-1,)), r"seed must be in .*, got -1; use"),
        (partial(walk, extent=0.0), "extent must be a positive length or None, got 0.0; use"),
        (partial(walk, extent=math.inf), "extent must be a positive .*, got inf; use"),
        (partial(walk, extent=math.nan), "extent must be a positive .*, got nan; use"),
    ],
)
def test_bad_input_is_refused(call: Callable[..., Scene], message: str):
    with pytest.raises(ValueError, match=message):
        call(4, **SMALL)


@every_control
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, got 0; ask for"),
        ({"image_size": (0, 5)}, r"of at least 1 pixel each, got \(0, 5\); use"),
        ({"dtype": torch.bfloat16}, "float32 or torch.float64, got torch.bfloat16; render"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*32\), got -1; use"),
    ],
)
def test_what_every_family_refuses(control: Callable[..., Scene], arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        control(**{"frames": 2} | SMALL | arguments)


def test_there_is_no_view_without_a_frame():
    with pytest.raises(ValueError, match="frames must be at least 1, got 0; ask for"):
        shown_views(0, distinct=3)

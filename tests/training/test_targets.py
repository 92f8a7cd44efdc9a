"""Targets in the axes and the unit of the reference frame."""

import pytest
import torch

from attention_collapse.scenes import Clips, orbit_collection, walk_collection
from attention_collapse.training import Targets, reference_targets
from attention_collapse.vggt import decode_pose, unproject
from tolerances import FLOAT64, PROJECTION

IMAGE_SIZE = (12, 16)


@pytest.fixture(params=["orbit", "walk"])
def clips(request: pytest.FixtureRequest) -> Clips:
    double = {"dtype": torch.float64}
    seeds = (1, 2)
    collection = (
        orbit_collection(seeds, **double)
        if request.param == "orbit"
        else walk_collection(seeds, length=4.0, **double)
    )
    frames = torch.tensor([2.0, 0.0, 5.0, 1.0, 4.0, 3.0], dtype=torch.float64)
    return collection.film(torch.tensor([0, 0, 0, 1, 1, 1]), frames, image_size=IMAGE_SIZE)


@pytest.fixture
def targets(clips: Clips) -> Targets:
    targets = reference_targets(clips, torch.tensor([0, 0, 0, 3, 3, 3]))
    return Targets(*(tensor.unflatten(0, (2, 3)) for tensor in vars(targets).values()))


def test_the_reference_frame_is_at_the_origin_one_unit_from_its_points(targets: Targets):
    pose = targets.pose_encoding[:, 0, :7]
    identity = torch.tensor([0, 0, 0, 0, 0, 0, 1], dtype=torch.float64).expand(2, 7)
    assert torch.allclose(pose, identity, rtol=0, atol=FLOAT64)
    distance = targets.points[:, 0].norm(dim=-1).mean(dim=(-2, -1))
    assert torch.allclose(distance, torch.ones(2).double(), rtol=0, atol=FLOAT64)


def test_depth_and_cameras_give_the_points(targets: Targets):
    cameras, intrinsics = decode_pose(targets.pose_encoding, IMAGE_SIZE)
    points = unproject(targets.depth, cameras, intrinsics, pixel_centre="half")
    assert (points.world - targets.points).abs().max() < PROJECTION


def test_distances_between_points_are_those_of_the_world(clips: Clips, targets: Targets):
    world = clips.frame.points.unflatten(0, (2, 3)).flatten(1, 3)[:, ::37]
    found = targets.points.flatten(1, 3)[:, ::37]
    ratio = torch.stack(
        [torch.pdist(w) / torch.pdist(f) for w, f in zip(world, found, strict=True)]
    )
    assert ((ratio / ratio.median(dim=1, keepdim=True).values - 1).abs() < PROJECTION).all()

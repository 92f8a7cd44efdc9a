import torch

from attention_collapse import scenes
from attention_collapse.scenes.reference import from_first_camera
from tolerances import FLOAT64_LAYERS


def close(computed, expected):
    torch.testing.assert_close(computed, expected, rtol=0, atol=FLOAT64_LAYERS)


def test_the_first_camera_is_the_world_and_its_points_are_one_unit_away():
    scene = scenes.orbit(3, image_size=(14, 21), seed=3, dtype=torch.float64)
    seen = from_first_camera(scene)
    close(seen.world_to_camera[0], torch.eye(4, dtype=torch.float64)[:3])
    close(seen.points[0].norm(dim=-1).mean(), torch.ones((), dtype=torch.float64))
    assert torch.equal(seen.images, scene.images)


def test_every_camera_sees_its_points_where_they_were():
    scene = scenes.orbit(3, image_size=(14, 21), seed=3, dtype=torch.float64)
    seen = from_first_camera(scene)
    unit = (scene.depth / seen.depth).mean()
    for views, scale in ((scene, 1 / unit), (seen, 1.0)):
        rotation, shift = views.world_to_camera[:, None, None].split((3, 1), dim=-1)
        local = (rotation @ views.points[..., None] + shift)[..., 0]
        close(local[..., 2] * scale, seen.depth)


def test_more_frames_leave_the_first_ones_alone():
    few, many = (
        from_first_camera(scenes.walk(n, image_size=(14, 21), seed=3, dtype=torch.float64))
        for n in (2, 4)
    )
    assert torch.equal(few.points, many.points[:2])
    assert torch.equal(few.world_to_camera, many.world_to_camera[:2])

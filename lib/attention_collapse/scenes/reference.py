"""A scene in the axes of its first camera, in the unit of length of its first frame."""

from dataclasses import replace

import torch

from attention_collapse.scenes.scene import Scene


def from_first_camera(scene: Scene) -> Scene:
    r"""The same views with the world's axes and unit of length replaced.

    With the first camera :math:`[R_0 \mid t_0]` and the mean distance :math:`s` from it to the
    points of the first frame alone,

    .. math:: X' = (R_0 X + t_0) / s, \qquad R' = R R_0^\top, \qquad t' = (t - R' t_0) / s.

    The first frames of a longer scene are the same frames still. Cameras are in float64, for they
    may be far from where the world began.
    Home section: *What fails*.
    """
    first = scene.world_to_camera[0].double()
    turn, shift = first[:, :3], first[:, 3:]
    points = scene.points.double() @ turn.mT + shift[:, 0]
    unit = points[0].norm(dim=-1).mean()
    rotation, translation = scene.world_to_camera.double().split((3, 1), dim=-1)
    rotation = rotation @ turn.mT
    translation = (translation - rotation @ shift) / unit
    return replace(
        scene,
        points=(points / unit).to(scene.points),
        depth=(scene.depth.double() / unit).to(scene.depth),
        world_to_camera=torch.cat((rotation, translation), dim=-1),
    )

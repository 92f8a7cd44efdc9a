"""Rendered scenes of a study of errors: what a network sees, and what it should say."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.measure.reconstruction_errors import Geometry
from attention_collapse.scenes import Scene, orbit_collection, shown_views, walk
from attention_collapse.scenes.cameras import intrinsics_matrix
from attention_collapse.scenes.reference import from_first_camera

FRAMES_AT_ONCE = 64
"""Frames that are rendered at a time."""


@dataclass(frozen=True)
class ErrorScene:
    """A scene of which the first frames are shown, few or many.

    Attributes:
        images: Of all frames, the reference first.
        truth: Of the frames that are judged, in the axes of the first camera and in units of the
            mean distance of the first frame's points.

    Home section: *What fails*.
    """

    images: Float[Tensor, "frame 3 height width"]
    truth: Geometry

    def true(self, frames: int) -> Geometry:
        """What is true of the first frames, of those among them that are judged."""
        return Geometry(*(tensor[:frames] for tensor in vars(self.truth).values()))


@dataclass(frozen=True)
class SceneSettings:
    """How scenes are rendered.

    Attributes:
        image_size: Height and width, pixels.
        device: Where.
        dtype: float32 or float64.

    Home section: *What fails*.
    """

    image_size: tuple[int, int]
    device: str
    dtype: torch.dtype


def orbit_scene(frames: int, seed: int, settings: SceneSettings) -> ErrorScene:
    """The orbit of a seed, as ``scenes.orbit`` films it, many frames at a time.

    Home section: *What fails*.
    """
    views = torch.arange(frames)
    return _judged(_orbits((seed,), torch.zeros_like(views), views, settings), frames)


def duplicate_scene(
    frames: int, seed: int, settings: SceneSettings, *, distinct: int
) -> ErrorScene:
    """An orbit of a few views that are shown again and again, as in ``scenes.duplicates``.

    Home section: *What fails*.
    """
    once = torch.arange(distinct)
    scene = _orbits((seed,), torch.zeros_like(once), once, settings)
    shown = shown_views(frames, distinct=distinct).to(settings.device)
    return _judged(Scene(*(getattr(scene, f.name)[shown] for f in fields(Scene))), frames)


def foreign_scene(frames: int, seed: int, settings: SceneSettings, *, related: int) -> ErrorScene:
    """The first frames of an orbit, then those of the next seed's; the first ones are judged.

    Home section: *What fails*.
    """
    place = torch.arange(frames)
    world = (place >= related).long()
    scene = _orbits((seed, seed + 1), world, place - related * world, settings)
    return _judged(scene, related)


def walk_scene(
    frames: int, seed: int, settings: SceneSettings, *, extent: float | None = None
) -> ErrorScene:
    """The walk of a seed, endless or inside an extent.

    Home section: *What fails*.
    """
    scene = walk(
        frames,
        extent=extent,
        image_size=settings.image_size,
        seed=seed,
        device=settings.device,
        dtype=settings.dtype,
    )
    return _judged(scene, frames)


def _orbits(
    seeds: Sequence[int],
    world: Int64[Tensor, "frame"],
    view: Int64[Tensor, "frame"],
    settings: SceneSettings,
) -> Scene:
    """Views of the orbits of some seeds."""
    filmed = orbit_collection(seeds, device=settings.device, dtype=settings.dtype)
    parts = zip(world.split(FRAMES_AT_ONCE), view.double().split(FRAMES_AT_ONCE), strict=True)
    clips = [filmed.film(*part, image_size=settings.image_size) for part in parts]
    frames = [clip.frame for clip in clips]
    images, depth, points = (
        torch.cat([getattr(frame, name) for frame in frames])
        for name in ("image", "depth", "points")
    )
    # A film knows its cameras in float64; a scene has one type.
    cameras = torch.cat([clip.world_to_camera for clip in clips]).to(points)
    intrinsics = intrinsics_matrix(settings.image_size).to(points).expand(len(images), 3, 3)
    return Scene(images, depth, points, cameras, intrinsics)


def _judged(scene: Scene, frames: int) -> ErrorScene:
    seen = from_first_camera(scene)
    truth = (seen.points[:frames], seen.depth[:frames], seen.world_to_camera[:frames])
    return ErrorScene(scene.images, Geometry(*truth))

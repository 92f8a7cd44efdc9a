"""Controls for the number of frames: more of them without new views, or without the same world.

``duplicates`` adds frames and no information; ``foreign`` adds frames of other worlds. The third
control is in ``walk``: with an extent, frames are added at a fixed range.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from attention_collapse.scenes.scene import (
    Scene,
    check_frames,
    check_request,
    film,
    orbit,
    orbit_shots,
)
from attention_collapse.scenes.world import World


@dataclass(frozen=True)
class MixedScene(Scene):
    """Views of one world among views of others.

    Each frame's points and camera are in the axes of the world it shows, so those of foreign
    frames cannot be compared with the rest.
    Home section: *A thousand frames*.

    Attributes:
        is_foreign: whether a frame shows another world than frame 0.
    """

    is_foreign: Bool[Tensor, "frame"]


def duplicates(
    frames: int,
    *,
    distinct: int,
    image_size: tuple[int, int] = (112, 140),
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Scene:
    """An orbit of a few distinct views that are shown again and again, each rendered once.

    Frame k shows view ``shown_views(frames, distinct=distinct)[k]`` of the orbit of the same
    seed. With ``frames = 1 + m * (distinct - 1)`` every view but the reference is shown m times.
    The other views then share their attention as if each were shown once, and only the odds of
    the reference frame against them fall, to 1 / m. Frame k depends on the seed, ``distinct``
    and k alone.
    Home section: *A thousand frames*.

    Args:
        frames: number of frames.
        distinct: number of views, the reference included.
        image_size: height and width in pixels.
        seed: of the orbit.
        device: where to render and to keep the result.
        dtype: float32 or float64.

    Raises:
        ValueError: fewer than two distinct views, fewer than one frame, a side below one pixel,
            a seed outside [0, 2**32) or another dtype.
    """
    check_request(frames, image_size, dtype)
    shown = shown_views(frames, distinct=distinct).to(device)
    options = {"image_size": image_size, "seed": seed, "device": device, "dtype": dtype}
    views = orbit(min(frames, distinct), **options)
    return Scene(**{field.name: getattr(views, field.name)[shown] for field in fields(Scene)})


def shown_views(frames: int, *, distinct: int) -> Int64[Tensor, "frame"]:
    """The view each frame of ``duplicates`` shows: view 0 once, then the others in turn.

    Frame 0 shows view 0 and frame :math:`k \\ge 1` shows view :math:`1 + (k - 1) \\bmod (d - 1)`,
    with :math:`d` distinct views. The first frame is the reference, to which the network gives
    tokens of its own, so a second copy of it would not be a duplicate.
    Home section: *A thousand frames*.

    Args:
        frames: number of frames.
        distinct: number of views, the reference included.

    Raises:
        ValueError: fewer than one frame or than two distinct views.
    """
    check_frames(frames)
    _check_distinct(distinct)
    later = torch.arange(frames - 1) % (distinct - 1)
    return torch.cat([later.new_zeros(1), 1 + later])


def foreign(
    frames: int,
    *,
    related: int,
    foreign_seeds: Sequence[int],
    image_size: tuple[int, int] = (112, 140),
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> MixedScene:
    """The first frames of an orbit, then frames of orbits of other worlds.

    Frames 0 to ``related - 1`` are those of the orbit of the seed. With n foreign seeds, frame
    ``related + j`` shows view ``j // n`` of the orbit of foreign seed ``j % n``: one seed for
    one other world seen from everywhere, many for worlds that have nothing in common. Frame k
    depends on the seeds, ``related`` and k alone.
    Home section: *A thousand frames*.

    Args:
        frames: number of frames.
        related: number of frames of the orbit of the seed.
        foreign_seeds: of the other worlds, which take turns.
        image_size: height and width in pixels.
        seed: of the world of frame 0.
        device: where to render and to keep the result.
        dtype: float32 or float64.

    Raises:
        ValueError: fewer than one frame or related frame, no foreign seed, one seed given twice,
            a side below one pixel, a seed outside [0, 2**32) or another dtype.
    """
    check_request(frames, image_size, dtype)
    _check_worlds(related, seed, foreign_seeds)
    own = orbit_shots(seed, device=device, dtype=dtype)
    others = [orbit_shots(other, device=device, dtype=dtype) for other in foreign_seeds]

    def shots(frame: int) -> tuple[World, Tensor]:
        view, turn = divmod(frame - related, len(others))
        return own(frame) if frame < related else others[turn](view)

    is_foreign = torch.arange(frames, device=device) >= related
    return MixedScene(**vars(film(frames, image_size, shots)), is_foreign=is_foreign)


def _check_distinct(distinct: int) -> None:
    if distinct < 2:
        raise ValueError(
            f"distinct must be at least 2, the reference and a view to repeat, got {distinct}; "
            "use for example 8"
        )


def _check_worlds(related: int, seed: int, foreign_seeds: Sequence[int]) -> None:
    if related < 1:
        raise ValueError(
            f"related must be at least 1, since frame 0 is the reference, got {related}; "
            "use for example 8"
        )
    if not foreign_seeds:
        raise ValueError(
            f"foreign_seeds must name at least one world, got {foreign_seeds}; "
            f"use for example ({seed + 1},)"
        )
    if len({seed, *foreign_seeds}) <= len(foreign_seeds):
        raise ValueError(
            f"seed and foreign_seeds must all differ, got {seed} and {foreign_seeds}; "
            "give each world a seed of its own"
        )

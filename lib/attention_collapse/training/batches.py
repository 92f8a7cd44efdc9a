"""Batches of rendered scenes: a function of the seed and of the step alone."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from attention_collapse.scenes import Collection, orbit_collection, walk_collection
from attention_collapse.scenes.rendering import shade
from attention_collapse.training.ahead import RenderedAhead
from attention_collapse.training.batch import Batch
from attention_collapse.training.config import TrainingConfig
from attention_collapse.training.shading import compiled_shade
from attention_collapse.training.targets import reference_targets

# Worlds of training and of testing have seeds far from those that one would type.
FIRST_TRAINING_WORLD, FIRST_TEST_WORLD = 2**31, 2**30

# Orbits show any of this many frames, which fill the arc.
ORBIT_FRAMES = 4096

# Frames of a walk from one shown frame to the next: of a scene, times that of each step.
STRIDE, UNSTEADINESS = (0.4, 1.8), (0.7, 1.3)

# Longest step of a walk, in units of length.
WALK_STEP = 0.33

# Worlds that are drawn while another process starts.
WORLDS_OF_A_PROCESS = 256


@dataclass(frozen=True)
class _Shots:
    """What to film: a world for each scene, and frames of its path."""

    world: Int64[Tensor, "scene"]
    frame: Float64[Tensor, "scene frame"]


class BatchSource:
    """The batches of a run: half of the scenes orbit a room, half walk along a corridor.

    Frames of an orbit are spread over its arc at random. A walk goes on by strides that differ
    between scenes, and half of the walks show their frames in random order. Several batches are
    rendered at once: the calls that render one frame render thousands.
    Home section: *mini-VGGT*.

    Args:
        config: Settings.
        seed: Of the run; runs of different seeds have different worlds.
        device: Where to render.
        test: Whether the worlds are kept from training.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        test: bool = False,
    ) -> None:
        self._config, self._seed = config, seed
        self._kept: dict[int, Batch] = {}
        on_gpu = torch.device(device).type == "cuda"
        self._shader = compiled_shade(math.prod(config.image_size)) if on_gpu else shade
        first = FIRST_TEST_WORLD if test else FIRST_TRAINING_WORLD
        start = first + seed * config.worlds % 2**29
        worlds = range(start, start + config.worlds)
        self._ahead = RenderedAhead(self._rendered, device) if on_gpu else None
        self._round = self._ahead or self._rendered
        longest = max(config.frame_counts) * STRIDE[1] * UNSTEADINESS[1] * WALK_STEP
        drawn = {"device": device, "processes": _processes(config.worlds)}
        self._orbits = orbit_collection(worlds, **drawn)
        self._walks = walk_collection(worlds, length=longest, **drawn)

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        distinct = self._config.distinct_batches
        turn = step if distinct is None else step % distinct
        if turn not in self._kept:
            if distinct is None:
                self._kept.clear()
            self._kept.update(self._round(turn // self._config.rendered_together))
        return self._kept[turn]

    def close(self) -> None:
        """Wait until nothing is rendered ahead; there are no new batches afterwards."""
        if self._ahead is not None:
            self._ahead.close()

    def _rendered(self, number: int) -> dict[int, Batch]:
        """The batches of a round, which are rendered together, by step."""
        together, distinct = self._config.rendered_together, self._config.distinct_batches
        first = number * together
        steps = range(
            first, first + together if distinct is None else min(first + together, distinct)
        )
        orbits, walks = zip(*(self._shots(step) for step in steps), strict=True)
        filmed = zip(self._film(self._orbits, orbits), self._film(self._walks, walks), strict=True)
        return {step: _join(*pair) for step, pair in zip(steps, filmed, strict=True)}

    def _shots(self, step: int) -> tuple[_Shots, _Shots]:
        """The orbits and the walks of a step."""
        words = np.random.SeedSequence([self._seed, step]).generate_state(1)
        generator = torch.Generator().manual_seed(int(words[0]))
        counts, worlds = self._config.frame_counts, self._config.worlds
        frames = counts[int(torch.randint(len(counts), (), generator=generator))]
        scenes = self._config.batch_frames // frames
        shares = (orbit_frames, scenes // 2), (walk_frames, scenes - scenes // 2)
        orbits, walks = (
            _Shots(
                torch.randint(worlds, (share,), generator=generator),
                path(share, frames, generator=generator),
            )
            for path, share in shares
        )
        return orbits, walks

    def _film(self, collection: Collection, shots: Sequence[_Shots]) -> list[Batch]:
        shapes = [shot.frame.shape for shot in shots]
        world = [shot.world.repeat_interleave(shot.frame.shape[1]) for shot in shots]
        clips = collection.film(
            torch.cat(world),
            torch.cat([shot.frame.flatten() for shot in shots]),
            image_size=self._config.image_size,
            shader=self._shader,
        )
        targets = reference_targets(clips, _first_views(shapes))
        tensors = (clips.frame.image, *vars(targets).values())
        sizes = [shape.numel() for shape in shapes]
        rows = zip(*(tensor.split(sizes) for tensor in tensors), strict=True)
        return [
            Batch.of([part.unflatten(0, shape) for part in parts])
            for parts, shape in zip(rows, shapes, strict=True)
        ]


def orbit_frames(
    scenes: int, frames: int, *, generator: torch.Generator
) -> Float64[Tensor, "scene frame"]:
    """Frames of orbits, drawn at random.

    Home section: *mini-VGGT*.
    """
    return torch.randint(ORBIT_FRAMES, (scenes, frames), generator=generator).double()


def walk_frames(
    scenes: int, frames: int, *, generator: torch.Generator
) -> Float64[Tensor, "scene frame"]:
    """Places along walks, in frames from the start: in order in half of the scenes.

    Home section: *mini-VGGT*.
    """

    def uniform(limits: tuple[float, float], *shape: int) -> Float64[Tensor, "..."]:
        unit = torch.rand(shape, generator=generator, dtype=torch.float64)
        return limits[0] + (limits[1] - limits[0]) * unit

    steps = uniform(STRIDE, scenes, 1) * uniform(UNSTEADINESS, scenes, frames)
    places = steps.cumsum(1)
    order = torch.rand(scenes, frames, generator=generator).argsort(1)
    in_order = torch.rand(scenes, 1, generator=generator) < 0.5
    return torch.where(in_order, places, places.gather(1, order))


def _processes(worlds: int) -> int:
    return max(1, min(os.cpu_count() or 1, worlds // WORLDS_OF_A_PROCESS))


def _first_views(shapes: Sequence[torch.Size]) -> Int64[Tensor, "view"]:
    """For every view, the first view of its scene; scenes of several numbers of frames in a row."""
    starts, begin = [], 0
    for scenes, frames in shapes:
        end = begin + scenes * frames
        starts.append(torch.arange(begin, end, frames).repeat_interleave(frames))
        begin = end
    return torch.cat(starts)


def _join(one: Batch, other: Batch) -> Batch:
    pairs = zip(one.tensors(), other.tensors(), strict=True)
    return Batch.of([torch.cat(pair) for pair in pairs])

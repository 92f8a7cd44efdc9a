"""Where the camera is at frame k: a function of the scene's draws and of k alone.

A path holds the numbers of one scene, or tensors with the numbers of many: then the camera takes a
frame of each.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from attention_collapse.scenes.cameras import Number, look_at
from attention_collapse.scenes.draws import Draws

# Steps of additive sequences modulo 1. The golden section spreads every prefix most evenly;
# square roots of primes spread several coordinates at once (Richtmyer's sequence).
GOLDEN_STEP = (math.sqrt(5) - 1) / 2
STEPS = (GOLDEN_STEP, *(math.sqrt(prime) % 1 for prime in (2, 3, 7, 11, 13, 17)))

Path = TypeVar("Path", "OrbitPath", "WalkPath")
Frames = int | Float64[Tensor, "*frame"]

ARC = math.radians(75)
ORBIT_DISTANCE = (2.55, 2.9)
ORBIT_HEIGHT = (1.15, 1.75)
TARGET_HEIGHT = (0.45, 0.75)
TARGET_SPREAD = (-0.25, 0.25)
ROLL = (-0.06, 0.06)


@dataclass(frozen=True)
class OrbitPath:
    """Cameras on an arc around the middle of a room, looking inwards.

    Azimuth, distance, height, the three coordinates of the target and the roll of frame k are
    :math:`(s + k \\alpha) \\bmod 1`, mapped to their ranges, with one start :math:`s` and one
    irrational step :math:`\\alpha` each.
    Home section: *The phenomenon*.

    Attributes:
        azimuth: of the middle of the arc, in radians.
        starts: the seven starts, in [0, 1).
    """

    azimuth: Number
    starts: tuple[Number, ...]

    @classmethod
    def sample(cls, draws: Draws) -> "OrbitPath":
        """Draw an arc and its starts."""
        return cls(draws.uniform(0.0, 2 * math.pi), tuple(draws.uniform(0.0, 1.0) for _ in STEPS))

    def camera(self, frame: Frames) -> Float64[Tensor, "*frame 3 4"]:
        """World-to-camera matrix of a frame, or of many."""
        units = [(start + frame * step) % 1 for start, step in zip(self.starts, STEPS, strict=True)]
        azimuth = self.azimuth + ARC * (units[0] - 0.5)
        distance, height = _between(ORBIT_DISTANCE, units[1]), _between(ORBIT_HEIGHT, units[2])
        target = (
            _between(TARGET_SPREAD, units[3]),
            _between(TARGET_HEIGHT, units[4]),
            _between(TARGET_SPREAD, units[5]),
        )
        angle = torch.as_tensor(azimuth, dtype=torch.float64)
        position = (distance * angle.cos(), height, distance * angle.sin())
        return look_at(position, target, roll=_between(ROLL, units[6]))


@dataclass(frozen=True)
class WalkPath:
    """A camera that walks along z with a steady step, looking ahead and to the wall at high x.

    Position, heading, pitch and roll sway as sines of the frame index. With an extent :math:`E`
    the camera stands at :math:`z = E (k \\alpha \\bmod 1)` instead, with the golden section
    :math:`\\alpha`, so that every prefix spreads over the extent.
    Home section: *The phenomenon*.

    Attributes:
        step: length of a step, in units of length.
        heading: mean angle between the line of sight and the walk, in radians.
        phases: of the five sines, in radians.
        extent: length of corridor to stay in, in units of length; None walks on.
    """

    step: Number
    heading: Number
    phases: tuple[Number, ...]
    extent: float | None = None

    @classmethod
    def sample(cls, draws: Draws, *, extent: float | None = None) -> "WalkPath":
        """Draw a step, a heading and phases."""
        phases = tuple(draws.uniform(0.0, 2 * math.pi) for _ in range(5))
        step, heading = draws.uniform(0.27, 0.33), math.radians(draws.uniform(56.0, 62.0))
        return cls(step, heading, phases, extent)

    def z(self, frame: Frames) -> Number:
        """How far along the corridor the camera is at a frame, in units of length.

        Between two frames it is between their places.
        """
        if self.extent is None:
            return frame * self.step
        return self.extent * (frame * GOLDEN_STEP % 1)

    def camera(self, frame: Frames) -> Float64[Tensor, "*frame 3 4"]:
        """World-to-camera matrix of a frame, or of many."""
        # Rates that are no multiples of each other, so that the sway does not repeat.
        rates = (0.31, 0.43, 0.37, 0.29, 0.47)
        sway = [
            torch.as_tensor(rate * frame + phase, dtype=torch.float64).sin()
            for rate, phase in zip(rates, self.phases, strict=True)
        ]
        x, y, z = -0.6 + 0.12 * sway[0], 1.4 + 0.06 * sway[1], self.z(frame)
        heading, pitch = self.heading + 0.05 * sway[2], -0.08 + 0.03 * sway[3]
        target = (x + heading.sin(), y + pitch.tan(), z + heading.cos())
        return look_at((x, y, z), target, roll=0.03 * sway[4])


def stack_paths(paths: Sequence[Path]) -> Path:
    """Paths of one kind side by side: every number becomes a tensor ``[path]``.

    Home section: *mini-VGGT*.
    """
    columns = {f.name: [getattr(path, f.name) for path in paths] for f in fields(paths[0])}
    return type(paths[0])(**{name: _column(values) for name, values in columns.items()})


def choose_paths(paths: Path, index: Int64[Tensor, "view"]) -> Path:
    """The path of each view, from paths side by side.

    Home section: *mini-VGGT*.
    """
    chosen = {
        f.name: _each(getattr(paths, f.name), lambda table: table[index]) for f in fields(paths)
    }
    return type(paths)(**chosen)


def _column(values: list) -> object:
    if isinstance(values[0], tuple):
        return tuple(_column(list(numbers)) for numbers in zip(*values, strict=True))
    return None if values[0] is None else torch.tensor(values, dtype=torch.float64)


def _each(value: object, transform: Callable[[Tensor], Tensor]) -> object:
    if isinstance(value, tuple):
        return tuple(_each(number, transform) for number in value)
    return None if value is None else transform(value)


def _between(limits: tuple[float, float], unit: Number) -> Number:
    return limits[0] + (limits[1] - limits[0]) * unit

"""Where the camera is at frame k: a function of the scene's draws and of k alone."""

import math
from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from attention_collapse.scenes.cameras import look_at
from attention_collapse.scenes.draws import Draws

# Steps of additive sequences modulo 1. The golden section spreads every prefix most evenly;
# square roots of primes spread several coordinates at once (Richtmyer's sequence).
GOLDEN_STEP = (math.sqrt(5) - 1) / 2
STEPS = (GOLDEN_STEP, *(math.sqrt(prime) % 1 for prime in (2, 3, 7, 11, 13, 17)))

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

    azimuth: float
    starts: tuple[float, ...]

    @classmethod
    def sample(cls, draws: Draws) -> "OrbitPath":
        """Draw an arc and its starts."""
        return cls(draws.uniform(0.0, 2 * math.pi), tuple(draws.uniform(0.0, 1.0) for _ in STEPS))

    def camera(self, frame: int) -> Float64[Tensor, "3 4"]:
        """World-to-camera matrix of a frame."""
        units = [(start + frame * step) % 1 for start, step in zip(self.starts, STEPS, strict=True)]
        azimuth = self.azimuth + ARC * (units[0] - 0.5)
        distance, height = _between(ORBIT_DISTANCE, units[1]), _between(ORBIT_HEIGHT, units[2])
        target = (
            _between(TARGET_SPREAD, units[3]),
            _between(TARGET_HEIGHT, units[4]),
            _between(TARGET_SPREAD, units[5]),
        )
        position = (distance * math.cos(azimuth), height, distance * math.sin(azimuth))
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

    step: float
    heading: float
    phases: tuple[float, ...]
    extent: float | None = None

    @classmethod
    def sample(cls, draws: Draws, *, extent: float | None = None) -> "WalkPath":
        """Draw a step, a heading and phases."""
        phases = tuple(draws.uniform(0.0, 2 * math.pi) for _ in range(5))
        step, heading = draws.uniform(0.27, 0.33), math.radians(draws.uniform(56.0, 62.0))
        return cls(step, heading, phases, extent)

    def z(self, frame: int) -> float:
        """How far along the corridor the camera is at a frame, in units of length."""
        if self.extent is None:
            return frame * self.step
        return self.extent * (frame * GOLDEN_STEP % 1)

    def camera(self, frame: int) -> Float64[Tensor, "3 4"]:
        """World-to-camera matrix of a frame."""
        # Rates that are no multiples of each other, so that the sway does not repeat.
        rates = (0.31, 0.43, 0.37, 0.29, 0.47)
        sway = [
            math.sin(rate * frame + phase) for rate, phase in zip(rates, self.phases, strict=True)
        ]
        x, y, z = -0.6 + 0.12 * sway[0], 1.4 + 0.06 * sway[1], self.z(frame)
        heading, pitch = self.heading + 0.05 * sway[2], -0.08 + 0.03 * sway[3]
        target = (x + math.sin(heading), y + math.tan(pitch), z + math.cos(heading))
        return look_at((x, y, z), target, roll=0.03 * sway[4])


def _between(limits: tuple[float, float], unit: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * unit

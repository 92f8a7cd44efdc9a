"""Arrays in few bits, as text that the state of a page can hold.

Points take 16 bits a coordinate, shares and colours 8. The text is base64 of little-endian
integers: a page gets it as it is, with and without a kernel.
"""

import base64
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8, UInt16

POINT_LEVELS = 65_535
SHARE_LEVELS = 255


@dataclass(frozen=True)
class PointGrid:
    """The grid that points are rounded to: a cube of 65536 places a side.

    Home section: *mini-VGGT*.

    Attributes:
        lower: Corner of the cube with the smallest coordinates.
        step: Distance between neighbouring places; rounding moves a coordinate by half of it.
    """

    lower: tuple[float, float, float]
    step: float

    @classmethod
    def around(cls, points: Float[np.ndarray, "point 3"]) -> "PointGrid":
        """The smallest grid that holds the points.

        Raises:
            ValueError: If there is no point, or one is not finite.
        """
        if not (len(points) and np.isfinite(points).all()):
            raise ValueError(
                "points must be at least one, and finite; got "
                f"{len(points)}, of which {np.isfinite(points).all(axis=1).sum()} finite: leave "
                "the others out."
            )
        lower = points.min(axis=0)
        side = float((points.max(axis=0) - lower).max())
        first, second, third = lower.tolist()
        return cls((first, second, third), (side or 1.0) / POINT_LEVELS)

    def encode(self, points: Float[np.ndarray, "point 3"]) -> str:
        """Places of points on the grid, as text.

        Raises:
            ValueError: If a point lies outside the grid.
        """
        places = np.rint((points - np.array(self.lower)) / self.step)
        if not ((places >= 0) & (places <= POINT_LEVELS)).all():
            raise ValueError(
                f"points must lie on the grid from {self.lower}, {POINT_LEVELS} steps of "
                f"{self.step:.3g}; got some outside: make the grid around all points."
            )
        return _text(places.astype("<u2"))

    def decode(self, text: str) -> Float[np.ndarray, "point 3"]:
        """Points at the places that ``encode`` wrote."""
        places = np.frombuffer(base64.b64decode(text), "<u2").reshape(-1, 3)
        return np.array(self.lower) + self.step * places


def encode_shares(shares: Float[np.ndarray, "..."]) -> str:
    """Numbers from 0 to 1 in steps of 1/255, as text.

    Raises:
        ValueError: If a number is outside [0, 1].

    Home section: *mini-VGGT*.
    """
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(
            f"shares must be from 0 to 1; got {np.min(shares):.3g} to {np.max(shares):.3g}: "
            "divide by the largest."
        )
    return _text(np.rint(SHARE_LEVELS * shares).astype(np.uint8))


def decode_shares(text: str) -> Float[np.ndarray, "entry"]:
    """Numbers that ``encode_shares`` wrote.

    Home section: *mini-VGGT*.
    """
    return np.frombuffer(base64.b64decode(text), np.uint8) / SHARE_LEVELS


def _text(codes: UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "..."]) -> str:
    return base64.b64encode(codes.tobytes()).decode("ascii")

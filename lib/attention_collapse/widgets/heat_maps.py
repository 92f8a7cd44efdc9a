"""Recorded attention of a few queries over the patches of frames, in 8 bits a weight."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attention_collapse.widgets.base import StateError
from attention_collapse.widgets.quantisation import decode_shares, encode_shares

Maps = Float[np.ndarray, "layer head query frame row column"]

MASS_ROUNDING = 0.01
"""What the rounding of a row of weights to 8 bits may add to its sum."""


@dataclass(frozen=True)
class HeatMaps:
    """Attention of some queries in a forward pass, over the patches of its first frames.

    Home section: *Does it collapse?*.

    Attributes:
        frames: Frames of the pass; the first ones are shown.
        attention: Softmax weights. What is missing to one is on other tokens.
        entropy: Mean entropy of the rows of the whole map, in nats.
        singular_ratio: Second singular value of the whole map over the first.
        predicted: The predicted kernel at the same places, or None.

    Raises:
        ValueError: If the arrays do not fit each other, more frames are shown than there are, or
            a map is not of weights.
    """

    frames: int
    attention: Maps
    entropy: Float[np.ndarray, "_ _"]
    singular_ratio: Float[np.ndarray, "_ _"]
    predicted: Float[np.ndarray, "_ _ _ _ _ _"] | None = None

    def __post_init__(self) -> None:
        shape = self.attention.shape
        given = [self.attention] if self.predicted is None else [self.attention, self.predicted]
        if any(each.shape != shape for each in given) or not (
            self.entropy.shape == self.singular_ratio.shape == shape[:2]
        ):
            raise StateError(
                "entropy and singular_ratio must have the layers and heads of attention, and "
                f"predicted its shape; got {self.entropy.shape}, {self.singular_ratio.shape} and "
                f"{given[-1].shape} for {shape}: record them together."
            )
        if not 1 <= shape[3] <= self.frames:
            raise StateError(
                f"frames must be at least those shown; got {self.frames} and {shape[3]} shown."
            )
        for weights in given:
            _require_weights(weights)


def _require_weights(weights: Maps) -> None:
    peaks, masses = weights.max(axis=(3, 4, 5)), weights.sum(axis=(3, 4, 5))
    if not (weights.min() >= 0 and peaks.min() > 0 and masses.max() <= 1 + MASS_ROUNDING):
        raise StateError(
            "a map must hold weights of one query, not negative, some above 0 and of a sum up to "
            f"1; got weights from {weights.min():.3g} and sums up to {masses.max():.3g}: give "
            "attention after the softmax."
        )


def encode_maps(weights: Maps) -> tuple[str, list[float]]:
    r"""Maps as text, and the largest weight of each.

    The code of a weight :math:`w` is :math:`255 \sqrt{w / w_{\max}}`, rounded: a root resolves
    small weights.

    Args:
        weights: Attention of every query.

    Home section: *Does it collapse?*.
    """
    peaks = np.array([float(f"{peak:.6g}") for peak in weights.max(axis=(3, 4, 5)).ravel()])
    shares = weights / peaks.reshape(*weights.shape[:3], 1, 1, 1)
    return encode_shares(np.sqrt(np.clip(shares, 0, 1))), peaks.tolist()


def decode_map(
    text: str, peaks: list[float], number: int, *, grid: tuple[int, int, int]
) -> Float[np.ndarray, "frame row column"]:
    """One map from ``encode_maps``.

    Args:
        text: All maps.
        peaks: Largest weights.
        number: Which map, counted over layers, heads and queries.
        grid: Frames shown, rows and columns.

    Home section: *Does it collapse?*.
    """
    size = int(np.prod(grid))
    roots = decode_shares(text)[number * size : (number + 1) * size]
    return peaks[number] * roots.reshape(grid) ** 2

"""How fast an error grows from one number of frames to the next, and how surely."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

DRAWS = 2000
"""Resamples of weights and scenes."""

CONFIDENCE = 0.95
"""Share of the resamples inside an interval."""


@dataclass(frozen=True)
class Slopes:
    r"""Slopes :math:`\ln(e_2 / e_1) / \ln(S_2 / S_1)` of a mean error, window by window.

    Above 1 it grows super-linearly, below 1 sub-linearly; an interval that holds 1 leaves it open.
    A number is missing where a mean is not positive, and an interval where that happens in more
    resamples than the interval leaves outside.

    Attributes:
        value: Of the means.
        low: Lower end of the interval.
        high: Upper end.

    Home section: *What fails*.
    """

    value: Float[np.ndarray, "window"]
    low: Float[np.ndarray, "window"]
    high: Float[np.ndarray, "window"]


def error_slopes(
    errors: Float[np.ndarray, "weights scene count"],
    frames: Int[np.ndarray, "count"],
    *,
    seed: int = 0,
) -> Slopes:
    """Slopes of the mean over weights and scenes, with bootstrap intervals.

    Weights and scenes are drawn with replacement, each by itself, and kept together over the
    numbers of frames: the windows compare the same scenes. For an excess pass the differences of
    two treatments, which are then paired too.

    Args:
        errors: Errors, or differences of errors.
        frames: Numbers of frames, ascending.
        seed: Of the resamples.

    Raises:
        ValueError: There are fewer than two numbers of frames, or they do not ascend.

    Home section: *What fails*.
    """
    steps = np.diff(np.log(frames))
    if not len(steps) or steps.min() <= 0:
        raise ValueError(f"a slope needs two or more ascending numbers of frames, got {frames}")
    generator = np.random.default_rng(seed)
    networks, scenes = errors.shape[:2]
    # How often each is drawn: a mean over a resample is a product with these.
    network_share = generator.multinomial(networks, np.full(networks, 1 / networks), DRAWS)
    scene_share = generator.multinomial(scenes, np.full(scenes, 1 / scenes), DRAWS)
    means = np.einsum("dn,ds,nsc->dc", network_share, scene_share, errors) / (networks * scenes)
    drawn = _slopes(means, steps)
    missing = np.isnan(drawn).mean(0) > 1 - CONFIDENCE
    low, high = np.full((2, len(steps)), np.nan)
    if not missing.all():
        ends = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)
        low[~missing], high[~missing] = np.nanquantile(drawn[:, ~missing], ends, axis=0)
    return Slopes(_slopes(errors.mean((0, 1)), steps), low, high)


def _slopes(
    means: Float[np.ndarray, "*draw count"], steps: Float[np.ndarray, "window"]
) -> Float[np.ndarray, "*draw window"]:
    logarithms = np.log(np.where(means > 0, means, np.nan))
    return np.diff(logarithms, axis=-1) / steps

"""What the ladder of closures is to reach on a trained network, and what a network reached."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from attention_collapse.figures.closure_ladder import TITLES, ladder_errors, layer_correlations

READING = 2.0
"""A head reads the reference frame if it pays it more than so many times the even share."""


@dataclass(frozen=True)
class Target:
    """A bound that was set before the measurement, and the worst that a network reached.

    Attributes:
        claim: What is bounded.
        bound: Largest error, or least correlation.
        reached: Largest error, or least correlation, of the record.
        least: Whether the bound is one from below.

    Home section: *Predicting the profile*.
    """

    claim: str
    bound: float
    reached: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the record is within the bound."""
        return self.reached >= self.bound if self.least else self.reached <= self.bound


def reference_readers(arrays: Mapping[str, np.ndarray]) -> Bool[np.ndarray, "scene layer head"]:
    """The heads that read the reference frame at the fewest frames.

    Args:
        arrays: Of a record of ``closure_ladder``.

    Home section: *Predicting the profile*.
    """
    return arrays["reference_mass"][:, 0] * arrays["frames"][0] > READING


def deficit_errors(
    arrays: Mapping[str, np.ndarray], rung: str
) -> Float[np.ndarray, "scene frame_count layer head"]:
    r""":math:`|\text{predicted} / \text{measured} - 1|` of the entropy deficit of every head.

    Args:
        arrays: Of a record of ``closure_ladder``.
        rung: One of ``closure_ladder.RUNGS``.

    Home section: *Predicting the profile*.
    """
    predicted = arrays["predicted_entropy_deficit"][list(arrays["rungs"]).index(rung)]
    return np.abs(predicted / arrays["entropy_deficit"] - 1)


def ladder_targets(arrays: Mapping[str, np.ndarray], *, atoms: int) -> tuple[Target, ...]:
    """The targets of the ladder, each with what the record reaches.

    Groups and propagation: the worst number of frames. Few frames: the worst head at the most.
    Numbers of frames that are propagated whole predict themselves and are left out there.

    Args:
        arrays: Of a record of ``closure_ladder``.
        atoms: Frames that were propagated.

    Raises:
        ValueError: If there are no more frames than were propagated.

    Home section: *Predicting the profile*.
    """
    further = arrays["frames"] > atoms
    if not further.any():
        raise ValueError(
            f"atoms must be below the most frames, {arrays['frames'].max()}, got {atoms}: as many "
            "frames predict themselves"
        )
    reads = reference_readers(arrays)
    few, diluted = (deficit_errors(arrays, rung)[:, -1] for rung in ("few_frames", "diluted"))
    rank = _medians(arrays, "propagated", "stable_rank")[further].max()
    deficits, ranks = (
        layer_correlations(arrays, quantity, rung="propagated")[0][:, further].min()
        for quantity in TITLES
    )
    grouped = (float(np.nanmax(_medians(arrays, "mixture", quantity))) for quantity in TITLES)
    return (
        Target("groups: deficit", 0.03, next(grouped)),
        Target("groups: stable rank", 0.1, next(grouped)),
        Target("few frames: deficit of others", 0.1, float(few[~reads].max(initial=0))),
        Target(
            "few frames, diluted: deficit of readers", 0.1, float(diluted[reads].max(initial=0))
        ),
        Target("propagation: layers by deficit", 0.9, float(deficits), least=True),
        Target("propagation: layers by rank", 0.9, float(ranks), least=True),
        Target("propagation: stable rank", 0.25, float(rank)),
    )


def _medians(
    arrays: Mapping[str, np.ndarray], rung: str, quantity: str
) -> Float[np.ndarray, "frame_count"]:
    return ladder_errors(arrays, quantity)[0][1][list(arrays["rungs"]).index(rung)]

"""Passes of several designs over the same images, in turn."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from attention_collapse.experiments.device_cost import LONG_RUN
from attention_collapse.experiments.forward_designs import STAGES, StageCosts
from attention_collapse.records import Timing


@dataclass(frozen=True)
class Race:
    """Passes of the designs over the same images, in turn.

    Attributes:
        passes: by design, what each pass took by stage: seconds and largest memory in bytes.
        failures: by design, why it has no pass.

    Home section: *VGGT in one chapter*.
    """

    passes: Mapping[str, Sequence[StageCosts]]
    failures: Mapping[str, str]

    def seconds(self, design: str, stage: str) -> Timing | None:
        """Time of a stage over the passes; ``None`` if there are none."""
        taken = [stages[stage][0] for stages in self.passes[design]]
        if not taken:
            return None
        return Timing(len(taken), min(taken), statistics.median(taken), max(taken))

    def peak_bytes(self, design: str, stage: str) -> float:
        """Largest memory up to the end of a stage; NaN if there is no pass."""
        return max((stages[stage][1] for stages in self.passes[design]), default=np.nan)


def race(cost: Callable[[str], StageCosts], names: Sequence[str], *, repeats: int) -> Race:
    """Let the designs take turns; the first round warms up, unless it is long.

    Args:
        cost: Makes one pass of a design and says what it took.
        names: The designs that take part.
        repeats: Rounds after the first; a design whose pass is long has one in all.

    Home section: *VGGT in one chapter*.
    """
    passes: dict[str, list] = {name: [] for name in names}
    failures: dict[str, str] = {}
    for turn in range(repeats + 1):
        for name in names:
            if name in failures or any(_is_long(stages) for stages in passes[name]):
                continue
            try:
                stages = cost(name)
            except torch.OutOfMemoryError as error:
                failures[name], passes[name] = str(error).splitlines()[0], []
                continue
            if turn or _is_long(stages):
                passes[name].append(stages)
    return Race(passes, failures)


def _is_long(stages: StageCosts) -> bool:
    return stages[STAGES[-1]][0] > LONG_RUN

"""One layer of attention of an ensemble, measured at one number of frames after another."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from attention_collapse.experiments.layer_passage import Budget
from attention_collapse.experiments.scratch import Memory, Scratch
from attention_collapse.experiments.token_ensembles import TokenEnsemble
from attention_collapse.measure.attention_summary import (
    Summary,
    summarise_attention,
    summarise_spectrum,
)
from attention_collapse.measure.streaming import StreamedAttention

_SEARCH_SEED = 0


@dataclass(frozen=True)
class EnsemblePoints:
    """Points of a setting without a network, each a layer of its own.

    Attributes:
        name: of the setting.
        ensemble: its tokens.
        frames: numbers of frames.
        storage: number format of queries and keys.
        singular_values: leading singular values that are sought.

    Home section: *A thousand frames*.
    """

    name: str
    ensemble: TokenEnsemble
    frames: tuple[int, ...]
    storage: str
    singular_values: int

    @property
    def depth(self) -> int:
        """Number of points."""
        return len(self.frames)

    def left(self, store: Scratch | Memory) -> list[int]:
        """Numbers of frames that are not measured yet."""
        return [frames for frames in self.frames if self._point(frames) not in store]

    def advance(
        self, store: Scratch | Memory, budget: Budget, finished: Callable[[], None]
    ) -> None:
        """Measure points until none is left or the budget ends, as in ``Passage``."""
        for frames in self.left(store):
            if not budget.take():
                return
            store.keep(self._point(frames), self._measure(frames))
            finished()

    def results(self, store: Scratch | Memory) -> list[Summary]:
        """The statistics at every number of frames, all of which are measured."""
        return [store.load(self._point(frames)) for frames in self.frames]

    def _measure(self, frames: int) -> Summary:
        heads = self.ensemble.queries_and_keys(self.ensemble.first(frames))
        storage = getattr(torch, self.storage)
        attention = StreamedAttention(*(tensor.to(storage) for tensor in heads))
        generator = torch.Generator(attention.query.device).manual_seed(_SEARCH_SEED)
        summary = summarise_attention(attention) | summarise_spectrum(
            attention, count=self.singular_values, energy=False, generator=generator
        )
        normaliser = attention.rows.log_sum_exp
        mass = self.ensemble.match_mass(attention.query, attention.key, normaliser)
        return summary | {"match_mass": mass.cpu()}

    def _point(self, frames: int) -> str:
        return f"{self.name}_{frames:04d}_frames"

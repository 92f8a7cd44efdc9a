"""Tokens on their way through layers, each layer measured, stopped and resumed."""

import math
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from attention_collapse.experiments.kept_heads import KeptHeads
from attention_collapse.experiments.scratch import Memory, Scratch, Unfinished
from attention_collapse.measure.attention_summary import Summary
from attention_collapse.measure.observe import HeadSpectrum, LayerRecorder
from attention_collapse.measure.streaming import Progress

# Seconds of work after which the residual stream is kept: what a run that is killed may lose.
KEEP_EVERY = 60.0


class Budget:
    """How many more layers a command measures.

    Args:
        layers: Their number; 0 for no limit.

    Home section: *A thousand frames*.
    """

    def __init__(self, layers: int) -> None:
        self._left = layers or math.inf

    @property
    def spent(self) -> bool:
        """Whether there is none left."""
        return self._left <= 0

    def take(self) -> bool:
        """Whether there is one more, which is then taken."""
        if self.spent:
            return False
        self._left -= 1
        return True


@runtime_checkable
class Passage(Protocol):
    """Layers that are measured one after another, and can be left in between.

    Home section: *A thousand frames*.
    """

    @property
    def depth(self) -> int:
        """Number of layers."""
        ...

    def left(self, store: Scratch | Memory) -> list[int]:
        """Layers that are not measured yet."""
        ...

    def advance(
        self, store: Scratch | Memory, budget: Budget, finished: Callable[[], None]
    ) -> None:
        """Measure layers until none is left or the budget ends.

        Args:
            store: Takes what is measured.
            budget: Asked before each layer.
            finished: Called after each layer.
        """
        ...


@dataclass(frozen=True)
class LayerPassage:
    """The passage of some tokens through all layers.

    What is measured of a layer is stored at once; the residual stream now and then, and when the
    budget ends. Layers that are measured already are passed without looking.

    Attributes:
        name: of the tokens among others of the store.
        start: the stream before the first layer; called if no stream is stored.
        step: the stream after a layer, from the stream before it, the layer's number and
            ``observe``, which is shown the layer as ``global.07``.
        depth: number of layers.
        recorder: makes the observer of one layer; what it is given as ``finished`` holds the heads
            whose spectrum is known already.
        device: where the stream is.

    Home section: *A thousand frames*.
    """

    name: str
    start: Callable[[], Tensor]
    step: Callable[..., Tensor]
    depth: int
    recorder: Callable[..., LayerRecorder]
    device: str

    def left(self, store: Scratch | Memory) -> list[int]:
        """Layers that are not measured yet."""
        return [layer for layer in range(self.depth) if self._layer(layer) not in store]

    def advance(
        self, store: Scratch | Memory, budget: Budget, finished: Callable[[], None]
    ) -> None:
        """Measure layers until none is left or the budget ends, as in ``Passage``."""
        left = self.left(store)
        if not left or budget.spent:
            return
        first, stream = self._resume(store)
        kept = time.monotonic()
        for layer in range(first, left[-1] + 1):
            if layer in left and not budget.take():
                self._keep(store, layer, stream)
                return
            stream = self._pass(layer, stream, store)
            if layer in left:
                finished()
            if time.monotonic() - kept >= KEEP_EVERY:
                self._keep(store, layer + 1, stream)
                kept = time.monotonic()
        store.drop(self._stream)

    def results(self, store: Scratch | Memory) -> list[Summary]:
        """The statistics of every layer, all of which are measured."""
        return [store.load(self._layer(layer)) for layer in range(self.depth)]

    def _pass(self, layer: int, stream: Tensor, store: Scratch | Memory) -> Tensor:
        if self._layer(layer) in store:
            return self.step(stream, layer)
        heads = self._heads(layer, store)
        recorder = self.recorder(finished=lambda _: heads)
        stream = self.step(stream, layer, observe=recorder)
        store.keep(self._layer(layer), recorder.statistics[f"global.{layer:02d}"])
        heads.clear()
        return stream

    def _heads(self, layer: int, store: Scratch | Memory) -> MutableMapping[int, HeadSpectrum]:
        if isinstance(store, Memory):
            return {}
        return KeptHeads(store, self._layer(layer), self.device)

    def _resume(self, store: Scratch | Memory) -> tuple[int, Tensor]:
        """The next layer and the residual stream before it."""
        if self._stream in store:
            kept = store.load(self._stream, device=self.device)
            return int(kept["layer"]), kept["stream"]
        return 0, self.start()

    def _keep(self, store: Scratch | Memory, layer: int, stream: Tensor) -> None:
        # Nothing goes on from a stream that ends with the run.
        if isinstance(store, Scratch):
            store.keep(self._stream, {"stream": stream, "layer": torch.tensor(layer)})

    @property
    def _stream(self) -> str:
        return f"{self.name}_stream"

    def _layer(self, layer: int) -> str:
        return f"{self.name}_layer_{layer:02d}"


def advance_all(
    passages: Sequence[Passage],
    store: Scratch | Memory,
    *,
    layers: int,
    task: str,
    progress: Progress,
) -> None:
    """Take passages through their layers, one after another, as far as one command goes.

    Args:
        passages: What is measured.
        store: Takes what is measured, and gives what was.
        layers: Layers that this command measures; 0 for all.
        task: What ``progress`` is told.
        progress: Told how many layers are measured.

    Raises:
        Unfinished: if layers are left.

    Home section: *A thousand frames*.
    """
    budget, total = Budget(layers), sum(passage.depth for passage in passages)

    def left() -> int:
        return sum(len(passage.left(store)) for passage in passages)

    with torch.inference_mode():
        for passage in passages:
            passage.advance(store, budget, lambda: progress(task, total - left(), total))
    if left():
        raise Unfinished(f"{left()} of {total} layers are left: run the same command again")

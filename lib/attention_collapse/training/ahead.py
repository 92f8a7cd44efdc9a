"""Rounds of batches, rendered while the round before is trained on."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from attention_collapse.training.batch import Batch

Round = Mapping[int, Batch]


class RenderedAhead:
    """Calls a function for each round in a thread of its own, one round ahead of the caller.

    Rendering waits for the device and for the numbers of the cameras, and training need not wait
    with it. On a CUDA device the work has a stream of its own. A round that is not the next one
    is rendered when it is asked for; what the function raises, the call for that round raises.
    Home section: *mini-VGGT*.

    Args:
        render: Makes the batches of a round from its number.
        device: Where it makes them.
    """

    def __init__(self, render: Callable[[int], Round], device: torch.device | str) -> None:
        self._render, self._device = render, torch.device(device)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rendering")
        self._next: dict[int, Future[Round]] = {}
        self._stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None

    def __call__(self, number: int) -> Round:
        """The batches of a round, while those of the next are begun."""
        wanted = self._next.pop(number, None) or self._begun(number)
        self._next = {number + 1: self._begun(number + 1)}
        batches = wanted.result()
        if self._stream is not None:
            self._hand_over(batches)
        return batches

    def close(self) -> None:
        """Wait for the round in work and begin no other."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _begun(self, number: int) -> Future[Round]:
        return self._thread.submit(self._made, number)

    def _made(self, number: int) -> Round:
        if self._stream is None:
            return self._render(number)
        with torch.cuda.stream(self._stream):
            batches = self._render(number)
        self._stream.synchronize()
        return batches

    def _hand_over(self, batches: Round) -> None:
        """Keep the memory of batches from the thread until the caller's stream has read them."""
        reader = torch.cuda.current_stream(self._device)
        for batch in batches.values():
            for tensor in batch.tensors():
                tensor.record_stream(reader)

"""Gradients of a batch: computed call by call, or recorded once as a CUDA graph and replayed."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.training import losses
from attention_collapse.training.batch import Batch
from attention_collapse.training.config import TrainingConfig
from attention_collapse.training.losses import Loss, errors
from attention_collapse.training.precision import product_dtype

# Passes before a recording, which compile what is compiled and make the tables of positions.
REHEARSALS = 2


def set_gradients(
    network: nn.Module, batch: Batch, config: TrainingConfig, *, loss: Loss = losses.loss
) -> Float[Tensor, "number"]:
    """Put the gradients of a batch's loss in the place of those before; the loss and the errors.

    On a GPU that has it, matrix products are in bfloat16; weights, residuals and heads stay in
    float32, but for what ``tf32_products`` shortens.
    Home section: *mini-VGGT*.

    Args:
        network: Receives the gradients.
        batch: Images and targets, on the network's device.
        config: Weights of the parts of the loss.
        loss: ``loss``, or what a compiler made of it.
    """
    network.zero_grad()
    with _short_numbers(batch.images.device):
        reconstruction = network(batch.images)
    value = loss(reconstruction, batch.targets, config)
    value.backward()
    found = errors(reconstruction, batch.targets)
    return torch.stack([value.detach(), *vars(found).values()])


@dataclass(frozen=True)
class _Recording:
    """A pass over batches of one shape, with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    gradients: list[Tensor | None]
    numbers: Tensor


class RecordedGradients:
    """``set_gradients`` on a CUDA device, recorded for each shape of batch and then replayed.

    A replay costs one call in the place of a thousand, each of which takes longer than what it
    starts on the device.
    Home section: *mini-VGGT*.

    Args:
        network: Receives the gradients; its weights may change in place.
        config: Weights of the parts of the loss.
        loss: As in ``set_gradients``.
    """

    def __init__(
        self, network: nn.Module, config: TrainingConfig, *, loss: Loss = losses.loss
    ) -> None:
        self._set_gradients = partial(set_gradients, network, config=config, loss=loss)
        self._network = network
        self._parameters = list(network.parameters())
        self._recordings: dict[torch.Size, _Recording] = {}

    def rehearse(self, batch: Batch) -> None:
        """Compile for batches of this shape; what the batch shows does not matter.

        The gradients are those of this batch afterwards.
        """
        for _ in range(REHEARSALS):
            self._set_gradients(batch)

    def __call__(self, batch: Batch) -> Float[Tensor, "number"]:
        """Put the gradients in the place of those before; the loss and the errors."""
        shape = batch.images.shape
        if shape not in self._recordings:
            self._recordings[shape] = self._record(batch)
        recording = self._recordings[shape]
        for read, given in zip(recording.batch.tensors(), batch.tensors(), strict=True):
            read.copy_(given)
        recording.graph.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.numbers.clone()

    def _record(self, batch: Batch) -> _Recording:
        own = Batch.of([tensor.clone() for tensor in batch.tensors()])
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.rehearse(own)
        # Gradients born in the recording stay where its replays write them.
        self._network.zero_grad()
        graph = torch.cuda.CUDAGraph()
        # Another thread may be rendering, which must not end the recording.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            numbers = self._set_gradients(own)
        gradients = [parameter.grad for parameter in self._parameters]
        return _Recording(graph, own, gradients, numbers)


def _short_numbers(device: torch.device) -> AbstractContextManager:
    dtype = product_dtype(device)
    if dtype is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)

"""One network in several designs that compute the same, and what each stage of a pass costs."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attention_collapse.experiments import device_cost
from attention_collapse.experiments.reference_design import ReferenceDesign
from attention_collapse.vggt import (
    VGGT,
    VGGTConfig,
    cast_linear_weights,
    compile_blocks,
    compute_dtype,
)

STAGES = ("aggregator", "network")
"""Up to the streams of the aggregator, and up to cameras, depth and points."""

StageCosts = Mapping[str, tuple[float, float]]
"""Seconds and bytes by stage."""


def _library(network: VGGT) -> VGGT:
    return network


def _compiled(network: VGGT) -> VGGT:
    twin = _twin(network)
    compile_blocks(twin.aggregator)
    return twin


def _release(network: VGGT) -> VGGT:
    twin = _twin(network)
    twin.aggregator = ReferenceDesign(twin.aggregator)
    return twin


def _twin(network: VGGT) -> VGGT:
    """A second network with the same tensors as weights."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


DESIGNS: Mapping[str, Callable[[VGGT], VGGT]] = {
    "library": _library,
    "compiled": _compiled,
    "release": _release,
}
"""The library's network, the same with compiled blocks, and the habits of the first release."""


class Designs:
    """One set of random weights on one device, in every design asked for.

    The weights are drawn on the device itself, which takes a second where drawing a thousand
    million numbers on one processor core takes a minute.

    Args:
        sizes: Sizes of the network.
        names: Designs, from ``DESIGNS``.
        device: Where to run.
        seed: Of weights and pixels.
        prefer_cudnn: Try the attention kernel of cuDNN before torch's own choice.

    Home section: *VGGT in one chapter*.
    """

    def __init__(
        self,
        sizes: VGGTConfig,
        names: Sequence[str],
        *,
        device: str,
        seed: int,
        prefer_cudnn: bool = False,
    ) -> None:
        self._sizes, self._device, self._prefer_cudnn = sizes, device, prefer_cudnn
        self._generator = torch.Generator(device).manual_seed(seed)
        with torch.device(device):
            network = VGGT(sizes, generator=self._generator).requires_grad_(False)
        cast_linear_weights(network.aggregator, compute_dtype(device))
        self._network = network
        self._networks = {name: DESIGNS[name](network) for name in names}

    def images(self, frames: int, image_size: tuple[int, int]) -> Tensor:
        """Random pixels of one scene."""
        shape = (1, frames, 3, *image_size)
        return torch.rand(shape, generator=self._generator, device=self._device)

    def network(self, name: str) -> VGGT:
        """The network of a design; all share one set of weights."""
        return self._networks[name]

    @torch.inference_mode()
    def cost(self, name: str, images: Tensor, *, frame_chunk: int | None) -> StageCosts:
        """Seconds and largest memory, in bytes, from the start of a pass to the end of each stage.

        The memory is NaN without CUDA. What the pass returns is dropped.
        """
        network = self._networks[name]
        device_cost.reset_peak(self._device)
        with self._kernels(), self._clock(network.aggregator) as marks:
            network(images, frame_chunk=frame_chunk)
        return dict(zip(STAGES, marks, strict=True))

    @torch.inference_mode()
    def flops(self, images: Tensor) -> dict[str, int]:
        """Operations of matrix products and convolutions by stage, two for a multiply-add."""
        # On loading it looks for Triton, of which the API reference is built with a stand-in.
        from torch.utils.flop_counter import FlopCounterMode

        network, counts = self._network, {}
        # The counter knows plain matrix products, but not the fused kernel of every device.
        for stage, part in zip(STAGES, (network.aggregator, network), strict=True):
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                part(images)
            counts[stage] = counter.get_total_flops()
        return counts

    @torch.inference_mode()
    def kept_bytes(self, name: str, images: Tensor) -> int:
        """Bytes of what the aggregator hands to its heads."""
        aggregator = self._networks[name].aggregator
        layers = aggregator(images, keep=self._sizes.kept_layers).layers
        storages = {
            half.untyped_storage().data_ptr(): half.untyped_storage().nbytes()
            for layer in layers
            for half in layers.halves(layer)
        }
        return sum(storages.values())

    @contextmanager
    def _clock(self, aggregator: nn.Module) -> Iterator[list[tuple[float, float]]]:
        """Marks of the two stages, filled while the context is open and on leaving it."""
        marks: list[tuple[float, float]] = []

        def mark(*_: object) -> None:
            device_cost.wait(self._device)
            seconds = time.perf_counter() - start
            marks.append((seconds, device_cost.peak_bytes(self._device)))

        hook = aggregator.register_forward_hook(mark)
        device_cost.wait(self._device)
        start = time.perf_counter()
        try:
            yield marks
            mark()
        finally:
            hook.remove()

    def _kernels(self) -> AbstractContextManager:
        return device_cost.fastest_attention(self._device) if self._prefer_cudnn else nullcontext()

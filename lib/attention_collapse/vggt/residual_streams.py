"""Residual streams that an aggregator keeps for its heads."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

Halves = tuple[Float[Tensor, "scene frame token width"], Float[Tensor, "scene frame token width"]]


class ResidualStreams(Mapping):
    """By layer, the streams after its frame block and after its global block.

    ``streams[layer]`` joins the two along the channels, frame half first, into a tensor
    ``[scene frame token two_width]`` that is made anew each time. What is stored are the halves
    alone: they are the network's own tensors, and joining all layers at once would hold everything
    twice.

    Args:
        halves: The two streams of each layer.

    Raises:
        KeyError: On reading a layer that was not kept.

    Home section: *The phenomenon*.
    """

    def __init__(self, halves: Mapping[int, Halves]) -> None:
        self._halves = dict(sorted(halves.items()))

    def __getitem__(self, layer: int) -> Float[Tensor, "scene frame token two_width"]:
        return torch.cat(self.halves(layer), dim=-1)

    def __iter__(self) -> Iterator[int]:
        return iter(self._halves)

    def __len__(self) -> int:
        return len(self._halves)

    def halves(self, layer: int) -> Halves:
        """The streams after the frame block and after the global block of a layer, not copied.

        Raises:
            KeyError: The layer was not kept.
        """
        if layer not in self._halves:
            raise KeyError(
                f"layer {layer} was not kept, only {list(self._halves)}: name it in keep"
            )
        return self._halves[layer]

"""An aggregator taken one layer at a time, so that a run can stop between two of them."""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.experiments.device_cost import fastest_attention
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import (
    Aggregator,
    AggregatorConfig,
    Block,
    Observe,
    cast_linear_weights,
)
from attention_collapse.vggt.observation import scoped

STORAGE = ("float64", "float32", "bfloat16")
"""Number formats of a network: all of it, or for bfloat16 its linear maps alone."""


def check_storage(storage: str) -> None:
    """Refuse a number format that a network is not run in.

    Raises:
        ValueError: unless it is one of ``STORAGE``.

    Home section: *A thousand frames*.
    """
    if storage not in STORAGE:
        raise ValueError(
            f"storage must be one of {', '.join(STORAGE)}, got {storage!r}: bfloat16 is for CUDA"
        )


def random_network(sizes: AggregatorConfig, *, seed: int, storage: str, device: str) -> Aggregator:
    """An aggregator with weights drawn from a seed, on a device and in a number format.

    In bfloat16 the linear maps compute in bfloat16, and with them queries and keys; the residual
    stream and the norms stay in float32.

    Args:
        sizes: Its sizes.
        seed: Of the weights.
        storage: One of ``STORAGE``.
        device: Where it runs.

    Raises:
        ValueError: if the number format is another.

    Home section: *A thousand frames*.
    """
    check_storage(storage)
    stream = torch.float64 if storage == "float64" else torch.float32
    network = Aggregator(sizes, generator=torch.Generator().manual_seed(seed)).to(device, stream)
    if storage == "bfloat16":
        cast_linear_weights(network, torch.bfloat16)
    return network.eval()


class LayerSteps:
    """The residual stream of one scene, step by step through the layers of an aggregator.

    One step is a frame block and a global block, of which the caller sees the latter: the stream
    after step ``l`` is that of ``Aggregator.forward`` after layer ``l``.

    Args:
        network: Frame blocks first, one by one; its patches embedded by any of its means.
        layout: Where the tokens of the scene sit.
        frame_chunk: Frames at a time in all that is done frame by frame.

    Raises:
        ValueError: if the blocks of the network come in another order.

    Home section: *A thousand frames*.
    """

    def __init__(self, network: Aggregator, layout: TokenLayout, *, frame_chunk: int) -> None:
        sizes = network.config
        if sizes.order != ("frame", "global") or sizes.group_size != 1:
            raise ValueError(
                "a network taken layer by layer must alternate frame and global blocks, got order "
                f"{sizes.order} in groups of {sizes.group_size}: leave both at their defaults"
            )
        self._network, self._layout, self._frame_chunk = network, layout, frame_chunk
        self._rotary = network.rotary(layout)

    def start(
        self, images: Float[Tensor, "frame 3 image_height image_width"]
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream before the first layer."""
        return self._network.embed(images[None], frame_chunk=self._frame_chunk)[0]

    def step(
        self,
        stream: Float[Tensor, "frame token width"],
        layer: int,
        *,
        observe: Observe | None = None,
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream after a layer; ``observe`` is shown its global block, by full names.

        Args:
            stream: The residual stream before it.
            layer: Counted from 0.
            observe: Called with the points of ``global.07`` and the like.
        """
        frame_block, global_block = self._blocks(layer)
        with fastest_attention(str(stream.device)):
            stream = frame_block.by_batch(stream, rotary=self._rotary, chunk=self._frame_chunk)
            mixed = global_block(
                stream.flatten(0, 1)[None],
                rotary=self._rotary,
                observe=scoped(observe, f"global.{layer:02d}"),
                token_chunk=self._frame_chunk * self._layout.per_frame,
            )
        return mixed.reshape(stream.shape)

    def _blocks(self, layer: int) -> tuple[Block, Block]:
        return self._network.frame_blocks[layer], self._network.global_blocks[layer]


def spaced_heads(heads: int, observed: int) -> tuple[int, ...]:
    """The heads that are measured, evenly spaced from the first on.

    Args:
        heads: Heads of a layer.
        observed: How many are measured; 0 for all.

    Raises:
        ValueError: if there are not so many.

    Home section: *A thousand frames*.
    """
    if not 0 <= observed <= heads:
        raise ValueError(
            f"observed_heads must be from 1 to the {heads} heads, or 0 for all of them, got "
            f"{observed}: measure heads that exist"
        )
    return tuple(number * heads // observed for number in range(observed)) or tuple(range(heads))

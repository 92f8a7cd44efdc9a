"""The aggregator as VGGT was first released, for the comparison of its cost.

Same weights, same blocks, same numbers; three habits differ. Every layer is kept, as a float32
tensor with both streams side by side. Every block gathers the rotations of all tokens anew, once
for the queries and once for the keys, and reads the largest position back from the device each
time; the release stores the cosines and sines of the places, which are computed again here. All
frames pass through a layer at once. What else that release does is not repeated here.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorOutput, RotaryTable
from attention_collapse.vggt.residual_streams import ResidualStreams


class ReferenceDesign(nn.Module):
    """An aggregator in the place of another one, with the memory and the waits of the release.

    Args:
        aggregator: Gives weights and sizes; blocks of a frame and of all frames take turns, frame
            first.

    Raises:
        ValueError: The aggregator has another order of blocks or no rotary positions.

    Source: VGGT (arXiv 2503.11651), the release of mid-2025. Home section: *The phenomenon*.
    """

    def __init__(self, aggregator: Aggregator) -> None:
        super().__init__()
        config = aggregator.config
        if config.order != ("frame", "global") or config.group_size != 1 or not config.rotary_base:
            raise ValueError(
                "the reference design has frame and global blocks in turn and rotary positions, "
                f"got order {config.order}, group_size {config.group_size} and rotary_base "
                f"{config.rotary_base}; leave all three at their defaults"
            )
        self.aggregator = aggregator

    def forward(
        self,
        images: Float[Tensor, "scene frame 3 image_height image_width"],
        *,
        keep: Sequence[int] = (),
        frame_chunk: int | None = None,
        **_: None,
    ) -> AggregatorOutput:
        """The residual streams after all layers.

        Args:
            images: As in ``Aggregator``.
            keep: Ignored: all layers are kept.
            frame_chunk: Ignored: all frames pass at once.
        """
        config, streams = self.aggregator.config, {}
        scenes, frames, _, *sides = images.shape
        special = 1 + config.registers
        layout = TokenLayout.from_image(
            frames, *sides, patch_size=config.patch_size, special=special
        )
        positions = torch.from_numpy(layout.positions()).to(images.device)
        tokens = self._first_tokens(images)
        for layer in range(config.depth):
            frame = self.aggregator.frame_blocks[layer](
                tokens.flatten(0, 1), rotary=self._table(positions)
            )
            whole = self.aggregator.global_blocks[layer](
                frame.reshape(scenes, layout.count, -1), rotary=self._table(positions)
            )
            tokens = whole.reshape(tokens.shape)
            joined = torch.cat((frame.reshape(tokens.shape), tokens), dim=-1)
            streams[layer] = joined.chunk(2, dim=-1)
        return AggregatorOutput(ResidualStreams(streams), layout)

    def _first_tokens(
        self, images: Float[Tensor, "scene frame 3 image_height image_width"]
    ) -> Float[Tensor, "scene frame token width"]:
        network = self.aggregator
        scenes, frames = images.shape[:2]
        pixels = (images.to(network.pixel_mean.dtype) - network.pixel_mean) / network.pixel_std
        patches = network.patch_embed(pixels.flatten(0, 1)).unflatten(0, (scenes, frames))
        sets = [0] + [1] * (frames - 1)
        special = torch.cat((network.camera_token, network.register_token), dim=2)
        return torch.cat((special[:, sets].expand(scenes, -1, -1, -1), patches), dim=2)

    def _table(self, positions: Int[Tensor, "token 2"]) -> RotaryTable:
        """The table of a block, made once for its queries and once for its keys."""
        config = self.aggregator.config
        dim, dtype = config.width // config.heads, self.aggregator.camera_token.dtype
        for _ in ("query", "key"):
            table = _gathered_table(positions, dim, config.rotary_base, dtype)
        return table


def _gathered_table(
    positions: Int[Tensor, "token 2"], dim: int, base: float, dtype: torch.dtype
) -> RotaryTable:
    """The table of the positions, read from one over all places up to the largest."""
    largest = int(positions.max())
    step = torch.arange(dim // 4, device=positions.device, dtype=dtype) / (dim // 4)
    places = torch.arange(largest + 1, device=positions.device, dtype=dtype)
    angles = places[:, None] * base**-step
    of_place = torch.cat((angles, angles), dim=-1)
    angles = of_place[positions].flatten(1)
    return RotaryTable(cos=angles.cos(), sin=angles.sin())

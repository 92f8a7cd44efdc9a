"""Many worlds in one: stacked to a common number of solids, and chosen from by index."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

from attention_collapse.scenes.materials import Materials
from attention_collapse.scenes.solids import Solids
from attention_collapse.scenes.world import ROOM_FACES, World

Part = TypeVar("Part")


def stack_worlds(worlds: Sequence[World]) -> World:
    """Single worlds side by side, along a new first axis; see ``join_worlds``.

    Home section: *mini-VGGT*.
    """
    return join_worlds([_combine(lambda tensor: tensor[None], [world]) for world in worlds])


def join_worlds(parts: Sequence[World]) -> World:
    """Worlds that are side by side in several parts, side by side in one.

    Worlds with fewer solids than others are given some that no ray meets.
    Home section: *mini-VGGT*.

    Args:
        parts: each with an axis of worlds, on one device.

    Raises:
        ValueError: there is no part, or some are lit by lamps and some by suns.
    """
    if len({part.light.is_sun for part in parts}) != 1:
        raise ValueError(
            f"worlds to join must be one or more, all with lamps or all with suns, got "
            f"{[part.light.is_sun for part in parts]} for is_sun; join each kind by itself"
        )
    balls = max(part.solids.balls for part in parts)
    blocks = max(part.solids.heading.shape[1] - part.solids.balls for part in parts)
    padded = [_pad(part, balls, blocks) for part in parts]
    return _combine(lambda *tensors: torch.cat(tensors), padded)


def choose_worlds(worlds: World, index: Int64[Tensor, "*frame"]) -> World:
    """The world of each frame, from worlds side by side.

    Home section: *mini-VGGT*.
    """
    return _combine(lambda tensor: tensor[index], [worlds])


def move_worlds(worlds: World, device: torch.device | str) -> World:
    """The same worlds on a device.

    Home section: *mini-VGGT*.
    """
    return _combine(lambda tensor: tensor.to(device), [worlds])


def _combine(transform: Callable[..., Tensor], parts: Sequence[Part]) -> Part:
    """Apply a function to the tensors that stand at the same place in nested dataclasses."""
    first = parts[0]
    if isinstance(first, Tensor):
        return transform(*parts)
    if not is_dataclass(first):
        return first
    names = [field.name for field in fields(first)]
    return type(first)(
        **{name: _combine(transform, [getattr(part, name) for part in parts]) for name in names}
    )


def _pad(worlds: World, balls: int, blocks: int) -> World:
    """The worlds with a given number of balls and blocks, the added ones met by no ray."""
    have, solids = worlds.solids.balls, worlds.solids
    missing_blocks = blocks - (solids.heading.shape[1] - have)

    def widened(table: Tensor, first: int, filling: float = 0.0) -> Tensor:
        more_balls, more_blocks = (
            table.new_full((len(table), count, *table.shape[2:]), filling)
            for count in (balls - have, missing_blocks)
        )
        end = first + have
        return torch.cat([table[:, :end], more_balls, table[:, end:], more_blocks], dim=1)

    # A size that is no number: every comparison with it is false, so that no ray meets the solid.
    padded = Solids(
        widened(solids.centre, 0),
        widened(solids.half_size, 0, torch.nan),
        widened(solids.heading, 0),
        balls,
    )
    columns = {
        field.name: widened(getattr(worlds.materials, field.name), ROOM_FACES)
        for field in fields(Materials)
    }
    return replace(worlds, solids=padded, materials=Materials(**columns))

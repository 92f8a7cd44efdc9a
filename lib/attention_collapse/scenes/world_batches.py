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
    """Worlds side by side, along a new first axis.

    Worlds with fewer solids than others are given some that no ray meets.
    Home section: *mini-VGGT*.

    Args:
        worlds: single worlds on one device.

    Raises:
        ValueError: there is no world, or some are lit by lamps and some by suns.
    """
    if len({world.light.is_sun for world in worlds}) != 1:
        raise ValueError(
            f"worlds to stack must be one or more, all with lamps or all with suns, got "
            f"{[world.light.is_sun for world in worlds]} for is_sun; stack each kind by itself"
        )
    balls = max(world.solids.balls for world in worlds)
    blocks = max(len(world.solids.yaw) - world.solids.balls for world in worlds)
    padded = [_pad(world, balls, blocks) for world in worlds]
    return _combine(lambda *tensors: torch.stack(tensors), padded)


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


def _pad(world: World, balls: int, blocks: int) -> World:
    """The world with a given number of balls and blocks, the added ones met by no ray."""
    have, solids = world.solids.balls, world.solids
    missing_blocks = blocks - (len(solids.yaw) - have)

    def widened(table: Tensor, first: int, filling: float = 0.0) -> Tensor:
        fill = table.new_full(table.shape[1:], filling)
        more_balls, more_blocks = (
            fill.expand(count, *fill.shape) for count in (balls - have, missing_blocks)
        )
        return torch.cat([table[: first + have], more_balls, table[first + have :], more_blocks])

    # A size that is no number: every comparison with it is false, so that no ray meets the solid.
    padded = Solids(
        widened(solids.centre, 0),
        widened(solids.half_size, 0, torch.nan),
        widened(solids.yaw, 0),
        balls,
    )
    columns = {
        field.name: widened(getattr(world.materials, field.name), ROOM_FACES)
        for field in fields(Materials)
    }
    return replace(world, solids=padded, materials=Materials(**columns))

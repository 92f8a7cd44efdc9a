"""Worlds drawn from seeds, by one process or by several."""

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from attention_collapse.scenes.trajectories import OrbitPath, WalkPath
from attention_collapse.scenes.world import World
from attention_collapse.scenes.world_batches import join_worlds, stack_worlds

Path = OrbitPath | WalkPath
Draw = Callable[[int], tuple[World, Path]]


def draw_worlds(
    draw: Draw, seeds: Sequence[int], *, processes: int = 1
) -> tuple[World, list[Path]]:
    """The worlds of some seeds side by side, and the paths through them.

    A world is some hundred small draws, one after the other: Python, not torch, sets the pace.
    Home section: *mini-VGGT*.

    Args:
        draw: the world and the path of a seed; a function that ``pickle`` can name if there are
            several processes.
        seeds: one for each world.
        processes: how many share the work.

    Raises:
        ValueError: there is no seed, or there is no process.
    """
    if not seeds or processes < 1:
        raise ValueError(
            "worlds must be drawn from at least one seed by at least one process, got "
            f"{list(seeds)} and {processes}; use for example range(8) and 1"
        )
    if processes == 1:
        return _draw(draw, seeds)
    share = -(-len(seeds) // processes)
    shares = [seeds[first : first + share] for first in range(0, len(seeds), share)]
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        parts = [pickle.loads(part) for part in pool.map(partial(_draw_packed, draw), shares)]
    return join_worlds([worlds for worlds, _ in parts]), [path for _, p in parts for path in p]


def _draw(draw: Draw, seeds: Sequence[int]) -> tuple[World, list[Path]]:
    worlds, paths = zip(*map(draw, seeds), strict=True)
    return stack_worlds(worlds), list(paths)


def _draw_packed(draw: Draw, seeds: Sequence[int]) -> bytes:
    # As bytes: tensors would travel through shared memory, of which containers have little.
    return pickle.dumps(_draw(draw, seeds))

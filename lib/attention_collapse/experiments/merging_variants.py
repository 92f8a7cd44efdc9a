"""Ways to run the attention of one layer with fewer tokens, stage by stage."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.attention import sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from attention_collapse.experiments import device_cost
from attention_collapse.experiments.merging_problem import MergingProblem
from attention_collapse.merging.attention import MergeRule, attend, merge_heads
from attention_collapse.merging.choice import choose_backend
from attention_collapse.merging.fastvggt import (
    SEED,
    ReleasedPartition,
    released_match,
    released_partition,
)
from attention_collapse.merging.grouping import GridGrouping
from attention_collapse.merging.groups import Groups
from attention_collapse.merging.matching import Match, group

STAGES = ("features", "match", "group", "merge", "attention", "unmerge")

_Result = TypeVar("_Result")


class Clock:
    """Seconds of the stages of one run, which follow each other without a wait.

    A CUDA device takes its own time. As long as the processor is ahead of it, a stage is not
    charged for the start of its kernels.

    Args:
        device: Where the stages run.

    Home section: *Token merging*.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._marks: dict[str, tuple[device_cost.Mark, device_cost.Mark]] = {}

    def __call__(self, stage: str, operation: Callable[[], _Result]) -> _Result:
        """Run one stage and give what it returns."""
        begin = device_cost.mark(self._device)
        result = operation()
        self._marks[stage] = begin, device_cost.mark(self._device)
        return result

    def finish(self) -> dict[str, float]:
        """Wait until the device has come to the end of all stages; seconds by stage."""
        device_cost.wait(self._device)
        return {stage: device_cost.between(*marks) for stage, marks in self._marks.items()}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of a variant gives.

    Attributes:
        output: The outputs of all tokens, heads side by side.
        queries: Number of queries that attention ran on.
        keys: Number of keys.
        pairs: Number of pairs that were compared, times the width of what was compared.

    Home section: *Token merging*.
    """

    output: Float[Tensor, "1 token width"]
    queries: int
    keys: int
    pairs: int


Variant = Callable[[MergingProblem, Clock], Outcome]
"""One way to run the attention of a layer."""


def plain(problem: MergingProblem, clock: Clock) -> Outcome:
    """Attention of all tokens by the best fused kernel.

    Home section: *Token merging*.
    """
    output = clock("attention", lambda: _side_by_side(fused(*_heads(problem))))
    return Outcome(output, problem.layout.count, problem.layout.count, 0)


def public(problem: MergingProblem, clock: Clock) -> Outcome:
    """FastVGGT as released: products in chunks, means by scattered sums, no sizes.

    Features, match and the order of the sources are one stage, ``match``.

    Home section: *Token merging*.
    """
    partition = _released(problem)
    found = clock("match", lambda: released_match(problem.tokens, partition))
    merged = clock("merge", lambda: [found.merge(tensor) for tensor in _heads(problem)])
    mixed = clock("attention", lambda: _side_by_side(fused(*merged)))
    output = clock("unmerge", lambda: found.unmerge(mixed))
    compared = len(partition.sources) * len(partition.destinations)
    return Outcome(output, mixed.shape[1], mixed.shape[1], compared * problem.tokens.shape[-1])


def released_set(problem: MergingProblem, clock: Clock) -> Outcome:
    """The tokens that FastVGGT keeps, twice where it keeps them twice, by the library's operations.

    Home section: *Token merging*.
    """
    partition, backend = _released(problem), choose_backend(problem.tokens)
    joining = partition.sources[~torch.isin(partition.sources, partition.protected)]
    twice = partition.destinations[torch.isin(partition.destinations, partition.protected)]
    rows = [joining, partition.destinations]
    features = clock("features", lambda: [backend.directions(problem.tokens, row) for row in rows])
    found = clock("match", lambda: backend.nearest(*features))
    target = partition.destinations[found.position]
    groups = clock("group", lambda: _joined(problem.layout.count, joining, target))
    del features

    def merge() -> list[Tensor]:
        heads = _heads(problem)
        return [torch.cat((groups.merge(one), one[:, :, twice]), dim=2) for one in heads]

    merged = clock("merge", merge)
    mixed = clock("attention", lambda: _side_by_side(attend_all(*merged)))

    def unmerge() -> Float[Tensor, "1 token width"]:
        output = groups.unmerge(mixed[:, : groups.count])
        output[:, twice] = mixed[:, groups.count :]
        return output

    output = clock("unmerge", unmerge)
    compared = len(joining) * len(partition.destinations) * problem.tokens.shape[-1]
    return Outcome(output, mixed.shape[1], mixed.shape[1], compared)


def grid(
    problem: MergingProblem, clock: Clock, *, grouping: GridGrouping, rule: MergeRule
) -> Outcome:
    """The library's own merging, with the choices of a grouping and a rule.

    Home section: *Token merging*.
    """
    backend = choose_backend(problem.tokens)
    partition = grouping.partition(problem.layout, device=problem.tokens.device)
    merged_tokens = partition.merged_tokens(grouping.ratio)
    basis = grouping.projection(problem.tokens)

    def features() -> list[Tensor]:
        seen = problem.tokens if basis is None else problem.tokens @ basis
        return [backend.directions(seen, row) for row in (partition.sources, rows)]

    rows = partition.destinations
    compared = clock("features", features)
    found = clock("match", lambda: Match(*backend.nearest(*compared)))
    width = compared[0].shape[-1]
    del compared
    groups = clock("group", lambda: _led(group(partition, found, merged=merged_tokens)))
    merged = clock("merge", lambda: merge_heads(*_heads(problem), groups, rule=rule))
    mixed = clock("attention", lambda: _side_by_side(attend(merged)))
    output = clock("unmerge", lambda: groups.unmerge(mixed)) if rule.queries else mixed
    pairs = len(partition.sources) * len(rows) * width
    return Outcome(output, mixed.shape[1], groups.count, pairs)


_WHOLE = GridGrouping(cell=(3, 3), reference="grid", seed=SEED)
_SHORT = dataclasses.replace(_WHOLE, dimensions=128)
_SIZED = MergeRule("size")
_BALANCED = {
    "3x3, balanced": dataclasses.replace(_WHOLE, balanced=True),
    "3x3, 128, balanced": dataclasses.replace(_SHORT, balanced=True),
}
VARIANTS: dict[str, Variant] = {
    "plain": plain,
    "public": public,
    "released set": released_set,
    "3x3": partial(grid, grouping=_WHOLE, rule=_SIZED),
    "3x3, 128": partial(grid, grouping=_SHORT, rule=_SIZED),
    "3x3, 128, unsized": partial(grid, grouping=_SHORT, rule=MergeRule("none")),
    "3x3, 128, second order": partial(grid, grouping=_SHORT, rule=MergeRule("second_order")),
    "3x3, 128, keys": partial(grid, grouping=_SHORT, rule=MergeRule("size", queries=False)),
    **{
        f"{rows}x{columns}, 128": partial(
            grid, grouping=dataclasses.replace(_SHORT, cell=(rows, columns)), rule=_SIZED
        )
        for rows, columns in ((2, 2), (3, 4), (4, 4))
    },
    **{
        f"3x3, 128, ratio {ratio}": partial(
            grid, grouping=dataclasses.replace(_SHORT, ratio=ratio), rule=_SIZED
        )
        for ratio in (0.5, 0.7)
    },
    **{name: partial(grid, grouping=grouping, rule=_SIZED) for name, grouping in _BALANCED.items()},
}
"""By name, the ways to run a layer; 128 is the dimension of a random projection."""


def fused(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key dim"],
) -> Float[Tensor, "batch head query dim"]:
    """Attention by the fastest of torch's fused kernels.

    Home section: *Token merging*.
    """
    if query.device.type != "cuda":
        return scaled_dot_product_attention(query, key, value)
    with sdpa_kernel(device_cost.ATTENTION_KERNELS, set_priority=True):
        return scaled_dot_product_attention(query, key, value)


def attend_all(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without a bias, by the library's backend for the device.

    Home section: *Token merging*.
    """
    return choose_backend(query).attend(query, key, value, None)


def _heads(problem: MergingProblem) -> tuple[Tensor, Tensor, Tensor]:
    return problem.query, problem.key, problem.value


def _side_by_side(heads: Float[Tensor, "batch head query dim"]) -> Tensor:
    return heads.transpose(1, 2).flatten(2)


def _released(problem: MergingProblem) -> ReleasedPartition:
    generator = torch.Generator().manual_seed(SEED)
    return released_partition(problem.layout, generator=generator, device=problem.tokens.device)


def _joined(tokens: int, joining: Int64[Tensor, "source"], target: Tensor) -> Groups:
    """Groups of tokens of which some join others."""
    stands = torch.ones(1, tokens, dtype=torch.bool, device=joining.device)
    stands[:, joining] = False
    number = stands.cumsum(1) - 1
    assignment = number.scatter(1, joining[None], number.gather(1, target))
    return _led(Groups(assignment, tokens - len(joining), validate=False))


def _led(groups: Groups) -> Groups:
    """Groups with the tables made that lead through their members."""
    if groups.assignment.is_cuda:
        _ = groups.members.order, groups.members.starts
    return groups

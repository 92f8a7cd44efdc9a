"""Streamed statistics with the queries split over several processes, each on a device of its own.

Every number of processes measures the same attention in the same run. One process is the baseline:
the efficiency of ``R`` processes is its time over ``R`` times theirs. Keys start out split as the
queries are, so that what it takes to bring them together is part of the cost. Every process first
takes each stage on the first frame of its share, so that neither compiling nor connecting counts.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from attention_collapse.experiments import context_parallel, device_cost
from attention_collapse.experiments.attention_problem import clustered
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.measure.streaming import StreamedAttention
from attention_collapse.measure.streaming.shards import Shards, of_this_run, share_of
from attention_collapse.records import Timing
from attention_collapse.vggt.precision import compute_dtype

REVISION = 1

STAGES = ("keys", "statistics", "apply_transposed")
"""Keys brought together; the passes of rows and columns; a product that sums over all queries."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment; a frame of VGGT has 1041 tokens, a layer 16 heads of 64.

    Attributes:
        processes: numbers of processes to compare, the baseline first.
        frames: number of frames.
        tokens_per_frame: tokens of a frame.
        heads: attention heads.
        dim: their dimension.
        columns: columns of a product, all heads alike.
        repeats: timed runs of each stage.
        context_parallel: on CUDA, time the output of attention too, by keys brought together and
            by torch's context parallelism, and compare it; every process then takes as many frames.
        seed: seed of queries, keys and columns.

    Raises:
        ValueError: if a number is below one, or there are fewer frames than processes.

    Home section: *A thousand frames*.
    """

    processes: tuple[int, ...] = (1, 2)
    frames: int = 4
    tokens_per_frame: int = 33
    heads: int = 2
    dim: int = 16
    columns: int = 8
    repeats: int = 1
    context_parallel: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = dataclasses.asdict(self) | {"processes": min(self.processes, default=0)}
        free = ("seed", "context_parallel")
        wrong = {name: n for name, n in numbers.items() if name not in free and n < 1}
        if wrong:
            raise ValueError(
                f"numbers of processes, sizes and repeats must be at least 1, got {wrong}: "
                "only the seed may be 0"
            )
        if self.frames < max(self.processes):
            raise ValueError(
                f"every process needs a frame, got {self.frames} frames for up to "
                f"{max(self.processes)} processes: take more frames"
            )
        if self.context_parallel and any(self.frames % count for count in self.processes):
            raise ValueError(
                f"context parallelism takes as many frames in each process, got {self.frames} for "
                f"{self.processes} processes: take a multiple of each"
            )


CANARY = Config(processes=(1,), frames=3)
# Sums over float32 tiles on another processor, through a softmax.
CANARY_TOLERANCE = 1e-5


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure every stage with every number of processes.

    On CUDA each process takes one device, from the first on.

    Raises:
        ValueError: if there are fewer devices than processes.

    Home section: *A thousand frames*.
    """
    _check_devices(config, device)
    if config.context_parallel:
        context_parallel.require_context_parallelism(device)
    timings, found = [], []
    for processes in config.processes:
        results = _launch(config, processes, torch.device(device).type)
        slowest = {
            stage: max((result[0][stage] for result in results), key=lambda timing: timing.median)
            for stage in results[0][0]
        }
        timings.append(slowest)
        found.append(results[0][1])
        seconds = ", ".join(f"{stage} {timing.median:.3g} s" for stage, timing in slowest.items())
        efficiency = _efficiency(config.processes, timings)[-1]
        report(f"{processes} processes: {seconds}, efficiency {efficiency:.3f}")
    return _measurement(config, timings, found, device)


def _efficiency(
    processes: Sequence[int], timings: Sequence[Mapping[str, Timing]]
) -> Float[np.ndarray, "process_count"]:
    """Process seconds of the baseline over those of each number of processes so far."""
    total = [sum(timing[stage].median for stage in STAGES) for timing in timings]
    spent = np.array(processes[: len(total)]) * np.array(total)
    return spent[0] / spent


def _check_devices(config: Config, device: str) -> None:
    most, present = max(config.processes), torch.cuda.device_count()
    if torch.device(device).type == "cuda" and present < most:
        raise ValueError(
            f"every process needs a device of its own, got {present} for up to {most} processes: "
            "name fewer processes"
        )


_Found = TypeVar("_Found")
_Result = tuple[dict[str, Timing], dict[str, np.ndarray]]


def _launch(config: Config, processes: int, device_type: str) -> list[_Result]:
    """What each process returns, by rank; started as ``torchrun`` starts them."""
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    results = elastic_launch(launch, _measure_share)(config, device_type)
    return [results[rank] for rank in range(processes)]


def _measure_share(config: Config, device_type: str) -> _Result:
    """What one process does: the queries of its share, with the keys of all."""
    with of_this_run(device_type=device_type) as shards:
        rank, ranks = dist.get_rank(), dist.get_world_size()
        device = f"cuda:{rank}" if device_type == "cuda" else device_type
        query, key, columns = _share(config, device, rank, ranks)
        _warm_up(config, shards, query, key, columns)
        clock = partial(_timing, shards=shards, repeats=config.repeats, device=device)
        timings = {}
        timings["keys"], whole = clock(lambda: shards.concatenate(key))
        timings["statistics"], attention = clock(lambda: _passes(query, whole, shards))
        timings["apply_transposed"], product = clock(lambda: attention.apply_transposed(columns))
        found = _statistics(attention, product)
        if config.context_parallel:
            routes = context_parallel.attention_routes(query, key, key, shards)
            taken, errors = context_parallel.compare(routes, clock, shards)
            timings, found = timings | taken, found | errors
        return timings, found


def _passes(
    query: Float[Tensor, "head query dim"], key: Float[Tensor, "head key dim"], shards: Shards
) -> StreamedAttention:
    """Attention with the passes over its rows and columns done."""
    attention = StreamedAttention(query, key, shards=shards)
    _ = attention.column_sums
    return attention


def _warm_up(config: Config, shards: Shards, *share: Float[Tensor, "head query _"]) -> None:
    """Every stage on one frame of each process."""
    query, key, columns = (part[:, : config.tokens_per_frame].clone() for part in share)
    attention = _passes(query, shards.concatenate(key), shards)
    _statistics(attention, attention.apply_transposed(columns))


def _share(
    config: Config, device: str, rank: int, ranks: int
) -> tuple[
    Float[Tensor, "head query dim"],
    Float[Tensor, "head query dim"],
    Float[Tensor, "head query column"],
]:
    """Queries, keys and columns of one process; every process draws those of all."""
    tokens = config.frames * config.tokens_per_frame
    mine = share_of(tokens, rank=rank, ranks=ranks, unit=config.tokens_per_frame)
    generator = torch.Generator(device).manual_seed(config.seed)
    query, key = clustered(
        tokens,
        heads=config.heads,
        dim=config.dim,
        generator=generator,
        dtype=compute_dtype(device),
    )
    shape = (config.heads, tokens, config.columns)
    columns = torch.randn(shape, generator=generator, device=device)
    return tuple(tensor[:, mine].clone() for tensor in (query, key, columns))


def _timing(
    operation: Callable[[], _Found], *, shards: Shards, repeats: int, device: str
) -> tuple[Timing, _Found]:
    """Seconds of an operation that all processes begin together, and what its last run found.

    Each runs it equally often, whatever its own clock says: they wait for each other inside.
    """
    runs, found = [], []
    for _ in range(repeats):
        found.clear()
        shards.sum(torch.zeros(1, device=device))
        runs.append(device_cost.seconds(lambda: found.append(operation()), device))
    return Timing(repeats, min(runs), statistics.median(runs), max(runs)), found[0]


def _statistics(
    attention: StreamedAttention, product: Float[Tensor, "head key column"]
) -> dict[str, np.ndarray]:
    """What must not depend on the number of processes, by head."""
    entropy = attention.shards.sum(attention.row_entropy.double().sum(-1))
    return {
        "row_entropy": (entropy / attention.query_count).cpu().numpy(),
        "frobenius_squared": attention.frobenius_squared.cpu().numpy(),
        "distance_from_rank_one": attention.distance_from_rank_one.cpu().numpy(),
        "product_norm": product.double().norm(dim=(-2, -1)).cpu().numpy(),
    }


def _measurement(
    config: Config,
    timings: Sequence[Mapping[str, Timing]],
    found: Sequence[Mapping[str, np.ndarray]],
    device: str,
) -> Measurement:
    seconds = np.array([[timing[stage].median for stage in STAGES] for timing in timings])
    arrays = {
        "processes": np.array(config.processes),
        "stages": np.array(STAGES),
        "seconds": seconds,
        "efficiency": _efficiency(config.processes, timings),
        "tokens": np.array(config.frames * config.tokens_per_frame),
    }
    axes = {
        "processes": ("process_count",),
        "stages": ("stage",),
        "seconds": ("process_count", "stage"),
        "efficiency": ("process_count",),
        "tokens": (),
    }
    if config.context_parallel:
        routes = context_parallel.ROUTES
        taken = [[timing[route].median for route in routes] for timing in timings]
        arrays |= {"routes": np.array(routes), "attention_seconds": np.array(taken)}
        axes |= {"routes": ("route",), "attention_seconds": ("process_count", "route")}
    for name in found[0]:
        arrays[name] = np.stack([each[name] for each in found])
        axes[name] = ("process_count", "head")
    units = {"seconds": "s", "attention_seconds": "s", "tokens": "token", "row_entropy": "nat"}
    dtype = str(compute_dtype(device)).removeprefix("torch.")
    return Measurement(
        arrays,
        axes,
        {name: units.get(name, "1") for name in arrays},
        {
            "compute_dtype": dtype,
            "storage_dtype": dtype,
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "seeds": {"queries_keys_and_columns": config.seed},
        },
        {
            f"{stage}_{count}_processes": taken
            for count, timing in zip(config.processes, timings, strict=True)
            for stage, taken in timing.items()
        },
    )


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The statistics of one process, mean over heads.

    Home section: *A thousand frames*.
    """
    names = ("row_entropy", "frobenius_squared", "distance_from_rank_one", "product_norm")
    return {name: float(measurement.arrays[name][0].mean()) for name in names}

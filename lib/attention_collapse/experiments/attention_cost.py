"""Time, memory and error of the passes over streamed attention, over the number of frames.

A pass over the scores needs at least one exponential a score, a product two matrix products; both
ceilings are measured in the same run, and so are the plain routes that the passes replace.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from attention_collapse.experiments import device_cost
from attention_collapse.experiments.attention_ceilings import STAGES, Ceilings, measure_ceilings
from attention_collapse.experiments.attention_problem import AttentionProblem, clustered
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.process_memory import taken_memory
from attention_collapse.measure.streaming.attention import StreamedAttention
from attention_collapse.measure.streaming.choice import choose_backend
from attention_collapse.measure.streaming.singular_values import (
    StreamedValues,
    streamed_singular_values,
)
from attention_collapse.records import Timing
from attention_collapse.vggt.precision import compute_dtype

REVISION = 1

ERRORS = (
    "log_sum_exp",
    "entropy",
    "energy",
    "column_sums",
    "column_sums_whole",
    "frame_mass",
    "apply",
    "apply_transposed",
)
# Singular values wanted, and the products that they take.
VALUES, PRODUCTS = 16, 5


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment; a frame of VGGT has 1041 tokens, a layer 16 heads of 64.

    Attributes:
        frames: numbers of frames.
        tokens_per_frame: tokens of a frame.
        heads: attention heads.
        dim: their dimension.
        columns: columns of a product, all heads alike.
        checked: rows and columns that are compared with float64.
        eager_frames: largest number of frames at which the plain entropy is timed, and every row
            taken in float64 for the error of whole column sums.
        spectrum: find the leading singular values too.
        process_memory: on the CPU, run each stage once more in a process of its own, to record
            the memory it takes; CUDA devices count all that is held, in any case.
        repeats: timed runs after the first.
        ceiling_size: side of the square matrices whose product sets the ceiling.
        seed: seed of queries, keys and columns.

    Raises:
        ValueError: if a number is below one.

    Home section: *Measuring collapse*.
    """

    frames: tuple[int, ...] = (1, 2)
    tokens_per_frame: int = 1041
    heads: int = 16
    dim: int = 64
    columns: int = 64
    checked: int = 16
    eager_frames: int = 100
    spectrum: bool = False
    process_memory: bool = False
    repeats: int = 1
    ceiling_size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = dataclasses.asdict(self) | {"frames": min(self.frames)}
        wrong = {
            name: value
            for name, value in numbers.items()
            if name not in ("seed", "spectrum", "process_memory", "eager_frames") and value < 1
        }
        if wrong:
            raise ValueError(
                f"numbers of frames, sizes and repeats must be at least 1, got {wrong}: only "
                "eager_frames may be 0, to leave the plain entropy out"
            )


CANARY = Config(
    frames=(1, 3), tokens_per_frame=33, heads=2, dim=16, columns=4, checked=99, ceiling_size=64
)
# Counts are exact; entropies are float64 sums of scores of the same random numbers.
CANARY_TOLERANCE = 1e-6


def scores(config: Config, frames: int) -> int:
    """Scores of all heads.

    Home section: *Measuring collapse*.
    """
    return config.heads * (frames * config.tokens_per_frame) ** 2


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure every stage for every number of frames.

    Home section: *Measuring collapse*.
    """
    dtype = compute_dtype(device)
    ceilings = measure_ceilings(config.ceiling_size, dtype=dtype, device=device)
    report(
        f"ceilings: {ceilings.matmul:.3g} FLOP/s, {ceilings.exponentials:.3g} exponentials/s, "
        f"{ceilings.joint:.3g} with the multiply-add units"
    )
    rows, timings, spectra = [], {}, []
    for frames in config.frames:
        report(f"{frames} frames")
        problem = make_problem(config, frames, dtype=dtype, device=device)
        row, taken = _measure(config, problem, frames, ceilings, device, report)
        if config.spectrum:
            values, taken["spectrum"], peak = _spectrum(config, problem, device)
            spectra.append(values)
            row["spectrum_peak_bytes"] = peak
            report(f"  singular values: {taken['spectrum'].median:.3g} s, {peak / 2**30:.3g} GiB")
        timings |= {f"{stage}_{frames}_frames": timing for stage, timing in taken.items()}
        rows.append(row)
    return _measurement(config, ceilings, rows, timings, spectra, str(dtype).removeprefix("torch."))


def make_problem(
    config: Config, frames: int, *, dtype: torch.dtype, device: str
) -> AttentionProblem:
    """The inputs of one number of frames; the checked tokens are spread evenly, sinks included.

    Home section: *Measuring collapse*.
    """
    generator = torch.Generator(device).manual_seed(config.seed)
    tokens = frames * config.tokens_per_frame
    query, key = clustered(
        tokens, heads=config.heads, dim=config.dim, generator=generator, dtype=dtype
    )
    shape = (config.heads, tokens, config.columns)
    return AttentionProblem(
        query=query,
        key=key,
        backend=choose_backend(query.device, dtype, config.dim),
        tokens_per_frame=config.tokens_per_frame,
        columns=torch.randn(shape, generator=generator, device=device),
        checked=torch.linspace(0, tokens - 1, min(config.checked, tokens), device=device).long(),
    )


def _measure(
    config: Config,
    problem: AttentionProblem,
    frames: int,
    ceilings: Ceilings,
    device: str,
    report: Report,
) -> tuple[dict[str, object], dict[str, Timing]]:
    operations, taken, peaks = problem.operations(), {}, {}
    floors, joint = (_floors(config, ceilings, frames, joint=joint) for joint in (False, True))
    for stage, floor in zip(STAGES, floors, strict=True):
        if stage == "eager" and frames > config.eager_frames:
            continue
        device_cost.reset_peak(device)
        taken[stage] = device_cost.timing(operations[stage], repeats=config.repeats, device=device)
        peaks[stage] = device_cost.peak_bytes(device)
        if config.process_memory and torch.device(device).type == "cpu":
            peaks[stage] = taken_memory(prepare_stage, config, frames, stage)
        seconds = taken[stage].median
        report(
            f"  {stage}: {seconds:.3g} s, {floor / seconds:.3f} of the ceiling, "
            f"{peaks[stage] / 2**30:.3g} GiB"
        )
    errors = problem.errors(whole=frames <= config.eager_frames)
    report("  errors: " + ", ".join(f"{name} {error:.2g}" for name, error in errors.items()))
    seconds = _by_stage({stage: timing.median for stage, timing in taken.items()})
    return {
        "seconds": seconds,
        "peak_bytes": _by_stage(peaks),
        "share_of_ceiling": floors / seconds,
        "share_of_joint_ceiling": joint / seconds,
        "error": np.array([errors[name] for name in ERRORS]),
        "tokens": frames * config.tokens_per_frame,
        "scores": scores(config, frames),
        "exact_entropy": float(problem.exact_rows()[1].entropy.mean()),
        "frames": frames,
    }, taken


def prepare_stage(config: Config, frames: int, stage: str) -> Callable[[], object]:
    """One stage on the CPU, its inputs made; the pass over the rows that it needs is part of it.

    Home section: *Measuring collapse*.
    """
    problem = make_problem(config, frames, dtype=compute_dtype("cpu"), device="cpu")
    return lambda: problem.operations()[stage]()


def _floors(config: Config, ceilings: Ceilings, frames: int, *, joint: bool) -> np.ndarray:
    sizes = {"scores": scores(config, frames), "dim": config.dim, "columns": config.columns}
    return np.array([ceilings.floor(stage, **sizes, joint=joint) for stage in STAGES])


def _by_stage(numbers: Mapping[str, float]) -> np.ndarray:
    return np.array([numbers.get(stage, np.nan) for stage in STAGES])


def _spectrum(
    config: Config, problem: AttentionProblem, device: str
) -> tuple[StreamedValues, Timing, float]:
    """The leading singular values, statistics of the rows included, in one run."""
    found = []

    def operation() -> None:
        attention = StreamedAttention(problem.query, problem.key, backend=problem.backend)
        generator = torch.Generator(device).manual_seed(config.seed)
        found[:] = [
            streamed_singular_values(
                attention, count=VALUES, products=PRODUCTS, generator=generator
            )
        ]

    device_cost.reset_peak(device)
    taken = device_cost.timing(operation, repeats=config.repeats, device=device)
    return found[0], taken, device_cost.peak_bytes(device)


_AXES = {
    "seconds": ("frame_count", "stage"),
    "peak_bytes": ("frame_count", "stage"),
    "share_of_ceiling": ("frame_count", "stage"),
    "share_of_joint_ceiling": ("frame_count", "stage"),
    "error": ("frame_count", "error_name"),
    "tokens": ("frame_count",),
    "scores": ("frame_count",),
    "exact_entropy": ("frame_count",),
    "frames": ("frame_count",),
}
_UNITS = {
    "seconds": "s",
    "peak_bytes": "byte",
    "tokens": "token",
    "exact_entropy": "nat",
    "frames": "frame",
}
_SPECTRUM_AXES = ("frame_count", "head", "value")


def _measurement(
    config: Config,
    ceilings: Ceilings,
    rows: Sequence[Mapping[str, object]],
    timings: Mapping[str, Timing],
    spectra: Sequence[StreamedValues],
    dtype: str,
) -> Measurement:
    arrays = {name: np.array([row[name] for row in rows]) for name in _AXES}
    axes, units = dict(_AXES), {name: _UNITS.get(name, "1") for name in _AXES}
    for name, values in (("stage", STAGES), ("error_name", ERRORS)):
        arrays[name], axes[name], units[name] = np.array(values), (name,), "1"
    for name, unit in (("matmul", "FLOP/s"), ("exponentials", "1/s"), ("joint", "1/s")):
        arrays[f"{name}_ceiling"] = np.array(getattr(ceilings, name))
        axes[f"{name}_ceiling"], units[f"{name}_ceiling"] = (), unit
    if spectra:
        for name in ("values", "errors"):
            found = [getattr(spectrum, name).cpu().numpy() for spectrum in spectra]
            arrays[f"singular_{name}"] = np.array(found)
            axes[f"singular_{name}"], units[f"singular_{name}"] = _SPECTRUM_AXES, "1"
        arrays["spectrum_peak_bytes"] = np.array([row["spectrum_peak_bytes"] for row in rows])
        axes["spectrum_peak_bytes"], units["spectrum_peak_bytes"] = ("frame_count",), "byte"
    numerics = {
        "compute_dtype": dtype,
        "storage_dtype": dtype,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "seeds": {"queries_keys_and_columns": config.seed},
    }
    return Measurement(arrays, axes, units, numerics, timings)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Tokens, scores and the entropy in float64, which do not depend on the machine.

    Home section: *Measuring collapse*.
    """
    arrays = measurement.arrays
    return {
        f"{name} at {frames} frames": float(arrays[name][row])
        for name in ("tokens", "scores", "exact_entropy")
        for row, frames in enumerate(arrays["frames"])
    }

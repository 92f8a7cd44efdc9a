"""Time and error of the attention of one layer with merged tokens, over the number of frames.

Variants take turns on the same tokens, stage by stage, so that their ratios are of one run. Beside
each time stands the error of the output against attention without merging. The rates that a device
reaches for a matrix product and for a copy are measured in the same run.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from attention_collapse.experiments import device_cost
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.merging_problem import (
    MergingProblem,
    make_problem,
    relative_errors,
)
from attention_collapse.experiments.merging_variants import (
    STAGES,
    VARIANTS,
    Clock,
    Outcome,
)
from attention_collapse.records import Timing
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt.precision import compute_dtype

REVISION = 2

# Large products and copies settle within a few runs.
CEILING_REPEATS = 20

# Stages, and all of them.
TIMED = (*STAGES, "total")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment; a frame of VGGT has 28 x 37 patches, a layer 16 heads of 64.

    Attributes:
        frames: numbers of frames.
        grid: rows and columns of patches of a frame.
        heads: attention heads.
        dim: their dimension.
        variants: names of ``merging_variants.VARIANTS``; the empty name stands for all of them.
        noise: spread of the noise of a token, in units of what tells points apart.
        sharpness: factor of the queries.
        checked: queries whose outputs are compared with float64.
        repeats: rounds after the first, which warms up.
        ceiling_size: side of the square matrices whose product sets a ceiling.
        copied_bytes: size of the tensor whose copy sets the other.
        seed: seed of tokens and maps.

    Raises:
        ValueError: if a number is too small, or a variant is unknown.

    Home section: *Token merging*.
    """

    frames: tuple[int, ...] = (2, 4)
    grid: tuple[int, int] = (7, 9)
    heads: int = 2
    dim: int = 64
    variants: tuple[str, ...] = ("",)
    noise: float = 0.6
    sharpness: float = 1.5
    checked: int = 128
    repeats: int = 1
    ceiling_size: int = 512
    copied_bytes: int = 2**24
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = dataclasses.asdict(self) | {
            "frames": min(self.frames) - 1,
            "grid": min(self.grid),
        }
        wrong = {
            name: value
            for name, value in numbers.items()
            if name not in ("seed", "variants", "noise", "sharpness") and value < 1
        }
        if wrong:
            raise ValueError(
                f"sizes and repeats must be at least 1 and frames at least 2, got {wrong} (frames "
                "less one): the release that is compared needs a second frame"
            )
        if unknown := set(self.variants) - set(VARIANTS) - {""}:
            raise ValueError(f"no variants {sorted(unknown)}; there are: {', '.join(VARIANTS)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variants that take part."""
        named = [(name,) if name else tuple(VARIANTS) for name in self.variants]
        return tuple(dict.fromkeys(name for names in named for name in names))

    def layout(self, frames: int) -> TokenLayout:
        """Where each token of so many frames sits."""
        return TokenLayout(frames, *self.grid)


CANARY = Config(frames=(2, 3), grid=(5, 7), ceiling_size=64, copied_bytes=2**12, checked=40)
# Counts are exact; the norm of an output is a float64 sum over tokens of the same random numbers.
CANARY_TOLERANCE = 1e-5


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure every variant for every number of frames.

    Home section: *Token merging*.
    """
    dtype = compute_dtype(device)
    ceilings = {
        "matmul_ceiling": device_cost.matmul_rate(
            config.ceiling_size, dtype=dtype, device=device, repeats=CEILING_REPEATS
        ),
        "copy_ceiling": device_cost.copy_rate(
            config.copied_bytes, device=device, repeats=CEILING_REPEATS
        ),
    }
    report(", ".join(f"{name} {rate:.4g}" for name, rate in ceilings.items()))
    rows, timings = [], {}
    for frames in config.frames:
        report(f"{frames} frames")
        row, taken = _measure(config, frames, dtype, device, report)
        rows.append(row)
        timings |= {f"{name}, {frames} frames": timing for name, timing in taken.items()}
    return _measurement(config, ceilings, rows, timings, str(dtype).removeprefix("torch."))


def _measure(
    config: Config, frames: int, dtype: torch.dtype, device: str, report: Report
) -> tuple[dict[str, np.ndarray], dict[str, Timing]]:
    problem = _problem(config, frames, dtype, device)
    exact = problem.exact()
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in config.names}
    outcomes: dict[str, Outcome] = {}
    errors = {}
    for turn in range(config.repeats + 1):
        for name in config.names:
            clock = Clock(device)
            device_cost.wait(device)
            outcome = VARIANTS[name](problem, clock)
            if turn == 0:
                output = outcome.output[0, problem.spots]
                errors[name] = relative_errors(output, exact)
                # The outputs of all variants at once would not fit.
                outcomes[name] = dataclasses.replace(outcome, output=outcome.output[:, :0].clone())
            else:
                seconds = clock.finish()
                rounds[name].append(seconds | {"total": sum(seconds.values())})
            del outcome
    row = _row(config, rounds, outcomes, errors)
    row["exact_norm"] = np.array(float(exact.norm()))
    row["tokens"] = np.array(problem.layout.count)
    _say(config, row, report)
    totals = {name: [run["total"] for run in rounds[name]] for name in config.names}
    return row, {name: _timing(seconds) for name, seconds in totals.items()}


def _problem(config: Config, frames: int, dtype: torch.dtype, device: str) -> MergingProblem:
    layout = config.layout(frames)
    return make_problem(
        layout,
        heads=config.heads,
        dim=config.dim,
        noise=config.noise,
        sharpness=config.sharpness,
        spots=min(config.checked, layout.count),
        generator=torch.Generator(device).manual_seed(config.seed),
        dtype=dtype,
    )


def _row(
    config: Config,
    rounds: Mapping[str, Sequence[Mapping[str, float]]],
    outcomes: Mapping[str, Outcome],
    errors: Mapping[str, tuple[float, float]],
) -> dict[str, np.ndarray]:
    def by_variant(entry: Callable[[str], object]) -> np.ndarray:
        return np.array([entry(name) for name in config.names])

    def medians(name: str) -> list[float]:
        runs = rounds[name]
        return [
            statistics.median(run[stage] for run in runs) if stage in runs[0] else np.nan
            for stage in TIMED
        ]

    return {
        "seconds": by_variant(medians),
        "queries": by_variant(lambda name: outcomes[name].queries),
        "keys": by_variant(lambda name: outcomes[name].keys),
        "products": by_variant(lambda name: outcomes[name].pairs),
        "error": by_variant(lambda name: errors[name][0]),
        "centred_error": by_variant(lambda name: errors[name][1]),
    }


def _timing(seconds: Sequence[float]) -> Timing:
    return Timing(len(seconds), min(seconds), statistics.median(seconds), max(seconds))


def _say(config: Config, row: Mapping[str, np.ndarray], report: Report) -> None:
    for number, name in enumerate(config.names):
        taken = row["seconds"][number]
        stages = [
            f"{stage} {1e3 * seconds:.4g}"
            for stage, seconds in zip(TIMED, taken, strict=True)
            if seconds == seconds
        ]
        kept = f"{row['queries'][number]} queries, {row['keys'][number]} keys"
        report(f"  {name}: {', '.join(stages)} ms; {kept}; error {row['error'][number]:.3g}")


_AXES = {
    "seconds": ("frame_count", "variant", "stage"),
    "queries": ("frame_count", "variant"),
    "keys": ("frame_count", "variant"),
    "products": ("frame_count", "variant"),
    "error": ("frame_count", "variant"),
    "centred_error": ("frame_count", "variant"),
    "exact_norm": ("frame_count",),
    "tokens": ("frame_count",),
    "frames": ("frame_count",),
    "variant": ("variant",),
    "stage": ("stage",),
    "matmul_ceiling": (),
    "copy_ceiling": (),
}
_UNITS = {
    "seconds": "s",
    "queries": "token",
    "keys": "token",
    "tokens": "token",
    "frames": "frame",
    "matmul_ceiling": "FLOP/s",
    "copy_ceiling": "byte/s",
}


def _measurement(
    config: Config,
    ceilings: Mapping[str, float],
    rows: Sequence[Mapping[str, np.ndarray]],
    timings: Mapping[str, Timing],
    dtype: str,
) -> Measurement:
    arrays = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    arrays |= {name: np.array(rate) for name, rate in ceilings.items()}
    arrays["frames"] = np.array(config.frames)
    arrays["variant"], arrays["stage"] = np.array(config.names), np.array(TIMED)
    numerics = {
        "compute_dtype": dtype,
        "storage_dtype": dtype,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "seeds": {"tokens_and_maps": config.seed},
    }
    units = {name: _UNITS.get(name, "1") for name in _AXES}
    return Measurement(arrays, _AXES, units, numerics, timings)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Counts, and the norm of the exact outputs, which do not depend on the machine.

    Home section: *Token merging*.
    """
    arrays = measurement.arrays
    return {
        f"{name} {place}": float(value)
        for name in ("tokens", "queries", "keys", "products", "exact_norm")
        for place, value in np.ndenumerate(arrays[name])
    }

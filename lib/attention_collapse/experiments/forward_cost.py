"""Time, memory and work of one forward pass over the number of frames.

The network has VGGT's sizes or smaller ones, and weights that nobody trained: neither time nor
memory depends on them. Several designs of the same network take turns, pass after pass, so that
what the device does meanwhile touches all of them alike. The work is counted; the time is compared
with what the device needs for that work at the rate of one large matrix product in the same number
format.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from attention_collapse.experiments import device_cost
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.forward_designs import DESIGNS, STAGES, Designs
from attention_collapse.experiments.forward_race import Race, race
from attention_collapse.records import Timing
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import AggregatorConfig, VGGTConfig, compute_dtype
from attention_collapse.vggt.camera_head import CameraHeadConfig
from attention_collapse.vggt.dense_head import DenseHeadConfig
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig

REVISION = 2

# The work is a polynomial of degree 2 in the frames: linear maps by token, attention by pair.
COUNTED_FRAMES = (1, 2, 3)

# Large products settle within a few runs.
CEILING_REPEATS = 10

_AXES = {
    "frames": ("frame_count",),
    "tokens": ("frame_count",),
    "designs": ("design",),
    "flops": ("stage", "frame_count"),
    "kept_bytes": ("design", "frame_count"),
    "seconds": ("design", "stage", "frame_count"),
    "peak_bytes": ("design", "stage", "frame_count"),
    "share_of_ceiling": ("design", "stage", "frame_count"),
    "failure": ("design", "frame_count"),
    "ceiling": (),
}
_UNITS = {
    "frames": "frame",
    "tokens": "token",
    "flops": "FLOP",
    "kept_bytes": "byte",
    "seconds": "s",
    "peak_bytes": "byte",
    "ceiling": "FLOP/s",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment; VGGT has width 1024, 16 heads and images of 392 x 518.

    Attributes:
        frames: numbers of frames; a record of a few can be taken at a time.
        image_size: height and width, pixels.
        width: token width :math:`C`.
        depth: number of frame and of global layers.
        heads: attention heads.
        encoder_depth: blocks of the patch encoder; 0 embeds each patch by one linear map.
        kept_layers: four layers that the aggregator keeps for its heads.
        frame_chunk: frames at a time that pass through the layers; 0 takes all at once.
        designs: ``library``, ``compiled`` or ``release``, as in ``forward_designs``.
        prefer_cudnn: try the attention kernel of cuDNN before torch's own choice.
        repeats: timed passes after the first.
        ceiling_size: side of the square matrices whose product sets the ceiling.
        seed: seed of weights and pixels.

    Raises:
        ValueError: if sizes do not fit each other, or a design is unknown.

    Home section: *VGGT in one chapter*.
    """

    frames: tuple[int, ...] = (1, 2, 4)
    image_size: tuple[int, int] = (56, 70)
    width: int = 64
    depth: int = 24
    heads: int = 4
    encoder_depth: int = 24
    kept_layers: tuple[int, ...] = (4, 11, 17, 23)
    frame_chunk: int = 16
    designs: tuple[str, ...] = ("library", "release")
    prefer_cudnn: bool = False
    repeats: int = 3
    ceiling_size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if min(*self.frames, self.repeats, self.ceiling_size) < 1 or self.frame_chunk < 0:
            raise ValueError(
                "frames, repeats and ceiling_size must be at least 1 and frame_chunk at least 0, "
                f"got {self.frames}, {self.repeats}, {self.ceiling_size} and {self.frame_chunk}: "
                "a frame_chunk of 0 takes all frames at once"
            )
        if not self.designs or not set(self.designs) <= set(DESIGNS):
            raise ValueError(
                f"designs must be one or more of {', '.join(DESIGNS)}, got {self.designs}"
            )
        self.model()  # refuses sizes that do not fit each other
        self.layout(1)

    def model(self) -> VGGTConfig:
        """Sizes of the network."""
        sizes, two_width = {"width": self.width, "heads": self.heads}, 2 * self.width
        encoder = None
        if self.encoder_depth:
            encoder = PatchEncoderConfig(**sizes, depth=self.encoder_depth)
        aggregator = AggregatorConfig(**sizes, depth=self.depth, patch_encoder=encoder)
        return VGGTConfig(
            aggregator=aggregator,
            camera=CameraHeadConfig(width=two_width, heads=self.heads),
            depth=DenseHeadConfig(width=two_width),
            points=DenseHeadConfig(width=two_width, channels=3, activation="inverse_log"),
            kept_layers=self.kept_layers,
        )

    def layout(self, frames: int) -> TokenLayout:
        """Where each token of so many frames sits."""
        return TokenLayout.from_image(frames, *self.image_size)


CANARY = Config(
    frames=(1, 3),
    image_size=(28, 42),
    width=32,
    depth=4,
    heads=2,
    encoder_depth=1,
    kept_layers=(0, 1, 2, 3),
    repeats=1,
    ceiling_size=64,
)
# Counts of tokens, operations and bytes: whole numbers, equal on every machine.
CANARY_TOLERANCE = 1e-12


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure one forward pass of every design for every number of frames.

    Where a number of frames does not fit into the memory of the device, time and memory of that
    design are NaN, and the ``failure`` says so.

    Home section: *VGGT in one chapter*.
    """
    dtype = compute_dtype(device)
    ceiling = device_cost.matmul_rate(
        config.ceiling_size, dtype=dtype, device=device, repeats=CEILING_REPEATS
    )
    report(f"matrix products reach {ceiling / 1e12:.3g} TFLOP/s")
    options = {"device": device, "seed": config.seed, "prefer_cudnn": config.prefer_cudnn}
    designs = Designs(config.model(), config.designs, **options)
    counted = counted_work(designs, config)
    warm_up(designs, config)
    races = []
    for frames in config.frames:
        images = designs.images(frames, config.image_size)
        cost = partial(designs.cost, images=images, frame_chunk=config.frame_chunk or None)
        races.append(race(cost, config.designs, repeats=config.repeats))
        report(f"{frames} frames: {_summary(races[-1])}")
    arrays = _arrays(config, races, counted) | {"ceiling": np.array(ceiling)}
    arrays["share_of_ceiling"] = arrays["flops"] / arrays["seconds"] / ceiling
    return Measurement(
        arrays,
        _AXES,
        {name: _UNITS.get(name, "1") for name in _AXES},
        {
            "compute_dtype": str(dtype).removeprefix("torch."),
            "storage_dtype": "float32",
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "seeds": {"weights_and_pixels": config.seed},
        },
        _timings(config, races),
    )


def warm_up(designs: Designs, config: Config) -> None:
    """Pass a few frames of each kind through every design, for what compiles on first use.

    Home section: *VGGT in one chapter*.
    """
    chunk = config.frame_chunk or None
    for frames in sorted({min(frames, config.frame_chunk + 2) for frames in config.frames}):
        for name in config.designs:
            designs.cost(name, designs.images(frames, config.image_size), frame_chunk=chunk)


def counted_work(designs: Designs, config: Config) -> dict[str, np.ndarray]:
    """Operations by stage, and bytes kept by design, for every number of frames.

    Home section: *VGGT in one chapter*.
    """
    few = [designs.images(frames, config.image_size) for frames in COUNTED_FRAMES]
    counts = [designs.flops(images) for images in few]
    flops = [
        [_extrapolate([count[stage] for count in counts], frames) for frames in config.frames]
        for stage in STAGES
    ]
    kept = np.array([designs.kept_bytes(name, few[0]) for name in config.designs])
    return {"flops": np.array(flops), "kept_bytes": np.outer(kept, config.frames)}


def _extrapolate(counts: Sequence[int], frames: int) -> int:
    """The polynomial of degree 2 through the counts at 1, 2 and 3 frames, in whole numbers."""
    first, second, third = counts
    slope, curvature = second - first, third - 2 * second + first
    return first + (frames - 1) * slope + (frames - 1) * (frames - 2) // 2 * curvature


def _arrays(
    config: Config, races: Sequence[Race], counted: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    seconds = [
        [[_median(taken.seconds(name, stage)) for taken in races] for stage in STAGES]
        for name in config.designs
    ]
    peaks = [
        [[taken.peak_bytes(name, stage) for taken in races] for stage in STAGES]
        for name in config.designs
    ]
    failures = [[taken.failures.get(name, "") for taken in races] for name in config.designs]
    return {
        "frames": np.array(config.frames),
        "tokens": np.array([config.layout(frames).count for frames in config.frames]),
        "designs": np.array(config.designs),
        "seconds": np.array(seconds),
        "peak_bytes": np.array(peaks),
        "failure": np.array(failures),
        **counted,
    }


def _timings(config: Config, races: Sequence[Race]) -> dict[str, Timing]:
    taken = {
        f"{name}_{stage}_{frames}_frames": result.seconds(name, stage)
        for frames, result in zip(config.frames, races, strict=True)
        for name in config.designs
        for stage in STAGES
    }
    return {name: timing for name, timing in taken.items() if timing is not None}


def _median(timing: Timing | None) -> float:
    return np.nan if timing is None else timing.median


def _summary(result: Race) -> str:
    texts = []
    for name in result.passes:
        parts = [
            f"{stage} {_median(result.seconds(name, stage)):.4g} s "
            f"{result.peak_bytes(name, stage) / 1e9:.3g} GB"
            for stage in STAGES
        ]
        texts.append(f"{name} {result.failures.get(name) or ', '.join(parts)}")
    return "; ".join(texts)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Tokens, operations and bytes kept, which do not depend on the machine.

    Home section: *VGGT in one chapter*.
    """
    arrays = measurement.arrays
    return {
        f"{name} {place}": float(value)
        for name in ("tokens", "flops", "kept_bytes")
        for place, value in np.ndenumerate(arrays[name])
    }

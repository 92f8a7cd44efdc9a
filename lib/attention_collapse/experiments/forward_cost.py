"""Time, memory and work of one forward pass over the number of frames.

The network has VGGT's sizes or smaller ones, and weights that nobody trained: neither time nor
memory depends on them. The work is counted, the time is compared with what the device needs for
that work at the rate of one large matrix product in the same number format.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attention_collapse.experiments import device_cost
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.reference_design import ReferenceDesign
from attention_collapse.records import Timing
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig, AggregatorOutput
from attention_collapse.vggt.camera_head import CameraHeadConfig
from attention_collapse.vggt.dense_head import DenseHeadConfig
from attention_collapse.vggt.model import VGGT
from attention_collapse.vggt.model_config import VGGTConfig
from attention_collapse.vggt.patch_encoder import PatchEncoderConfig
from attention_collapse.vggt.precision import cast_linear_weights, compute_dtype
from attention_collapse.vggt.reconstruction import Reconstruction

REVISION = 1

# The work is a polynomial of degree 2 in the frames: linear maps by token, attention by pair.
COUNTED_FRAMES = (1, 2, 3)

# Large products settle within a few runs.
CEILING_REPEATS = 10

# The kernels of attention from fastest to slowest where all can run.
KERNELS = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]

_UNITS = {
    "frames": "frame",
    "tokens": "token",
    "flops": "FLOP",
    "kept_bytes": "byte",
    "seconds": "s",
    "peak_bytes": "byte",
    "share_of_ceiling": "1",
    "failure": "1",
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
        whole_model: run the heads too, not the aggregator alone.
        reference_design: keep, rebuild and wait as the release does, see ``ReferenceDesign``.
        prefer_cudnn: try the attention kernel of cuDNN before torch's own choice.
        repeats: timed passes after the first.
        ceiling_size: side of the square matrices whose product sets the ceiling.
        seed: seed of weights and pixels.

    Raises:
        ValueError: if sizes do not fit each other.

    Home section: *The phenomenon*.
    """

    frames: tuple[int, ...] = (1, 2, 4)
    image_size: tuple[int, int] = (56, 70)
    width: int = 64
    depth: int = 24
    heads: int = 4
    encoder_depth: int = 24
    kept_layers: tuple[int, ...] = (4, 11, 17, 23)
    frame_chunk: int = 16
    whole_model: bool = False
    reference_design: bool = False
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


class Forward:
    """One network on one device, ready to run on any number of frames.

    The weights are drawn on the device itself, which takes a second where drawing a thousand
    million numbers on one processor core takes a minute.

    Home section: *The phenomenon*.
    """

    def __init__(self, config: Config, device: str) -> None:
        self._config, self._device = config, device
        self._generator = torch.Generator(device).manual_seed(config.seed)
        sizes = config.model()
        kind, sizes = (VGGT, sizes) if config.whole_model else (Aggregator, sizes.aggregator)
        with torch.device(device):
            network = kind(sizes, generator=self._generator).requires_grad_(False)
        aggregator = network.aggregator if config.whole_model else network
        cast_linear_weights(aggregator, compute_dtype(device))
        self._aggregator = ReferenceDesign(aggregator) if config.reference_design else aggregator
        if config.whole_model:
            network.aggregator = self._aggregator
            self._model = network

    def images(self, frames: int) -> Tensor:
        """Random pixels of one scene."""
        shape = (1, frames, 3, *self._config.image_size)
        return torch.rand(shape, generator=self._generator, device=self._device)

    def run(self, images: Tensor) -> AggregatorOutput | Reconstruction:
        """One pass; the result is alive as long as the caller holds it."""
        with self._kernels():
            return self._run(images)

    @torch.inference_mode()
    def _run(self, images: Tensor) -> AggregatorOutput | Reconstruction:
        chunk = self._config.frame_chunk or None
        if self._config.whole_model:
            return self._model(images, frame_chunk=chunk)
        return self._aggregator(images, keep=self._config.kept_layers, frame_chunk=chunk)

    def flops(self, frames: int) -> int:
        """Floating-point operations of matrix products and convolutions, two for a multiply-add."""
        return _extrapolate(self._counts, frames)

    @cached_property
    def _counts(self) -> list[int]:
        return [self._counted(frames) for frames in COUNTED_FRAMES]

    def _counted(self, frames: int) -> int:
        # The counter knows plain matrix products, but not the fused kernel of every device.
        images, counter = self.images(frames), FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:
            self._run(images)
        return counter.get_total_flops()

    @torch.inference_mode()
    def kept_bytes(self, frames: int) -> int:
        """Bytes of what the aggregator hands to its heads."""
        layers = self._aggregator(self.images(frames), keep=self._config.kept_layers).layers
        storages = {
            half.untyped_storage().data_ptr(): half.untyped_storage().nbytes()
            for layer in layers
            for half in layers.halves(layer)
        }
        return sum(storages.values())

    def _kernels(self) -> AbstractContextManager:
        if not self._config.prefer_cudnn:
            return nullcontext()
        return sdpa_kernel(KERNELS, set_priority=True)


def _extrapolate(counts: Sequence[int], frames: int) -> int:
    """The polynomial of degree 2 through the counts at 1, 2 and 3 frames, in whole numbers."""
    first, second, third = counts
    slope, curvature = second - first, third - 2 * second + first
    return first + (frames - 1) * slope + (frames - 1) * (frames - 2) // 2 * curvature


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure one forward pass for every number of frames.

    A number of frames that does not fit into the memory of the device gives NaN, and the
    ``failure`` says so.

    Home section: *The phenomenon*.
    """
    dtype = compute_dtype(device)
    ceiling = device_cost.matmul_rate(
        config.ceiling_size, dtype=dtype, device=device, repeats=CEILING_REPEATS
    )
    report(f"matrix products reach {ceiling / 1e12:.3g} TFLOP/s")
    forward, rows, timings = Forward(config, device), [], {}
    frame_bytes = forward.kept_bytes(1)
    for frames in config.frames:
        row, taken = _measure(forward, frames, config.repeats, device)
        row |= {"kept_bytes": frames * frame_bytes, "tokens": config.layout(frames).count}
        row["share_of_ceiling"] = row["flops"] / row["seconds"] / ceiling
        if taken is not None:
            timings[f"forward_{frames}_frames"] = taken
        rows.append(row | {"frames": frames})
        report(f"{frames} frames: {row['failure'] or _summary(row)}")
    return _measurement(config, rows, timings, ceiling, str(dtype).removeprefix("torch."))


def _measure(
    forward: Forward, frames: int, repeats: int, device: str
) -> tuple[dict[str, int | float | str], Timing | None]:
    row = {"flops": forward.flops(frames), "failure": "", "seconds": np.nan, "peak_bytes": np.nan}
    device_cost.reset_peak(device)
    try:
        images = forward.images(frames)
        taken = device_cost.timing(lambda: forward.run(images), repeats=repeats, device=device)
    except torch.OutOfMemoryError as error:
        return row | {"failure": str(error).splitlines()[0]}, None
    return row | {"seconds": taken.median, "peak_bytes": device_cost.peak_bytes(device)}, taken


def _summary(row: Mapping[str, int | float | str]) -> str:
    share, gigabytes = row["share_of_ceiling"], row["peak_bytes"] / 1e9
    return f"{row['seconds']:.3g} s, {share:.2f} of the ceiling, {gigabytes:.3g} GB"


def _measurement(
    config: Config,
    rows: Sequence[Mapping[str, int | float | str]],
    timings: Mapping[str, Timing],
    ceiling: float,
    dtype: str,
) -> Measurement:
    arrays = {name: np.array([row[name] for row in rows]) for name in _UNITS}
    arrays["ceiling"] = np.array(ceiling)
    return Measurement(
        arrays,
        dict.fromkeys(_UNITS, ("frame_count",)) | {"ceiling": ()},
        _UNITS | {"ceiling": "FLOP/s"},
        {
            "compute_dtype": dtype,
            "storage_dtype": "float32",
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "seeds": {"weights_and_pixels": config.seed},
        },
        timings,
    )


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Tokens, operations and bytes kept, which do not depend on the machine.

    Home section: *The phenomenon*.
    """
    arrays = measurement.arrays
    return {
        f"{name} at {frames} frames": float(arrays[name][row])
        for name in ("tokens", "flops", "kept_bytes")
        for row, frames in enumerate(arrays["frames"])
    }

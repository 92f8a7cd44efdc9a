"""Attention and token geometry at every layer, for a few photographs.

Any network, with trained weights or without, is watched while up to eight images pass through it.
Each global layer gives the entropy, the spectrum and the frames of each head's attention, and how
far the tokens are spread. The attention of one head at a time is in memory, in float64: 1.7 GB with
what its measures need beside it, for eight images of 392 x 518 pixels. A reader's photographs go
into a record as numbers only.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse import records, scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.experiments.image_record import network_numerics, record_of_images
from attention_collapse.experiments.layer_measures import AXES, SEARCH_SEED, UNITS, LayerMeasures
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import (
    VGGT,
    AggregatorConfig,
    DirectCameraHeadConfig,
    LinearHeadConfig,
    VGGTConfig,
)
from attention_collapse.vggt.aggregator_input import image_layout

REVISION = 2

FEWEST_FRAMES = 2
MOST_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run that needs no photographs: a rendered scene and random weights.

    Attributes:
        frames: number of frames, 2 to 8.
        image_size: height and width, pixels.
        width: token width :math:`C`.
        depth: number of frame and of global layers.
        heads: attention heads.
        measured_heads: heads that are measured in each layer, counted from 0.
        layer_scale: factor of every residual branch; VGGT starts training at 0.01.
        scene_seed: seed of the scene.
        weight_seed: seed of the weights.

    Raises:
        ValueError: if sizes do not fit each other.

    Home section: *The phenomenon*.
    """

    frames: int = 4
    image_size: tuple[int, int] = (56, 70)
    width: int = 64
    depth: int = 6
    heads: int = 4
    measured_heads: tuple[int, ...] = (0, 1, 2, 3)
    layer_scale: float = 1.0
    scene_seed: int = 0
    weight_seed: int = 0

    def __post_init__(self) -> None:
        _check_frames(self.frames)
        _check_heads(self.measured_heads, self.heads)
        self.model()  # refuses sizes that do not fit each other
        TokenLayout.from_image(self.frames, *self.image_size)

    def model(self) -> VGGTConfig:
        """Sizes of the network."""
        sizes = {"width": self.width, "depth": self.depth, "heads": self.heads}
        head = {"width": 2 * self.width, "patch_size": AggregatorConfig.patch_size}
        return VGGTConfig(
            aggregator=AggregatorConfig(**sizes, layer_scale=self.layer_scale),
            camera=DirectCameraHeadConfig(width=2 * self.width),
            depth=LinearHeadConfig(**head),
            points=LinearHeadConfig(**head, channels=3, activation="inverse_log"),
            kept_layers=(self.depth - 1,),
        )


def _check_frames(frames: int) -> None:
    if not FEWEST_FRAMES <= frames <= MOST_FRAMES:
        raise ValueError(
            f"frames must number from {FEWEST_FRAMES} to {MOST_FRAMES}, got {frames}: attention of "
            "one head over all of them must fit into memory, and frames are compared"
        )


def _check_heads(heads: Sequence[int], count: int) -> None:
    if len(heads) == 0 or len(set(heads)) < len(heads) or not set(heads) <= set(range(count)):
        raise ValueError(
            f"heads to measure must be different ones from 0 to {count - 1}, got {tuple(heads)}: "
            "leave them out to measure all"
        )


CANARY = Config(frames=3, image_size=(56, 70), width=32, depth=2, heads=2, measured_heads=(0, 1))
# Float64 on another processor: sums in another order, through two layers and a singular value
# decomposition.
CANARY_TOLERANCE = 1e-7


def network(config: Config, device: str) -> VGGT:
    """The network of ``config`` in float64 on ``device``, weights drawn from its seed.

    Home section: *The phenomenon*.
    """
    generator = torch.Generator().manual_seed(config.weight_seed)
    return VGGT(config.model(), generator=generator).to(device, torch.float64).eval()


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure a rendered scene in a network of random weights.

    Home section: *The phenomenon*.
    """
    scene = scenes.orbit(
        config.frames,
        image_size=config.image_size,
        seed=config.scene_seed,
        device=device,
        dtype=torch.float64,
    )
    model = network(config, device)
    arrays = measure_photographs(model, scene.images, heads=config.measured_heads, report=report)
    seeds = {"scene": config.scene_seed, "weights": config.weight_seed}
    return _measurement(model, arrays, seeds)


def measure_photographs(
    network: VGGT,
    images: Tensor,
    *,
    heads: Sequence[int] | None = None,
    report: Report = silent,
) -> dict[str, np.ndarray]:
    r"""Measure every global layer of ``network`` on the frames of one scene.

    The attention of a head is made in float64 from the queries and keys that the network computed
    in its own number format. The heads for cameras, depth and points do not run.

    Args:
        network: The network, on any device, its aggregator in any number format.
        images: Pixels in [0, 1], ``[frame 3 height width]``, two to eight frames, on any device;
            ``load_images`` gives them. The first is the reference frame.
        heads: Attention heads to measure, counted from 0; ``None`` measures all.
        report: Told when a layer is measured.

    Returns:
        Arrays by name. For each layer and head: ``entropy_deficit`` :math:`\ln N - H`, nats;
        ``singular_ratio`` :math:`\sigma_2 / \sigma_1` and ``singular_ratio_error``, a bound on its
        error; ``stable_rank``; ``distance_from_rank_one``; ``reference_mass``, the attention that
        tokens of the other frames pay to the first, :math:`1/S` if they pay it evenly;
        ``frame_mass``, the same between all frames. For each layer: ``mean_cosine``,
        ``participation_ratio``, ``spread`` and ``token_variances``, the spectrum of the covariance,
        of the tokens after it. And ``heads``, those measured.

    Raises:
        ValueError: The images have a wrong shape, number or pixels, or a head does not exist.

    Home section: *The phenomenon*.
    """
    images = _single_scene(images).to(network.aggregator.camera_token.device)
    sizes = network.config.aggregator
    chosen = range(sizes.heads) if heads is None else heads
    _check_heads(chosen, sizes.heads)
    measures = LayerMeasures(sizes, image_layout(images, sizes), chosen, report=report)
    with torch.inference_mode():
        network.aggregator(images, observe=measures.watch, keep=())
    return measures.arrays()


def photograph_record(
    network: VGGT,
    images: Tensor,
    *,
    what: str,
    weights: str,
    heads: Sequence[int] | None = None,
    report: Report = silent,
) -> records.Record:
    """A record of ``measure_photographs``, which ``records.save`` writes as two files.

    Of the images it holds their number and size, nothing of what they show or where they lie.

    Args:
        network: As in ``measure_photographs``.
        images: As in ``measure_photographs``.
        what: Name of the record, lower-case words joined by underscores, for example ``kitchen``.
        weights: Where the weights come from, for example ``facebook/VGGT-1B``.
        heads: As in ``measure_photographs``.
        report: As in ``measure_photographs``.

    Raises:
        ValueError: As in ``measure_photographs``, or ``what`` is not such a name.

    Home section: *The phenomenon*.
    """
    records.check_name("what", what)
    arrays = measure_photographs(network, images, heads=heads, report=report)
    report("canary")
    measurement = _measurement(network, arrays, {})
    call = f"photograph_record(network, images, what={what!r}, weights={weights!r}"
    return record_of_images(
        network,
        images,
        measurement,
        experiment="photographs",
        what=what,
        revision=REVISION,
        settings={"weights": weights, "measured_heads": arrays["heads"].tolist()},
        command=f"{call}, heads={arrays['heads'].tolist()})",
        canary=_canary(),
    )


def _single_scene(images: Tensor) -> Float[Tensor, "1 frame 3 image_height image_width"]:
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            "images must have the shape [frame 3 height width] of one scene, got "
            f"{tuple(images.shape)}: load_images gives it"
        )
    _check_frames(len(images))
    return images[None]


def _measurement(model: VGGT, arrays: dict[str, np.ndarray], seeds: dict[str, int]) -> Measurement:
    facts = network_numerics(model, seeds | {"singular_values": SEARCH_SEED})
    return Measurement(arrays, AXES, UNITS, facts)


def _canary() -> records.Canary:
    values = canary_values(run(CANARY, device="cpu"))
    return records.Canary(dataclasses.asdict(CANARY), values, CANARY_TOLERANCE)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every array over layers and heads.

    Home section: *The phenomenon*.
    """
    return {name: float(array.mean()) for name, array in measurement.arrays.items()}

"""Attention and token geometry over depth and frames, at random weights.

Rendered frames pass through the alternating attention of VGGT with weights that
nobody trained. Every global layer is watched: the spectrum and the row entropy of
each head's attention matrix beside the Gaussian closed form, and how far the tokens
are spread. Nothing is stored that grows like the square of the number of tokens.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse import scenes
from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.measure import attention_maps, spectrum, spread
from attention_collapse.theory import spectrum as closed_form
from attention_collapse.vggt import Aggregator, AggregatorConfig

REVISION = 1

_HEAD_UNITS = {
    "row_entropy": "nat",
    "entropy_deficit": "nat",
    "singular_ratio": "1",
    "stable_rank": "1",
    "effective_rank": "1",
    "distance_from_rank_one": "1",
    "predicted_entropy_deficit": "nat",
    "predicted_singular_ratio": "1",
    "predicted_stable_rank": "1",
    "predicted_effective_rank": "1",
}
_TOKEN_UNITS = {"mean_cosine": "1", "participation_ratio": "1", "spread": "1"}
SHOWN_VALUES = 32


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes:
        frames: numbers of frames, each the first frames of one orbit.
        image_size: height and width, pixels.
        width: token width :math:`C`.
        depth: number of frame and of global layers.
        heads: attention heads.
        observed_heads: how many heads of each layer are measured, from the first on.
        layer_scale: factor of every residual branch; VGGT starts training at 0.01.
        rotary: whether queries and keys carry positions, as in VGGT.
        scene_seed: seed of the scene.
        weight_seed: seed of the weights.

    Raises:
        ValueError: if sizes do not fit each other.

    Home section: *The phenomenon*.
    """

    frames: tuple[int, ...] = (1, 2, 4, 8, 16)
    image_size: tuple[int, int] = (56, 70)
    width: int = 128
    depth: int = 24
    heads: int = 4
    observed_heads: int = 4
    layer_scale: float = 1.0
    rotary: bool = True
    scene_seed: int = 0
    weight_seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames) < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}: name one or more")
        if not 1 <= self.observed_heads <= self.heads:
            raise ValueError(
                f"observed_heads must be from 1 to the {self.heads} heads, got "
                f"{self.observed_heads}: measure heads that exist"
            )
        self.aggregator()  # refuses sizes that do not fit each other

    def aggregator(self) -> AggregatorConfig:
        """Sizes of the network."""
        return AggregatorConfig(
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            layer_scale=self.layer_scale,
            rotary_base=AggregatorConfig.rotary_base if self.rotary else None,
        )


CANARY = Config(frames=(1, 3), image_size=(28, 42), width=32, depth=2, heads=2, observed_heads=2)
# Float64 on another processor: sums in another order, through two layers and a singular value
# decomposition. The small singular values behind the effective rank move most, by about 1e-9.
CANARY_TOLERANCE = 1e-7


def network(config: Config, device: str) -> Aggregator:
    """The aggregator of ``config`` in float64 on ``device``, weights drawn from its seed.

    Home section: *The phenomenon*.
    """
    generator = torch.Generator().manual_seed(config.weight_seed)
    return Aggregator(config.aggregator(), generator=generator).to(device, torch.float64).eval()


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure every global layer for every number of frames.

    Home section: *The phenomenon*.
    """
    model = network(config, device)
    scene = scenes.orbit(
        max(config.frames),
        image_size=config.image_size,
        seed=config.scene_seed,
        device=device,
        dtype=torch.float64,
    )
    rows = []
    for frames in config.frames:
        watch = GlobalLayers(config.observed_heads)
        with torch.inference_mode():
            model(scene.images[None, :frames], observe=watch, keep=())
        rows.append(watch.results())
        report(f"{frames} frames measured")
    return _measurement(config, rows)


class GlobalLayers:
    """An observer that turns what a network shows into numbers and keeps only those.

    Pass it as ``observe=`` to one forward call over one scene, then ask for ``results()``.

    Home section: *The phenomenon*.
    """

    def __init__(self, observed_heads: int) -> None:
        self._observed = slice(observed_heads)
        self._query: Tensor | None = None
        self._heads: list[dict[str, np.ndarray]] = []
        self._tokens: list[dict[str, float]] = []

    def __call__(self, name: str, tensor: Tensor) -> None:
        """Take one observation; names other than those of global layers pass by."""
        kind, _, rest = name.partition(".")
        _, _, point = rest.partition(".")
        if kind != "global":
            return
        if point == "attention.query":
            self._query = tensor[:, self._observed]
        elif point == "attention.key":
            self._heads.append(head_statistics(self._query[0], tensor[0, self._observed]))
            self._query = None
        elif point == "output":
            variances = spread.covariance_eigenvalues(tensor[0])
            self._tokens.append(token_statistics(tensor[0], variances))

    def results(self) -> dict[str, np.ndarray]:
        """Statistics by name: ``[layer, head]``, ``[layer, head, value]`` or ``[layer]``."""
        layers = [*zip(self._heads, self._tokens, strict=True)]
        return {
            name: np.stack(
                [np.asarray(group[name]) for layer in layers for group in layer if name in group]
            )
            for name in (*_HEAD_UNITS, "singular_values", *_TOKEN_UNITS)
        }


def head_statistics(
    query: Float[Tensor, "head token dim"], key: Float[Tensor, "head token dim"]
) -> dict[str, np.ndarray]:
    """Measured and predicted statistics of the attention of each head.

    Predictions take the covariances of
    queries and keys and nothing else; they are NaN where the closed form does not apply.

    Home section: *The phenomenon*.
    """
    statistics = [_one_head(q, k) for q, k in zip(query, key, strict=True)]
    return {name: np.stack([head[name] for head in statistics]) for name in statistics[0]}


def _one_head(query: Tensor, key: Tensor) -> dict[str, np.ndarray]:
    attention = attention_maps.attention_weights(query, key)
    values = spectrum.singular_values(attention)
    entropy = attention_maps.row_entropy(attention).mean()
    measured = {
        "row_entropy": entropy,
        "entropy_deficit": np.log(len(key)) - entropy,
        "singular_ratio": spectrum.singular_ratio(values),
        "stable_rank": spectrum.stable_rank(values),
        "effective_rank": spectrum.effective_rank(values),
        "distance_from_rank_one": spectrum.distance_from_rank_one(attention),
        "singular_values": _pad(values[:SHOWN_VALUES]),
    }
    predicted = _closed_form(query, key)
    return {
        name: np.asarray(torch.as_tensor(v).cpu()) for name, v in (measured | predicted).items()
    }


def _closed_form(query: Tensor, key: Tensor) -> dict[str, float]:
    sharpness = attention_maps.head_sharpness(query, key).cpu().numpy()
    prediction = {
        "predicted_entropy_deficit": float(attention_maps.score_variance(query, key)) / 2,
        "predicted_singular_ratio": np.nan,
        "predicted_stable_rank": np.nan,
        "predicted_effective_rank": np.nan,
    }
    if sharpness.max() < closed_form.SHARPNESS_LIMIT:
        prediction["predicted_singular_ratio"] = closed_form.decay_ratio(sharpness).max()
        prediction["predicted_stable_rank"] = closed_form.stable_rank(sharpness)
        prediction["predicted_effective_rank"] = closed_form.effective_rank(sharpness)
    return prediction


def _pad(values: Tensor) -> Tensor:
    return torch.nn.functional.pad(values, (0, SHOWN_VALUES - len(values)))


def token_statistics(
    tokens: Float[Tensor, "token width"], variances: Float[Tensor, "width"]
) -> dict[str, float]:
    """Mean cosine, participation ratio and spread of tokens.

    The spread is the root of the trace of the covariance over the norm of the mean: the
    distance to a Dirac measure relative to its position.

    Args:
        tokens: Of one layer.
        variances: Eigenvalues of their covariance, as from ``covariance_eigenvalues``.

    Home section: *The phenomenon*.
    """
    relative = variances.sum().sqrt() / tokens.mean(dim=0).norm()
    return {
        "mean_cosine": float(spread.mean_cosine(tokens)),
        "participation_ratio": float(spread.participation_ratio(variances)),
        "spread": float(relative),
    }


def _measurement(config: Config, rows: Sequence[Mapping[str, np.ndarray]]) -> Measurement:
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    arrays["frames"] = np.array(config.frames)
    axes = dict.fromkeys(_HEAD_UNITS, ("frame_count", "layer", "head"))
    axes |= dict.fromkeys(_TOKEN_UNITS, ("frame_count", "layer"))
    axes |= {"singular_values": ("frame_count", "layer", "head", "value")}
    axes |= {"frames": ("frame_count",)}
    units = _HEAD_UNITS | _TOKEN_UNITS | {"singular_values": "1", "frames": "frame"}
    numerics = {
        "compute_dtype": "float64",
        "storage_dtype": "float64",
        "tf32": False,
        "seeds": {"scene": config.scene_seed, "weights": config.weight_seed},
    }
    return Measurement(arrays, axes, units, numerics)


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every array over frame counts, layers and heads.

    Home section: *The phenomenon*.
    """
    means = {name: float(np.nanmean(array)) for name, array in measurement.arrays.items()}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}

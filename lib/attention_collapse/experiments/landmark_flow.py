"""The landmark flow, run with real softmax attention beside its closed form.

Tokens sit near one direction of the unit sphere: landmark :math:`i` is
:math:`x_i = (1, \\varepsilon z_i)` with Gaussian :math:`z_i`. One layer is pre-norm
attention with :math:`V = I`, :math:`x \\leftarrow x + \\tau A\\,x/\\lVert x\\rVert`. A query keeps
the share :math:`S_\\ast/(S+S_\\ast)` on the copies of its own landmark and spreads the
rest by softmax over the content scores :math:`y_i^\\top B y_j` of all landmarks. The
experiment follows the spread of the tokens and the singular values of the softmax part.
"""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.measure import spectrum
from attention_collapse.theory import frames as frame_dilution
from attention_collapse.theory.collapse_surface import CollapseSurface

REVISION = 1

_UNITS = {"spread": "1", "singular_ratio": "1", "stable_rank": "1", "effective_rank": "1"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the flow.

    Attributes:
        frames: numbers of frames :math:`S`.
        depth: number of layers.
        initial_sharpness: :math:`a_k` at depth zero, one per direction.
        dilution_frames: :math:`S_\\ast`, frames.
        step: :math:`\\tau`.
        landmarks: number of landmarks.
        deviation: :math:`\\varepsilon`; the law is exact as it tends to zero.
        seed: seed of the landmarks.

    Raises:
        ValueError: if a setting is out of range.

    Home section: *The phenomenon*.
    """

    frames: tuple[int, ...] = (8, 64, 512)
    depth: int = 96
    initial_sharpness: tuple[float, ...] = (0.5, 0.4, 0.3, 0.2)
    dilution_frames: float | int = 64.0
    step: float | int = 0.25
    landmarks: int = 1024
    deviation: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        surface = CollapseSurface(self.initial_sharpness, self.dilution_frames, self.step)
        surface.exponent(min(self.frames))
        surface.depth_time(self.depth)
        directions = len(self.initial_sharpness)
        if self.landmarks <= directions or self.deviation <= 0:
            raise ValueError(
                f"landmarks must outnumber the {directions} directions and deviation be positive, "
                f"got {self.landmarks} and {self.deviation}: a cloud needs volume"
            )


CANARY = Config(frames=(8, 512), depth=6, landmarks=64)
# Float64 sums in another order; the effective rank takes roots of eigenvalues near rounding.
CANARY_TOLERANCE = 1e-8


class LandmarkFlow:
    """The tokens of one flow, stepped layer by layer.

    Home section: *The phenomenon*.
    """

    def __init__(self, config: Config, frames: int, device: str = "cpu") -> None:
        self._share = frame_dilution.second_eigenvalue(frames, config.dilution_frames)
        self._step = config.step
        self.tokens = _landmarks(config).to(device)
        sharpness = torch.tensor(config.initial_sharpness, dtype=torch.float64, device=device)
        self._bilinear = sharpness / config.deviation**2
        self._start = self._deviation()

    def attention(self) -> Tensor:
        """Softmax part of attention, ``[query key]``: what a query reads off its matches."""
        directions = self._directions()[:, 1:]
        return torch.softmax((directions * self._bilinear) @ directions.T, dim=-1)

    def advance(self) -> None:
        """Pass one layer."""
        directions = self._directions()
        read = self._share * directions + (1 - self._share) * (self.attention() @ directions)
        self.tokens = self.tokens + self._step * read

    def spread(self) -> float:
        """Distance to the Dirac relative to its start."""
        return float(self._deviation() / self._start)

    def _directions(self) -> Tensor:
        return self.tokens / self.tokens.norm(dim=-1, keepdim=True)

    def _deviation(self) -> Tensor:
        directions = self._directions()
        return (directions - directions.mean(dim=0)).square().sum(dim=-1).mean().sqrt()


def _landmarks(config: Config) -> Tensor:
    """Landmarks whose sample covariance is exactly :math:`\\varepsilon^2 I`, mean zero."""
    generator = torch.Generator().manual_seed(config.seed)
    shape = (config.landmarks, len(config.initial_sharpness))
    z = torch.randn(shape, generator=generator, dtype=torch.float64)
    z = z - z.mean(dim=0)
    whitened = torch.linalg.qr(z).Q * config.landmarks**0.5
    return torch.cat([torch.ones(config.landmarks, 1), config.deviation * whitened], dim=1)


def rank_statistics(attention: Float[Tensor, "query key"]) -> dict[str, np.ndarray | float]:
    """Singular values over the first, their ratio, stable and effective rank.

    Home section: *The phenomenon*.
    """
    values = spectrum.singular_values(attention)
    return {
        "singular_values": (values / values[0]).cpu().numpy(),
        "singular_ratio": float(spectrum.singular_ratio(values)),
        "stable_rank": float(spectrum.stable_rank(values)),
        "effective_rank": float(spectrum.effective_rank(values)),
    }


def measure_at(depth: int, frames: int, surface: CollapseSurface) -> dict[str, object]:
    """What attention measures after ``depth`` layers with ``frames`` frames.

    The flow runs under the law of ``surface``: its sharpness, dilution frames and step. The
    result is an overlay for the rank explorer.

    Home section: *The phenomenon*.
    """
    flow = LandmarkFlow(Config(**dataclasses.asdict(surface)), frames)
    for _ in range(depth):
        flow.advance()
    statistics = rank_statistics(flow.attention())
    statistics["singular_values"] = statistics["singular_values"][:32].tolist()
    return {"label": "softmax attention", "depth": depth, "frames": frames, **statistics}


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Follow the flow through every layer for every number of frames.

    Home section: *The phenomenon*.
    """
    shape = (len(config.frames), config.depth + 1)
    arrays = {name: np.empty(shape) for name in _UNITS}
    for row, frames in enumerate(config.frames):
        flow = LandmarkFlow(config, frames, device)
        for layer in range(config.depth + 1):
            statistics = {**rank_statistics(flow.attention()), "spread": flow.spread()}
            for name, array in arrays.items():
                array[row, layer] = statistics[name]
            flow.advance()
        report(f"{frames} frames followed")
    return Measurement(
        arrays | {"frames": np.array(config.frames)},
        dict.fromkeys(_UNITS, ("frame_count", "layer")) | {"frames": ("frame_count",)},
        _UNITS | {"frames": "frame"},
        {
            "compute_dtype": "float64",
            "storage_dtype": "float64",
            "tf32": False,
            "seeds": {"landmarks": config.seed},
        },
    )


def canary_values(measurement: Measurement) -> dict[str, float]:
    """Each quantity at the last layer, for the fewest and the most frames.

    Home section: *The phenomenon*.
    """
    return {
        f"{name} at {frames} frames": float(measurement.arrays[name][row, -1])
        for name in _UNITS
        for row, frames in enumerate(measurement.arrays["frames"])
    }

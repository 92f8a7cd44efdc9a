r"""The collapse exponent with and without merging, where the law of the exponent is exact.

Tokens are copies of landmarks and start near one direction. A query scores :math:`s` on its
matches and 0 on all other tokens. Attention is computed among merged keys, and the flow
:math:`x \leftarrow x + \tau A\,x/\lVert x\rVert` runs under it. In *windows* the matches of a
landmark are its :math:`M` copies, and further frames show further landmarks. In *reference* every
frame shows every landmark, and the match is the copy in the first frame.
"""

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attention_collapse.experiments.experiment import Measurement, Report, silent
from attention_collapse.merging.attention import log_sizes
from attention_collapse.merging.groups import Groups
from attention_collapse.theory import frames as dilution
from attention_collapse.theory.merging import reference_eigenvalue

REVISION = 1

UNMERGED = "unmerged"
TREATMENTS = {
    "windows": ("protected", "protected, sizes", "bias", "all merged"),
    "reference": ("protected", "protected, sizes", "all merged"),
}
"""What is done to the keys, by model, besides nothing: the matches of the asking query, or the
reference frame, are kept apart or not; keys weigh their sizes or not; a bias instead of a merge."""

FITTED_FROM = 10.0
"""Depth time from which the exponent is fitted."""


@dataclasses.dataclass(frozen=True)
class Config:
    r"""Settings of the experiment.

    Attributes:
        frames: numbers of frames :math:`S`.
        tokens_per_frame: :math:`P`, and the number of landmarks of *reference*.
        matches: :math:`M` of *windows*, a multiple of every group.
        score_gap: :math:`s` of *windows*.
        reference_gap: :math:`s` of *reference*.
        merged: numbers :math:`n` of tokens that become one key; :math:`f = 1/n`.
        layers: number of layers.
        step: :math:`\tau` over the norm of the tokens, which makes the depth time grow by this
            share in every layer.
        deviation: of the landmarks at the start; the law is exact as it tends to zero.
        seed: seed of the landmarks.

    Raises:
        ValueError: if groups do not fit matches or frames, there is one landmark alone, or the
            layers end before depth time 100.

    Home section: *Token merging*.
    """

    frames: tuple[int, ...] = (8, 32, 128, 512, 2048)
    tokens_per_frame: int = 4
    matches: int = 16
    score_gap: float = 3.0
    reference_gap: float = 6.0
    merged: tuple[int, ...] = (2, 8)
    layers: int = 600
    step: float = 0.01
    deviation: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for count in self.frames:
            self._check_frames(count)
        for size in self.merged:
            if size < 2 or self.matches % size or min(self.frames) < size:
                raise ValueError(
                    f"merged must be 2 or more, divide the {self.matches} matches and be at most "
                    f"the fewest frames, got {size}: such as 2"
                )
        if not 0 < self.step <= 0.1 or (1 + self.step) ** self.layers < 100:
            raise ValueError(
                "layers must reach depth time 100 in steps of at most 0.1, got "
                f"{self.layers} of {self.step}: take more layers"
            )

    def _check_frames(self, count: int) -> None:
        tokens = count * self.tokens_per_frame
        if tokens % self.matches or tokens < 2 * self.matches or self.tokens_per_frame < 2:
            raise ValueError(
                f"frames must hold two or more whole windows of {self.matches} tokens and two "
                f"or more landmarks, got {count} frames of {self.tokens_per_frame}: take more"
            )


CANARY = Config(frames=(8, 16), merged=(2,), layers=100, step=0.05)
# Float64 sums in another order through a hundred layers, and a fitted slope.
CANARY_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to attend.

    Attributes:
        model: ``windows`` or ``reference``.
        treatment: ``unmerged`` or one of ``TREATMENTS``.
        size: number of tokens that become one key.

    Home section: *Token merging*.
    """

    model: str
    treatment: str = UNMERGED
    size: int = 1

    @property
    def name(self) -> str:
        """What the case is called in a record."""
        merged = "" if self.treatment == UNMERGED else f", n = {self.size}"
        return f"{self.model}: {self.treatment}{merged}"

    @property
    def proportional(self) -> bool:
        """Whether keys weigh their sizes."""
        return self.treatment.endswith("sizes")


def cases(config: Config) -> list[Case]:
    """Every case of a run, in the order of its rows.

    Home section: *Token merging*.
    """
    found = []
    for model, treatments in TREATMENTS.items():
        found.append(Case(model))
        found += [Case(model, each, size) for size in config.merged for each in treatments]
    return found


def landmark_attention(
    scores: Float[Tensor, "query token"],
    groups: Groups,
    landmark: Int64[Tensor, "token"],
    *,
    proportional: bool,
) -> Float[Tensor, "query landmark"]:
    """Attention among merged keys, as weights on the landmarks that the tokens are copies of.

    The score of a mean of keys is the mean of their scores, and a key spreads its weight evenly
    over the tokens it stands for, as the mean of their values does.

    Args:
        scores: Scores of every token for one query of each batch entry.
        groups: The keys of every query.
        landmark: The landmark of every token, numbered from zero.
        proportional: Weigh a key with the number of its tokens.

    Home section: *Token merging*.
    """
    merged = groups.merge(scores[..., None])[..., 0]
    if proportional:
        merged = merged + log_sizes(groups)
    weights = merged.softmax(-1) / groups.sizes
    shares = groups.unmerge(weights[..., None])[..., 0]
    total = shares.new_zeros(len(scores), int(landmark.max()) + 1)
    return total.index_add(1, landmark, shares)


def attention(
    config: Config, case: Case, frames: int, device: str = "cpu"
) -> Float[Tensor, "query landmark"]:
    """Attention of one case among its landmarks.

    Home section: *Token merging*.
    """
    index = torch.arange(frames * config.tokens_per_frame, device=device)
    if case.model == "windows":
        landmark, copy = index // config.matches, index % config.matches
        gap, merged_copy = config.score_gap, copy // case.size
    else:
        landmark, copy = index % config.tokens_per_frame, index // config.tokens_per_frame
        gap, merged_copy = config.reference_gap, copy // case.size
    query = torch.arange(int(landmark.max()) + 1, device=device)[:, None]
    matches = (query == landmark) & ((case.model == "windows") | (copy == 0))
    if case.treatment == "bias":
        gap += math.log(case.size)
    scores = gap * matches.double()
    labels = (merged_copy * len(query) + landmark).expand(len(query), -1)
    if case.treatment in (UNMERGED, "bias"):
        labels = index.expand(len(query), -1)
    elif case.treatment.startswith("protected"):
        labels = _protected(labels, case, copy, landmark, query)
    return landmark_attention(scores, _groups(labels), landmark, proportional=case.proportional)


def _protected(labels: Tensor, case: Case, copy: Tensor, landmark: Tensor, query: Tensor) -> Tensor:
    """Labels of groups with the matches of every query, or the first frame, kept apart."""
    apart = labels.max() + 1 + torch.arange(labels.shape[1], device=labels.device)
    if case.model == "windows":
        return torch.where(query == landmark, apart, labels)
    later = (copy - 1) // case.size * len(query) + landmark
    return torch.where(copy == 0, apart, later).expand(len(query), -1)


def _groups(labels: Int64[Tensor, "query token"]) -> Groups:
    """Groups of tokens of equal label, as many in every row."""
    rows = [row.unique(return_inverse=True)[1] for row in labels]
    return Groups(torch.stack(rows), int(rows[0].max()) + 1)


def predicted_eigenvalue(config: Config, case: Case, frames: int) -> float:
    """The second eigenvalue of attention in closed form.

    Home section: *Token merging*.
    """
    if case.model == "reference":
        return reference_eigenvalue(
            frames,
            points=config.tokens_per_frame,
            score_gap=config.reference_gap,
            group_frames=case.size,
            protected=case.treatment != "all merged",
            proportional=case.proportional,
        )
    weight = 1 / case.size if case.treatment in ("protected", "bias") else 1.0
    diluted = dilution.dilution_frames(
        config.matches, config.tokens_per_frame, config.score_gap, other_weight=weight
    )
    return float(dilution.second_eigenvalue(frames, diluted))


def flow_exponent(config: Config, mixing: Float[Tensor, "query landmark"]) -> float:
    """Exponent of the decay of the spread, fitted to the flow under one attention matrix.

    Home section: *Token merging*.
    """
    generator = torch.Generator().manual_seed(config.seed)
    deviations = torch.randn(len(mixing), 8, generator=generator, dtype=torch.float64)
    tokens = torch.nn.functional.pad(config.deviation * deviations, (1, 0), value=1.0)
    tokens = tokens.to(mixing.device)
    times = (1 + config.step) ** np.arange(config.layers)
    spread = np.empty(config.layers)
    for layer, time in enumerate(times):
        seen = tokens / tokens.norm(dim=-1, keepdim=True)
        spread[layer] = float(seen.var(dim=0, correction=0).sum().sqrt())
        tokens = tokens + config.step * time * (mixing @ seen)
    late = times >= FITTED_FROM
    return -float(np.polyfit(np.log(times[late]), np.log(spread[late]), 1)[0])


def run(config: Config, *, device: str, report: Report = silent) -> Measurement:
    """Measure the eigenvalue and the exponent of every case for every number of frames.

    Home section: *Token merging*.
    """
    every = cases(config)
    shape = (len(every), len(config.frames))
    names = ("eigenvalue", "predicted_eigenvalue", "exponent")
    arrays = {name: np.empty(shape) for name in names}
    for row, case in enumerate(every):
        for column, frames in enumerate(config.frames):
            mixing = attention(config, case, frames, device)
            at = row, column
            # Symmetric: a landmark sees another as it is seen by it.
            arrays["eigenvalue"][at] = float(torch.linalg.eigvalsh(mixing)[-2])
            arrays["predicted_eigenvalue"][at] = predicted_eigenvalue(config, case, frames)
            arrays["exponent"][at] = flow_exponent(config, mixing)
        report(f"{case.name} measured")
    arrays["cases"] = np.array([case.name for case in every])
    arrays["frames"] = np.array(config.frames)
    axes = dict.fromkeys(names, ("case", "frame_count"))
    numerics = {"compute_dtype": "float64", "storage_dtype": "float64", "tf32": False}
    return Measurement(
        arrays,
        axes | {"cases": ("case",), "frames": ("frame_count",)},
        dict.fromkeys(names, "1") | {"cases": "1", "frames": "frame"},
        numerics | {"seeds": {"landmarks": config.seed}},
    )


def canary_values(measurement: Measurement) -> dict[str, float]:
    """The mean of every quantity over all cases and frame counts.

    Home section: *Token merging*.
    """
    names = ("eigenvalue", "predicted_eigenvalue", "exponent")
    return {name: float(measurement.arrays[name].mean()) for name in names}

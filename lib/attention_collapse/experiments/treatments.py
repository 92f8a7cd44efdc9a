"""Treatments of a network that sees more frames than it was trained on, by name.

A name is a sum of parts, as in ``bias+merge:0.6+sized``; ``none`` treats nothing.

- ``bias``: the reference bias of the number of frames.
- ``scale:1.3``: scores times a factor; ``length``: times the ratio of the logarithms of the tokens;
  ``held``: over this ratio, so that scores which grow with the tokens stay as large as in training.
- ``merge:0.6``: that share of all tokens merged before attention, the reference frame kept apart;
  ``sized``: merged keys weigh their sizes; ``open``: the reference frame may merge like others.
- ``match:0.6``: the bias :math:`\\ln(1/f)` in the place of such a merge, :math:`f` being the share
  that it leaves of the later frames' keys.
- ``chunks:8``: the reference frame with seven others at a time; ``chained:8:4``: eight frames at
  a time that share four with the next eight, joined by similarities.
"""

import dataclasses
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attention_collapse.measure.reconstruction_errors import Geometry
from attention_collapse.measure.similarity import fit_similarity
from attention_collapse.merging.attention import MergeRule
from attention_collapse.merging.fastvggt import SEED
from attention_collapse.merging.grouping import GridGrouping
from attention_collapse.merging.reducer import MergeReducer
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import VGGT, AdjustedScores, Observe, Reducer, Reduction, length_scale

CELL = (4, 4)
"""Patches of which one takes in others; merging can remove 15 of 16."""

SCENES_AT_ONCE = 32
"""Chunks in one forward."""


@dataclasses.dataclass(frozen=True)
class Treatment:
    """One treatment, as its name says; see the module.

    Home section: *What fails*.
    """

    bias: bool = False
    scale: float = 1.0
    length: bool = False
    held: bool = False
    merge: float = 0.0
    sized: bool = False
    open: bool = False
    match: float = 0.0
    chunks: int = 0
    chained: tuple[int, int] | None = None

    @property
    def whole(self) -> bool:
        """Whether every token attends to every other in one forward."""
        return not (self.merge or self.chunks or self.chained)

    def score_bias(self, layout: TokenLayout, reference: float) -> float:
        """The bias of the reference frame's keys, given that of the number of frames."""
        return (reference if self.bias else 0.0) + self._matched(layout)

    def score_scale(self, layout: TokenLayout, trained_frames: int) -> float:
        """The factor of all scores; scenes as long as in training are neither grown nor held."""
        if not (self.length or self.held) or layout.frames <= trained_frames:
            return self.scale
        grown = length_scale(layout.count, trained_frames * layout.per_frame)
        return self.scale * grown if self.length else self.scale / grown

    def reducer(self, layout: TokenLayout, *, reference: float, trained_frames: int) -> Reducer:
        """What the network is given.

        Args:
            layout: Of the scene.
            reference: The reference bias of its number of frames.
            trained_frames: Most frames of a scene in training.
        """
        bias = self.score_bias(layout, reference)
        if not self.merge:
            return AdjustedScores(bias, self.score_scale(layout, trained_frames))
        role = "grid" if self.open else "protected"
        grouping = GridGrouping(cell=CELL, ratio=self.merge, reference=role, seed=SEED)
        rule = MergeRule("size" if self.sized else "none")
        return MergeReducer(Reduction, grouping, rule, reference_bias=bias)

    def _matched(self, layout: TokenLayout) -> float:
        later = layout.count - layout.per_frame
        if not self.match or not later:
            return 0.0
        left = later - self.match * layout.count
        if left <= 0:
            raise ValueError(
                f"match must leave keys of later frames, got {self.match} of {layout.count} tokens "
                f"in {layout.frames} frames; ask for less, or for more frames"
            )
        return math.log(later / left)


def find_treatment(name: str) -> Treatment:
    """The treatment called ``name``.

    Raises:
        ValueError: if a part is unknown, its number is missing or none, or parts exclude each
            other.

    Home section: *What fails*.
    """
    options: dict[str, Any] = {}
    for part in () if name == "none" else name.split("+"):
        key, *numbers = part.split(":")
        try:
            options[key] = _PARTS[key](*numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"a treatment is none or a sum of {', '.join(_PARTS)}, got {part!r} in {name!r}: "
                "write for example bias+scale:1.3"
            ) from error
    found = Treatment(**options)
    rescaled = found.scale != 1.0 or found.length or found.held
    alone = sum(map(bool, (found.merge, found.chunks, found.chained)))
    excluded = (found.merge and rescaled) or (found.length and found.held)
    if alone > 1 or excluded or ((found.sized or found.open) and not found.merge):
        raise ValueError(
            f"the parts of {name!r} exclude each other, or lack a merge: leave one out"
        )
    return found


def _chain(size: str, overlap: str) -> tuple[int, int]:
    if not 0 < int(overlap) < int(size):
        raise ValueError("chunks must overlap and go on")
    return int(size), int(overlap)


def _factor(number: str) -> float:
    if not 0 < float(number) < math.inf:
        raise ValueError("a factor must be positive")
    return float(number)


def _share(number: str) -> float:
    if not 0 < float(number) < 1:
        raise ValueError("a share must be between 0 and 1")
    return float(number)


def _chunk(size: str) -> int:
    if int(size) < 2:
        raise ValueError("a chunk must have a frame beside the reference")
    return int(size)


_PARTS = {
    "bias": lambda: True,
    "scale": _factor,
    "length": lambda: True,
    "held": lambda: True,
    "merge": _share,
    "sized": lambda: True,
    "open": lambda: True,
    "match": _share,
    "chunks": _chunk,
    "chained": _chain,
}


def reconstruct(
    network: VGGT,
    images: Float[Tensor, "frame 3 image_height image_width"],
    treatment: Treatment,
    *,
    reducer: Reducer,
    observe: Observe | None = None,
) -> Geometry:
    """What a treated network says about a scene, in the axes of its first camera.

    Args:
        network: The network.
        images: Of all frames.
        treatment: Decides which frames are seen together.
        reducer: Given to the network, in every chunk.
        observe: As in ``VGGT.reconstruct``, where all frames are seen together.

    Home section: *What fails*.
    """
    if treatment.chunks:
        return _with_reference(network, images, treatment.chunks, reducer)
    if treatment.chained:
        return _chained(network, images, *treatment.chained, reducer)
    said = network.reconstruct(images, reducer=reducer, observe=observe)
    return Geometry(said.points[0], said.depth[0], said.world_to_camera[0])


def _with_reference(network: VGGT, images: Tensor, size: int, reducer: Reducer) -> Geometry:
    """Every chunk begins with the reference frame, in whose axes all of them are."""
    frames = len(images)
    starts = range(1, frames, size - 1) if frames > 1 else (1,)
    windows = [[0, *range(start, min(start + size - 1, frames))] for start in starts]
    parts = _reconstructed(network, images, windows, reducer)
    kept = [_frames(part, 0 if number == 0 else 1) for number, part in enumerate(parts)]
    return _joined(kept)


def _chained(network: VGGT, images: Tensor, size: int, overlap: int, reducer: Reducer) -> Geometry:
    """Every chunk is moved onto the frames that it shares with the one before."""
    frames = len(images)
    starts = range(0, max(frames - overlap, 1), size - overlap)
    windows = [list(range(start, min(start + size, frames))) for start in starts]
    chain: list[Geometry] = []
    for part in _reconstructed(network, images, windows, reducer):
        if not chain:
            chain.append(part)
            continue
        shared = [g.flatten(0, -2) for g in (part.points[:overlap], chain[-1].points[-overlap:])]
        moved = fit_similarity(*shared)
        points = moved.points(part.points.flatten(0, -2)).view_as(part.points)
        cameras = moved.cameras(part.world_to_camera)
        chain.append(Geometry(points, moved.scale * part.depth.to(points), cameras))
    return _joined([_frames(part, 0 if n == 0 else overlap) for n, part in enumerate(chain)])


def _reconstructed(
    network: VGGT, images: Tensor, windows: list[list[int]], reducer: Reducer
) -> list[Geometry]:
    """Windows of frames by themselves; those of one length share forwards."""
    parts: list[Geometry] = []
    full = [window for window in windows if len(window) == len(windows[0])]
    rest = windows[len(full) :]
    batches = [full[n : n + SCENES_AT_ONCE] for n in range(0, len(full), SCENES_AT_ONCE)]
    for batch in (*batches, *([window] for window in rest)):
        said = network.reconstruct(
            images[torch.tensor(batch, device=images.device)], reducer=reducer
        )
        for entry in range(len(batch)):
            parts.append(
                Geometry(said.points[entry], said.depth[entry], said.world_to_camera[entry])
            )
    return parts


def _frames(geometry: Geometry, first: int) -> Geometry:
    return Geometry(*(tensor[first:].double() for tensor in vars(geometry).values()))


def _joined(parts: list[Geometry]) -> Geometry:
    tensors = zip(*(vars(part).values() for part in parts), strict=True)
    return Geometry(*(torch.cat(column) for column in tensors))

"""The many-frame explorer: errors, shares and ranks, frame count by frame count."""

from collections.abc import Mapping

import numpy as np
import traitlets
from jaxtyping import Float

from attention_collapse.widgets.base import BookWidget, StateError, front_end

TREATMENTS = ("none", "bias")
QUANTITIES = ("rotation", "points")
Arrays = Mapping[str, np.ndarray]


class ManyFrameExplorer(BookWidget):
    r"""Recorded errors of one room's scenes over frames, beside what attention does in its layers.

    The reader chooses a number of frames and a treatment: networks as trained, or with the bias
    on the reference frame. Layers count from 1, and arrays hold the first one first.

    Attributes:
        frame_counts: Numbers of frames, ascending.
        errors: For ``rotation``, in degrees, and ``points``, in their mean distance: means over
            networks and scenes, by treatment and frame count.
        standard_errors: Theirs, over scenes of means over networks.
        shares: Attention on the reference frame, by treatment, frame count and layer.
        ratio_frame_counts: The first of ``frame_counts``, where ranks are recorded.
        singular_ratios: Second singular value over the first, as trained, by frame count and layer.
        trained_frames: Most frames of a scene in training, one of ``ratio_frame_counts``.
        frames: The number of frames shown, one of ``frame_counts``.
        treatment: ``none`` or ``bias``.

    Raises:
        ValueError: If ``frames`` or ``treatment`` is not recorded.

    Home section: *What fails*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "panel.js",
        "many_frame_explorer_errors.js",
        "many_frame_explorer_layers.js",
        "many_frame_explorer_controls.js",
        "many_frame_explorer_numbers.js",
        "many_frame_explorer.js",
    )
    _css = front_end("base.css", "panel.css", "many_frame_explorer.css")

    fragment = traitlets.Unicode("many-frame-explorer").tag(sync=True)
    frame_counts = traitlets.List(traitlets.Int()).tag(sync=True)
    errors = traitlets.Dict().tag(sync=True)
    standard_errors = traitlets.Dict().tag(sync=True)
    shares = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(sync=True)
    ratio_frame_counts = traitlets.List(traitlets.Int()).tag(sync=True)
    singular_ratios = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    trained_frames = traitlets.Int(8).tag(sync=True)
    frames = traitlets.Int().tag(sync=True)
    treatment = traitlets.Unicode("none").tag(sync=True)

    @classmethod
    def from_records(
        cls, errors: Arrays, rank: Arrays, *, trained_frames: int = 8, **traits: object
    ) -> "ManyFrameExplorer":
        """An explorer of two records on the same scenes' frames.

        Args:
            errors: Of a record of ``orbit_error``, with the treatments ``none`` and ``bias``.
            rank: Of a record of ``orbit_frames``, to as many frames or fewer.
            trained_frames: Most frames of a scene in training.
            traits: Further traits.

        Raises:
            ValueError: As the class, and if the records do not fit.
        """
        from attention_collapse.figures.scene_means import mean_and_error

        _require_fit(errors, rank, trained_frames)
        counts = errors["frames"].tolist()
        means = {
            name: mean_and_error(errors[name].astype(np.float64).mean(axis=0))
            for name in QUANTITIES
        }
        state = {
            "frame_counts": counts,
            "errors": {name: mean.tolist() for name, (mean, _) in means.items()},
            "standard_errors": {name: error.tolist() for name, (_, error) in means.items()},
            "shares": errors["reference_mass"].astype(np.float64).mean(axis=(0, -1)).tolist(),
            "ratio_frame_counts": rank["frames"].tolist(),
            "singular_ratios": rank["singular_ratio"].astype(np.float64).mean((0, -1)).tolist(),
            "trained_frames": trained_frames,
            "presets": _presets(trained_frames, counts[-1]),
            "frames": trained_frames,
        }
        return cls(**state | traits)

    def shown_shares(self) -> Float[np.ndarray, "2 layer"]:
        """Shares of the reference frame by layer: of the present state, and in training."""
        shares = np.array(self.shares[TREATMENTS.index(self.treatment)])
        return shares[[self.frame_counts.index(n) for n in (self.frames, self.trained_frames)]]

    def shown_ratios(self) -> Float[np.ndarray, "2 layer"] | str:
        """Singular ratios alike, or the words on why there are none.

        Up to the frames of training the bias is zero.
        """
        if self.treatment != "none" and self.frames > self.trained_frames:
            return "not recorded with the bias"
        if self.frames not in self.ratio_frame_counts:
            return f"recorded to {self.ratio_frame_counts[-1]} frames"
        counts = (self.frames, self.trained_frames)
        places = [self.ratio_frame_counts.index(count) for count in counts]
        return np.array(self.singular_ratios)[places]

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.many_frame_explorer import many_frames_png

        return many_frames_png(
            np.array(self.frame_counts),
            np.array(self.errors["rotation"]),
            np.array(self.standard_errors["rotation"]),
            treatments=TREATMENTS,
            chosen=TREATMENTS.index(self.treatment),
            frames=self.frames,
            trained_frames=self.trained_frames,
            shares=self.shown_shares(),
            ratios=self.shown_ratios(),
            least_share=float(np.min(self.shares)),
        )

    @traitlets.validate("frames", "treatment")
    def _require_recorded(self, proposal: dict) -> int | str:
        name, value = proposal["trait"].name, proposal["value"]
        known = {"frames": self.frame_counts, "treatment": TREATMENTS}[name]
        if value not in known:
            listed = ", ".join(map(str, known)) or "nothing"
            raise StateError(
                f"{name} must be one that is recorded; got {value}: choose one of {listed}."
            )
        return value


def _presets(trained: int, most: int) -> list[dict[str, str | int]]:
    """States between which the cure is seen."""
    return [
        {"name": f"{trained} frames, as in training", "frames": trained, "treatment": "none"},
        {"name": f"{most} frames as trained", "frames": most, "treatment": "none"},
        {"name": f"{most} frames with the bias", "frames": most, "treatment": "bias"},
    ]


def _require_fit(errors: Arrays, rank: Arrays, trained_frames: int) -> None:
    treatments = tuple(str(name) for name in errors["treatments"])
    if treatments != TREATMENTS:
        raise StateError(
            f"treatments must be {TREATMENTS}; got {treatments}: choose a record of these two."
        )
    scenes = errors["rotation"].shape[1]
    if scenes < 2:
        raise StateError(
            f"scenes must be two or more, for standard errors; got {scenes}: record more."
        )
    counts, ranked = errors["frames"].tolist(), rank["frames"].tolist()
    if counts != sorted(set(counts)) or ranked != counts[: len(ranked)]:
        raise StateError(
            "frames must ascend, and those of the ranks be the first of those of the errors; got "
            f"{ranked} and {counts}: choose records of the same numbers of frames."
        )
    if trained_frames not in ranked:
        raise StateError(
            f"trained_frames must be recorded in both; got {trained_frames}: choose one of "
            f"{ranked}."
        )
    layers = [errors["reference_mass"].shape[-2], rank["singular_ratio"].shape[-2]]
    if layers[0] != layers[1]:
        raise StateError(
            f"layers must be as many in both records; got {layers[0]} with errors and {layers[1]} "
            "with ranks: choose records of one network."
        )

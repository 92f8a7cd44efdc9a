"""The collapse surface explorer: particles on a sphere, their law, one curve for all exponents."""

import math

import numpy as np
import traitlets
from jaxtyping import Float

from attention_collapse.theory import frames as frame_dilution
from attention_collapse.theory import layers
from attention_collapse.widgets.base import BookWidget, StateError, front_end

TOKENS = 96
SEED = 7
WIDTH = 0.5  # of the cloud in the plane from which its tokens are put on the sphere
SMALLEST_WEIGHT = 0.05
SHRINKING_STEP = "shrinking-step"
SCHEMES = ("pre-norm", "post-norm", "averaging", "pure", SHRINKING_STEP)

_START = {"scheme": "pre-norm", "depth": 100, "dilution_frames": 64.0, "other_weight": 1.0}
PRESETS = [
    {"name": "Few frames", **_START, "frames": 8},
    {"name": "At S∗", **_START, "frames": 64},
    {"name": "Many frames: 1/L law", **_START, "frames": 4096},
    {"name": "Merging at f = 0.1", **_START, "frames": 640, "other_weight": 0.1},
    {"name": "Post-norm", **_START, "frames": 4096, "scheme": "post-norm"},
]


class CollapseSurfaceExplorer(BookWidget):
    r"""Particles that collapse under attention, beside the law of their spread.

    The page runs ``theory.layers``: softmax attention on the particles and the response law. Each
    particle keeps the share :math:`\lambda_2 = S_*' / (S + S_*')` of its attention on itself,
    with :math:`S_*' = S_* / f`. Under pre-norm the spread then falls with the exponent
    :math:`p = S / (S + S_*')`: one curve in :math:`S / S_*'` for all depths, frames and weights.

    Attributes:
        scheme: One of ``SCHEMES``: the names of ``theory.layers.Scheme``, and ``shrinking-step``,
            pre-norm with the step :math:`1/L` in a network of :math:`L` layers.
        depth: :math:`L`, in layers, from 0 to ``max_depth``.
        frames: :math:`S`, from 1 to ``max_frames``.
        dilution_frames: :math:`S_*` without merging, in frames.
        other_weight: :math:`f`, weight of the tokens that are not matches, from 0.05 to 1. That it
            divides :math:`S_*` holds for a score gap :math:`s` with :math:`e^s \gg 1`.
        step: :math:`\tau`, over the initial norm of the tokens, at most 1.
        temperature: :math:`\beta`, factor of the scores.
        tokens: Particles on the unit sphere in three dimensions. Drawn in a cap around the third
            axis with a fixed seed by default.
        max_depth: End of the depth slider.
        max_frames: End of the frames slider.
        overlay: Recorded grids that are shown beside the law, as
            ``figures.surface_overlay.surface_overlay`` makes them; empty for none.
        quantity: Which of their grids is shown.

    Raises:
        ValueError: If a trait leaves its range.

    Home section: *Depth and frames: one law*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "collapse_surface.js",
        "attention_layers.js",
        "panel.js",
        "sphere_panel.js",
        "decay_panel.js",
        "exponent_panel.js",
        "recorded_panel.js",
        "collapse_surface_explorer_controls.js",
        "collapse_surface_explorer.js",
    )
    _css = front_end("base.css", "panel.css", "collapse_surface_explorer.css")

    presets = traitlets.List(traitlets.Dict(), PRESETS).tag(sync=True)
    fragment = traitlets.Unicode("collapse-surface").tag(sync=True)
    scheme = traitlets.Unicode("pre-norm").tag(sync=True)
    depth = traitlets.Int(24).tag(sync=True)
    frames = traitlets.Int(512).tag(sync=True)
    dilution_frames = traitlets.Float(64.0).tag(sync=True)
    other_weight = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(0.25).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    tokens = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    max_depth = traitlets.Int(400).tag(sync=True)
    max_frames = traitlets.Int(4096).tag(sync=True)
    overlay = traitlets.Dict().tag(sync=True)
    quantity = traitlets.Unicode("distance_from_rank_one").tag(sync=True)

    @property
    def diluted_frames(self) -> float:
        r"""Dilution frames :math:`S_*' = S_* / f` under the present weight of non-matches."""
        return self.dilution_frames / self.other_weight

    @property
    def match_share(self) -> float:
        r"""Share :math:`\lambda_2` of its attention that a particle keeps on itself."""
        return frame_dilution.second_eigenvalue(self.frames, self.diluted_frames)

    @property
    def exponent(self) -> float:
        r"""Exponent :math:`p = 1 - \lambda_2` of the spread under pre-norm."""
        return frame_dilution.collapse_exponent(self.frames, self.diluted_frames)

    @property
    def sharpness(self) -> float:
        r"""Sharpness :math:`a` at the start: :math:`\beta` times the variance along the cap."""
        covariance = layers.cloud_covariance(np.array(self.tokens), scheme="pre-norm")
        return self.temperature * float(np.trace(covariance)) / 2.0  # a cap has two directions

    def particles(self) -> Float[np.ndarray, "depth token axis"]:
        """What attention reads after 0, 1, …, ``depth`` layers: directions under pre-norm."""
        update = self._update
        states = [np.array(self.tokens)]
        for _ in range(self.depth):
            state = layers.layer(
                states[-1],
                **update,
                temperature=self.temperature,
                match_share=self.match_share,
            )
            states.append(state)
        return np.stack([layers.attended(state, scheme=update["scheme"]) for state in states])

    def law(self) -> Float[np.ndarray, "depth"]:
        r"""Spread after 0, 1, …, ``depth`` layers by the response law, relative to its start.

        Layers that normalise score with cosines, and the law is of a narrow cap. The others score
        with plain dot products, and the law is of a flat cloud: from a cap, where the first
        scores are cosines too, it is too large, by a factor of about :math:`1 + a` for ``pure``
        with many frames and less for ``averaging``.
        """
        update = self._update
        return layers.response_law(
            **update,
            sharpness=self.sharpness,
            match_share=self.match_share,
            layers=self.depth,
            cosine_scores=layers.Scheme(update["scheme"]).normalises,
        )

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.collapse_surface_explorer import (
            collapse_surface_explorer_png,
        )

        return collapse_surface_explorer_png(
            self.particles(),
            self.law(),
            step=self._update["step"],
            scheme=self.scheme,
            frames=self.frames,
            diluted_frames=self.diluted_frames,
        )

    @property
    def _update(self) -> dict[str, str | float]:
        """Scheme and step of one layer, as ``theory.layers`` names them."""
        if self.scheme == SHRINKING_STEP:
            return {"scheme": "pre-norm", "step": 1.0 / max(self.depth, 1)}
        return {"scheme": self.scheme, "step": self.step}

    @traitlets.default("tokens")
    def _draw_tokens(self) -> list[list[float]]:
        draws = np.random.default_rng(SEED).normal(scale=WIDTH, size=(TOKENS, 2))
        plane = np.column_stack([draws, np.ones(TOKENS)])
        return layers.normalise(plane).round(3).tolist()

    @traitlets.validate("scheme")
    def _require_known_scheme(self, proposal: dict) -> str:
        if proposal["value"] not in SCHEMES:
            raise StateError(
                f"scheme must be one of {SCHEMES}; got {proposal['value']!r}: choose one of them."
            )
        return proposal["value"]

    @traitlets.validate(
        "depth", "frames", "dilution_frames", "other_weight", "step", "max_depth", "max_frames"
    )
    def _require_on_sliders(self, proposal: dict) -> int | float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = {
            "depth": (0, self.max_depth),
            "frames": (1, self.max_frames),
            "dilution_frames": (1, math.inf),
            "other_weight": (SMALLEST_WEIGHT, 1),
            "step": (1e-3, 1),
            "max_depth": (max(1, self.depth), math.inf),
            "max_frames": (max(2, self.frames), math.inf),
        }[name]
        if not (low <= value <= high and math.isfinite(value)):
            raise StateError(
                f"{name} must be at least {low} and at most {high}; got {value}: choose a value "
                "between, or move max_depth and max_frames."
            )
        return value

    @traitlets.validate("overlay", "quantity")
    def _require_recorded(self, proposal: dict) -> dict | str:
        name, value = proposal["trait"].name, proposal["value"]
        overlay = value if name == "overlay" else self.overlay
        quantity = value if name == "quantity" else self.quantity
        if overlay:
            _require_grid(overlay, quantity)
        return value

    @traitlets.validate("temperature", "tokens")
    def _require_narrow_cloud(self, proposal: dict) -> float | list:
        name, value = proposal["trait"].name, proposal["value"]
        tokens = value if name == "tokens" else self.tokens
        temperature = value if name == "temperature" else self.temperature
        _require_in_open_half_space(tokens)
        spread = np.trace(layers.cloud_covariance(np.array(tokens), scheme="pre-norm"))
        if not 0 <= temperature * spread / 2 < 1:
            raise StateError(
                f"{name} must leave the sharpness, temperature times half the variance of the "
                f"tokens, at least 0 and below 1; got {temperature * spread / 2:.3g}: beyond, the "
                "law without normalisation grows where particles do not."
            )
        return value


def _require_grid(overlay: dict, quantity: str) -> None:
    """Refuse what is not an overlay, or has no grid of the quantity."""
    missing = {"settings", "frames", "depth", "bits", "missing", "grids"} - set(overlay)
    if missing:
        raise StateError(
            f"overlay must have settings, frames, depth, bits, missing and grids; got none of "
            f"{', '.join(sorted(missing))}: make it with surface_overlay."
        )
    if quantity not in overlay["grids"]:
        raise StateError(
            f"quantity must be one of {', '.join(overlay['grids'])}; got {quantity!r}: choose a "
            "grid of the overlay."
        )


def _require_in_open_half_space(tokens: list[list[float]]) -> None:
    """Refuse what is not a cloud in space on one side of a plane through the origin."""
    shaped = len(tokens) >= 2 and all(len(token) == 3 for token in tokens)
    cloud = np.array(tokens if shaped else [[np.nan]])
    heights = cloud @ cloud.mean(axis=0)
    if not (np.all(np.isfinite(cloud)) and heights.min() > 0 and np.ptp(cloud, axis=0).max() > 0):
        raise StateError(
            "tokens must be two or more different points with three finite entries, all on the "
            f"side of their mean; got {tokens}: draw them from a narrower cloud."
        )

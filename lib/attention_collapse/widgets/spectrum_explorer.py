"""The spectrum explorer: the rank profile in closed form beside a finite sample."""

import numpy as np
import traitlets
from jaxtyping import Float

from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.spectrum import (
    SHARPNESS_LIMIT,
    RankProfile,
    rank_profile,
    spherical_rank_profile,
)
from attention_collapse.widgets.base import BookWidget, StateError, front_end

MAX_DIRECTIONS = 3
DIMENSIONS = (2, 3, 4, 8)
RANGES = {"concentration": (0, 12), "tokens": (32, 256), "seed": (0, 2**32 - 1)}

PRESETS = [
    {"name": "Two directions", "law": "gaussian", "sharpness": [0.3, 0.2, 0.0], "tokens": 128},
    {
        "name": "Three equal directions",
        "law": "gaussian",
        "sharpness": [0.3, 0.3, 0.3],
        "tokens": 128,
    },
    {
        "name": "Scores as strong on a sphere",  # κ = d a has the same score variance
        "law": "sphere",
        "concentration": 0.9,
        "dimension": 3,
        "tokens": 128,
    },
    {"name": "Near 1/√2", "law": "gaussian", "sharpness": [0.65, 0.0, 0.0], "tokens": 256},
    {"name": "A circle", "law": "sphere", "concentration": 6.0, "dimension": 2, "tokens": 128},
    {
        "name": "Sharp scores on a sphere",
        "law": "sphere",
        "concentration": 12.0,
        "dimension": 3,
        "tokens": 256,
    },
]


class SpectrumExplorer(BookWidget):
    r"""Singular values of attention in closed form, and those of tokens drawn in the page.

    The page computes what ``theory.spectrum`` computes, draws tokens of the same law, and measures
    the singular values, ranks and entropy of their attention matrix. The still image shows another
    sample, drawn by numpy.

    Attributes:
        law: ``"gaussian"`` or ``"sphere"``, the law of the tokens.
        sharpness: :math:`a_k` of Gaussian tokens, for one to three directions, each in
            :math:`[0, 1/\sqrt 2)`. A direction of sharpness zero changes nothing.
        concentration: :math:`\kappa` on the sphere, from 0 to 12.
        dimension: :math:`d` of the space around the sphere: 2, 3, 4 or 8.
        tokens: :math:`N` of the sample, from 32 to 256.
        seed: Which sample, from 0 to :math:`2^{32} - 1`.

    Raises:
        ValueError: If a trait leaves its range.

    Home section: *The rank profile in closed form*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "collapse_surface.js",
        "panel.js",
        "spectrum_explorer_laws.js",
        "spectrum_explorer_svd.js",
        "spectrum_explorer_sample.js",
        "spectrum_explorer_values.js",
        "spectrum_explorer_attention.js",
        "spectrum_explorer_controls.js",
        "spectrum_explorer.js",
    )
    _css = front_end("base.css", "panel.css", "spectrum_explorer.css")

    presets = traitlets.List(traitlets.Dict(), PRESETS).tag(sync=True)
    fragment = traitlets.Unicode("spectrum-explorer").tag(sync=True)
    law = traitlets.Enum(["gaussian", "sphere"], "gaussian").tag(sync=True)
    sharpness = traitlets.List(traitlets.Float(), [0.4, 0.3, 0.2]).tag(sync=True)
    concentration = traitlets.Float(4.0).tag(sync=True)
    dimension = traitlets.Int(3).tag(sync=True)
    tokens = traitlets.Int(128).tag(sync=True)
    seed = traitlets.Int(1).tag(sync=True)

    @property
    def profile(self) -> RankProfile:
        """Rank of attention in closed form, for infinitely many tokens."""
        if self.law == "sphere":
            return spherical_rank_profile(self.concentration, self.dimension)
        return rank_profile(np.array(self.sharpness))

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.spectrum_explorer import spectrum_explorer_png

        points = self._sample()
        attention = attention_matrix(points, bilinear=np.eye(points.shape[1]))
        return spectrum_explorer_png(self.profile, attention)

    def _sample(self) -> Float[np.ndarray, "token direction"]:
        """Sorted tokens whose scores are plain scalar products."""
        generator = np.random.default_rng(self.seed)
        if self.law == "gaussian":
            tokens = generator.standard_normal((self.tokens, len(self.sharpness)))
            order = tokens[:, np.argmax(self.sharpness)].argsort()
            return np.sqrt(self.sharpness) * tokens[order]
        tokens = generator.standard_normal((self.tokens, self.dimension))
        tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
        place = np.arctan2(tokens[:, 1], tokens[:, 0]) if self.dimension == 2 else tokens[:, 0]
        return np.sqrt(self.concentration) * tokens[place.argsort()]

    @traitlets.validate("sharpness")
    def _require_closed_form(self, proposal: dict) -> list[float]:
        value = proposal["value"]
        inside = all(0 <= each < SHARPNESS_LIMIT for each in value)
        if not (1 <= len(value) <= MAX_DIRECTIONS and inside):
            raise StateError(
                f"sharpness must have 1 to {MAX_DIRECTIONS} entries, each at least 0 and below "
                f"1/√2 ≈ {SHARPNESS_LIMIT:.4f}; got {value}: the closed form ends there, so choose "
                "smaller entries, or drop directions."
            )
        return value

    @traitlets.validate("dimension")
    def _require_dimension(self, proposal: dict) -> int:
        value = proposal["value"]
        if value not in DIMENSIONS:
            raise StateError(
                f"dimension must be one of {DIMENSIONS}; got {value}: choose one of the slider, or "
                "call theory.spectrum for others."
            )
        return value

    @traitlets.validate("concentration", "tokens", "seed")
    def _require_on_sliders(self, proposal: dict) -> int | float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = RANGES[name]
        if not low <= value <= high:
            raise StateError(
                f"{name} must be at least {low} and at most {high}; got {value}: choose a value "
                "between."
            )
        return value

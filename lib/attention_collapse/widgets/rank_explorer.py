"""The rank explorer: what depth and the number of frames do to the rank of attention."""

import math
from collections.abc import Callable, Mapping

import ipywidgets
import numpy as np
import traitlets

from attention_collapse.theory.collapse_surface import CollapseSurface
from attention_collapse.theory.spectrum import RankProfile
from attention_collapse.widgets.base import BookWidget, StateError, front_end
from attention_collapse.widgets.measurement import LAW, measurement_state

PROBE_TOKENS = 24
PROBE_SEED = 7

PRESETS = [
    {"name": "A short video", "depth": 24, "frames": 8, "dilution_frames": 64.0},
    {"name": "Beyond a few hundred frames", "depth": 24, "frames": 512, "dilution_frames": 64.0},
    {"name": "Deep network", "depth": 96, "frames": 64, "dilution_frames": 64.0},
    {"name": "Matches everywhere", "depth": 24, "frames": 512, "dilution_frames": 1024.0},
    {
        "name": "Merging: non-matches at half weight",  # doubles the dilution frames
        "depth": 24,
        "frames": 512,
        "dilution_frames": 128.0,
    },
]


class RankExplorer(BookWidget):
    r"""Singular values, attention map and collapse surface under sliders for depth and frames.

    The page computes what ``theory.collapse_surface`` computes. Measurements from a kernel are
    drawn over it as hollow markers: in full where the explorer stands at their depth, frames and
    law, pale and labelled at another depth or number of frames, not at all under another law.

    Attributes:
        depth: :math:`L`, in layers, from 0 to ``max_depth``.
        frames: :math:`S`, from 1 to ``max_frames``.
        dilution_frames: :math:`S_*`, in frames.
        initial_sharpness: :math:`a_{k0}`, one per direction, each in :math:`[0, 1/\sqrt 2)`.
        step: :math:`\tau`, depth time of one layer over the initial norm of the tokens.
        probes: Tokens of the attention map, a list of deviations with one entry per direction,
            in standard deviations. Drawn from the normal law with a fixed seed by default, and
            sorted along the first direction.
        measured: Measurements to draw, see ``measurement_state``; empty by default. One that
            does not say its law gets the present one.
        max_depth: End of the depth slider and of the surface.
        max_frames: End of the frames slider and of the surface.

    Raises:
        ValueError: If a trait leaves its range.

    Home section: *The phenomenon*.
    """

    _esm = front_end(
        "controls.js",
        "plot.js",
        "base.js",
        "collapse_surface.js",
        "panel.js",
        "rank_profile_panel.js",
        "attention_panel.js",
        "collapse_surface_panel.js",
        "rank_explorer_controls.js",
        "rank_explorer.js",
    )
    _css = front_end("base.css", "panel.css", "rank_explorer.css")

    presets = traitlets.List(traitlets.Dict(), PRESETS).tag(sync=True)
    fragment = traitlets.Unicode("rank-explorer").tag(sync=True)
    depth = traitlets.Int(24).tag(sync=True)
    frames = traitlets.Int(64).tag(sync=True)
    dilution_frames = traitlets.Float(64.0).tag(sync=True)
    initial_sharpness = traitlets.List(traitlets.Float(), [0.5, 0.4, 0.3, 0.2]).tag(sync=True)
    step = traitlets.Float(0.25).tag(sync=True)
    probes = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    measured = traitlets.List(traitlets.Dict()).tag(sync=True)
    max_depth = traitlets.Int(96).tag(sync=True)
    max_frames = traitlets.Int(1024).tag(sync=True)

    _measure = None

    @property
    def surface(self) -> CollapseSurface:
        """The law at the present parameters."""
        return CollapseSurface(
            initial_sharpness=tuple(self.initial_sharpness),
            dilution_frames=self.dilution_frames,
            step=self.step,
        )

    @property
    def _law(self) -> dict[str, list | float]:
        return {name: getattr(self, name) for name in LAW}

    @property
    def profile(self) -> RankProfile:
        """Rank of attention at the present depth and number of frames."""
        return self.surface.rank_profile(self.depth, self.frames)

    def poster(self) -> bytes:
        """Draw the present state as a PNG, for readers without a widget host."""
        from attention_collapse.figures.rank_explorer import rank_explorer_png

        return rank_explorer_png(
            self.surface,
            depth=self.depth,
            frames=self.frames,
            probes=np.array(self.probes)[:, : len(self.initial_sharpness)],
            max_depth=self.max_depth,
            max_frames=self.max_frames,
            measured=[each for each in self.measured if self._law.items() <= each.items()],
        )

    def attach(
        self, measure: Callable[[int, int, CollapseSurface], Mapping[str, object]]
    ) -> ipywidgets.VBox:
        """Draw ``measure(depth, frames, surface)`` over the theory, now and after every change.

        A change of depth, of frames or of the law measures again. A measurement that fails is
        reported in the widget and raised. ``measure`` replaces the one attached before.

        Args:
            measure: Takes the depth, the number of frames and the law, as ``surface``. Returns
                what ``measurement_state`` accepts.

        Returns:
            Two ``IntSlider`` controls, linked to the explorer both ways.
        """
        if self._measure is not None:
            self.unobserve(self._overlay, ["depth", "frames", *LAW])
        self._measure, self._measured_at = measure, None
        self._overlay()
        self.observe(self._overlay, ["depth", "frames", *LAW])
        return ipywidgets.VBox(
            [
                self._linked_slider("depth", 0, self.max_depth),
                self._linked_slider("frames", 1, self.max_frames),
            ]
        )

    def _linked_slider(self, trait: str, low: int, high: int) -> ipywidgets.IntSlider:
        slider = ipywidgets.IntSlider(
            getattr(self, trait), min=low, max=high, description=trait, continuous_update=False
        )
        ipywidgets.link((self, trait), (slider, "value"))
        return slider

    def _overlay(self, change: Mapping[str, object] | None = None) -> None:
        """Measure at the present depth, frames and law; say so meanwhile, and when it fails."""
        present = (self.depth, self.frames, self.surface)
        if present == self._measured_at:  # one message moved several sliders
            return
        self._measured_at = present
        self.error, self.message = "", "Measuring at depth {} on {} frames …".format(*present)
        try:
            self.measured = [dict(self._measure(*present))]
        except Exception as error:
            self.measured = []
            self.error = f"The measurement failed. {type(error).__name__}: {error}"
            raise
        finally:
            self.message = ""

    @traitlets.default("probes")
    def _draw_probes(self) -> list[list[float]]:
        shape = (PROBE_TOKENS, len(self.initial_sharpness))
        draws = np.random.default_rng(PROBE_SEED).standard_normal(shape)
        return draws[np.argsort(draws[:, 0])].round(3).tolist()

    @traitlets.validate("depth", "frames", "max_depth", "max_frames")
    def _require_on_sliders(self, proposal: dict) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = {
            "depth": (0, self.max_depth),
            "frames": (1, self.max_frames),
            "max_depth": (max(1, self.depth), math.inf),
            "max_frames": (max(2, self.frames), math.inf),
        }[name]
        if not low <= value <= high:
            raise StateError(
                f"{name} must be at least {low} and at most {high}; got {value}: choose a value "
                "between, or move max_depth and max_frames."
            )
        return value

    @traitlets.validate("initial_sharpness", "dilution_frames", "step")
    def _require_lawful(self, proposal: dict) -> list | float:
        name, value = proposal["trait"].name, proposal["value"]
        present = self._law | {name: value}
        present["initial_sharpness"] = tuple(present["initial_sharpness"])
        try:
            CollapseSurface(**present)
        except ValueError as error:
            raise StateError(str(error)) from error
        if name == "initial_sharpness":
            _require_probes(self.probes, len(value))
        return value

    @traitlets.validate("probes")
    def _require_probe_per_direction(self, proposal: dict) -> list:
        _require_probes(proposal["value"], len(self.initial_sharpness))
        return proposal["value"]

    @traitlets.validate("measured")
    def _require_measurements(self, proposal: dict) -> list:
        return [self._law | measurement_state(measurement) for measurement in proposal["value"]]


def _require_probes(probes: list[list[float]], directions: int) -> None:
    finite = all(math.isfinite(entry) for probe in probes for entry in probe)
    if len(probes) < 2 or min(map(len, probes)) < directions or not finite:
        raise StateError(
            f"probes must be two or more tokens with a finite entry for each of the {directions} "
            f"directions of initial_sharpness; got {probes}: set probes that fit."
        )

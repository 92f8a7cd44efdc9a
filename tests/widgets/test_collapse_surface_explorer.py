"""The collapse surface explorer on the Python side: its state, its particles, its still image."""

import base64
import json

import numpy as np
import pytest

from attention_collapse.figures.collapse_surface_explorer import relative_spread
from attention_collapse.theory import frames, layers
from attention_collapse.widgets.collapse_surface_explorer import SCHEMES, CollapseSurfaceExplorer
from tolerances import (
    EXPLORER_CAP,
    EXPLORER_NARROW,
    EXPLORER_NARROW_PURE,
    EXPLORER_SHRINKING_STEP,
    EXPLORER_SLOPE,
    FLOAT64,
    beside_match,
    quoted,
)

STATE_BUDGET = 100_000  # bytes of JSON on a page


def slope(spread, step):
    """Slope of the spread over the second half of the layers, in logarithms."""
    last = len(spread) - 1
    time = 1 + step * np.array([last // 2, last])
    return np.diff(np.log(spread[[last // 2, last]]))[0] / np.diff(np.log(time))[0]


def narrow_cloud(*, curved, count=400, width=0.02, sharpness=0.4):
    """Particles spread evenly over a Gaussian, on the sphere or flat, and their temperature."""
    order = np.arange(count)
    angle = np.pi * (3 - np.sqrt(5)) * order
    radius = np.sqrt(-2 * np.log((order + 0.5) / count))
    plane = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    flat = np.column_stack([width * (plane - plane.mean(axis=0)), np.ones(count)])
    tokens = layers.normalise(flat) if curved else flat
    return {"tokens": tokens.tolist(), "temperature": sharpness / width**2}


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "message"),
        [
            ("scheme", "expansive", "scheme must be one of .*got 'expansive'"),
            ("depth", -1, "depth must be at least 0 and at most 400; got -1"),
            ("depth", 401, "depth must be at least 0 and at most 400; got 401"),
            ("frames", 0, "frames must be at least 1 and at most 4096; got 0"),
            ("max_depth", 10, "max_depth must be at least 24"),
            ("max_frames", 1, "max_frames must be at least 512"),
            ("dilution_frames", 0.0, "dilution_frames must be at least 1"),
            ("dilution_frames", float("inf"), "dilution_frames must be at least 1"),
            ("other_weight", 0.01, "other_weight must be at least 0.05 and at most 1"),
            ("other_weight", float("nan"), "other_weight must be at least 0.05"),
            ("step", 0.0, "step must be at least 0.001 and at most 1"),
            ("temperature", 20.0, "temperature must leave the sharpness.* below 1; got 2.38"),
            ("temperature", -1.0, "temperature must leave the sharpness.* at least 0"),
            ("tokens", [], "tokens must be two or more different points"),
            ("tokens", [[0.0, 0.0, 1.0]] * 2, "tokens must be two or more different points"),
            ("tokens", [[0.0, 1.0], [1.0, 0.0]], "tokens must be two or more different points"),
            ("tokens", [[0.0, 0.0, float("nan")]] * 2, "tokens must be two or more"),
            ("tokens", [[1.0, 0, 0], [0.9, 0, 0], [-0.9, 0, 0.4]], "all on the side of their mean"),
        ],
    )
    def test_bad_value_is_refused_and_rolled_back(self, trait, value, message):
        explorer = CollapseSurfaceExplorer()
        before = getattr(explorer, trait)
        with pytest.raises(ValueError, match=message):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before

    def test_bad_message_from_the_page_changes_nothing(self):
        explorer = CollapseSurfaceExplorer()
        with pytest.raises(ValueError, match="frames must be at least 1"):
            explorer.set_state({"depth": 30, "frames": 5000})
        assert (explorer.depth, explorer.frames) == (24, 512)

    def test_tokens_are_always_the_same_and_on_the_sphere(self):
        tokens = np.array(CollapseSurfaceExplorer().tokens)
        assert tokens.shape == (96, 3)
        np.testing.assert_allclose(
            np.linalg.norm(tokens, axis=1), 1.0, rtol=0, atol=3**0.5 * quoted(3)
        )
        assert CollapseSurfaceExplorer().tokens == tokens.tolist()

    def test_every_preset_can_be_applied_from_any_state(self):
        explorer = CollapseSurfaceExplorer()
        for preset in explorer.presets:
            explorer.apply_preset(preset["name"])
            values = {trait: getattr(explorer, trait) for trait in preset if trait != "name"}
            assert values | {"name": preset["name"]} == preset
        assert len({tuple(sorted(preset)) for preset in explorer.presets}) == 1

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"overlay": {"grids": {}}}, "overlay must have .*; got none of bits, depth, frames"),
            ({"quantity": "loss"}, "quantity must be one of spread; got 'loss'"),
        ],
    )
    def test_bad_grids_are_refused(self, given, message):
        overlay = {
            "settings": ["orbit"], "frames": [2], "depth": 1, "bits": 8, "missing": 255,
            "grids": {"spread": {"low": 0.0, "step": 1.0, "codes": "AA=="}},
        }  # fmt: skip
        explorer = CollapseSurfaceExplorer(overlay=overlay, quantity="spread")
        with pytest.raises(ValueError, match=message):
            explorer.set_state(given)
        assert (explorer.overlay, explorer.quantity) == (overlay, "spread")

    def test_state_is_json_and_small(self):
        assert len(json.dumps(CollapseSurfaceExplorer().get_state())) <= STATE_BUDGET


class TestLaw:
    def test_merging_divides_the_dilution_frames(self):
        """As it does in the library where the score gap is large."""
        explorer = CollapseSurfaceExplorer(dilution_frames=40.0, other_weight=0.1)
        options = {"matches": 1, "tokens_per_frame": 1e5, "score_gap": 20.0}
        ratio = frames.dilution_frames(**options, other_weight=0.1) / frames.dilution_frames(
            **options
        )
        assert explorer.diluted_frames == pytest.approx(40.0 * ratio, rel=beside_match(20.0))
        assert explorer.exponent + explorer.match_share == pytest.approx(1.0, abs=FLOAT64)

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("count", [8, 64, 4096])
    def test_law_follows_the_particles(self, scheme, count):
        explorer = CollapseSurfaceExplorer(scheme=scheme, frames=count, depth=100)
        spread, law = relative_spread(explorer.particles()), explorer.law()
        seen = spread > 1e-6  # below, post-norm and no residual approach rounding
        assert len(spread) == len(law) == 101
        np.testing.assert_allclose(law[seen], spread[seen], rtol=EXPLORER_CAP[scheme])

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("count", [64, 4096])
    def test_law_is_that_of_many_particles_in_a_narrow_cloud(self, scheme, count):
        cloud = narrow_cloud(curved=scheme not in ("averaging", "pure"))
        explorer = CollapseSurfaceExplorer(scheme=scheme, frames=count, depth=40, **cloud)
        spread, law = relative_spread(explorer.particles()), explorer.law()
        seen = spread > 1e-6
        bound = EXPLORER_NARROW_PURE if scheme == "pure" else EXPLORER_NARROW
        np.testing.assert_allclose(law[seen], spread[seen], rtol=bound)

    def test_law_without_normalisation_is_too_large_from_a_cap(self):
        """There the first scores are cosines: one layer returns a / (1 + a), not a."""
        cloud = narrow_cloud(curved=True)
        explorer = CollapseSurfaceExplorer(scheme="pure", frames=4096, depth=1, **cloud)
        explorer.dilution_frames = 1.0
        ratio = explorer.law()[1] / relative_spread(explorer.particles())[1]
        assert ratio == pytest.approx(1 + explorer.sharpness, rel=EXPLORER_NARROW)

    @pytest.mark.parametrize("count", [8, 64, 512, 4096])
    def test_particles_fall_with_the_exponent(self, count):
        explorer = CollapseSurfaceExplorer(frames=count, depth=400)
        measured = slope(relative_spread(explorer.particles()), explorer.step)
        assert -measured == pytest.approx(explorer.exponent, abs=EXPLORER_SLOPE)

    def test_equal_frames_over_dilution_frames_fall_alike(self):
        """The collapse surface is one curve."""
        law = [
            CollapseSurfaceExplorer(frames=8 * scale, dilution_frames=16.0 * scale).law()
            for scale in (1, 10)
        ]
        merged = CollapseSurfaceExplorer(frames=80, dilution_frames=16.0, other_weight=0.1).law()
        np.testing.assert_allclose([law[1], merged], [law[0]] * 2, rtol=0, atol=FLOAT64)

    def test_a_shrinking_step_does_not_collapse_however_deep(self):
        ends = [
            CollapseSurfaceExplorer(scheme="shrinking-step", frames=4096, depth=depth).law()[-1]
            for depth in (50, 400)
        ]
        assert ends[1] == pytest.approx(ends[0], rel=EXPLORER_SHRINKING_STEP)
        assert ends[1] > 0.5


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self):
        data, _ = CollapseSurfaceExplorer()._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_can_be_drawn_for_every_scheme_from_the_first_layer_on(self, scheme):
        posters = {CollapseSurfaceExplorer(scheme=scheme, depth=depth).poster() for depth in (0, 6)}
        assert len(posters) == 2

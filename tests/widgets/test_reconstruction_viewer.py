"""The reconstruction viewer on the Python side: its state, its size, its still image."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
import traitlets

from attention_collapse.widgets.camera_frusta import ViewerFrame
from attention_collapse.widgets.quantisation import decode_shares
from attention_collapse.widgets.reconstruction_viewer import (
    MAX_CAMERAS,
    MAX_POINTS,
    PRESETS,
    STATE_BUDGET,
    ReconstructionViewer,
)
from tolerances import HALF_STEP, THINNED_RADIUS
from widgets.viewer_scene import orbit_arrays, orbit_viewer

ARRAYS = orbit_arrays()


@pytest.fixture(scope="module")
def viewer():
    return orbit_viewer()


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "message"),
        [
            ("azimuth", 181.0, "azimuth must be at least -180 and at most 180; got 181"),
            ("elevation", -90.0, "elevation must be at least -89 and at most 89; got -90"),
            ("zoom", 0.0, "zoom must be at least 0.25 and at most 8; got 0"),
            ("zoom", float("nan"), "zoom must be at least"),
        ],
    )
    def test_bad_value_is_refused_and_rolled_back(self, viewer, trait, value, message):
        before = getattr(viewer, trait)
        with pytest.raises(ValueError, match=message):
            setattr(viewer, trait, value)
        assert getattr(viewer, trait) == before

    @pytest.mark.parametrize("trait", ["shown", "colouring"])
    def test_unknown_words_are_refused(self, trait):
        with pytest.raises(traitlets.TraitError, match=trait):
            orbit_viewer(**{trait: "all"})

    @pytest.mark.parametrize(
        ("trait", "value", "lacks"),
        [
            ("shown", "both", "true_points"),
            ("colouring", "error", "true_points"),
            ("colouring", "confidence", "confidence"),
        ],
    )
    def test_what_is_not_there_cannot_be_shown(self, trait, value, lacks):
        parts = {name: ARRAYS[name] for name in ("points", "images", "intrinsics")}
        bare = ReconstructionViewer.from_arrays(world_to_camera=ARRAYS["world_to_camera"], **parts)
        assert (bare.shown, bare.true_points, bare.true_cameras) == ("predicted", "", [])
        with pytest.raises(ValueError, match=f"without {lacks}"):
            setattr(bare, trait, value)

    @pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset["name"])
    def test_presets_are_views(self, viewer, preset):
        viewer.apply_preset(preset["name"])
        assert viewer.elevation == preset["elevation"]

    def test_a_full_page_keeps_the_budget(self):
        frames = MAX_CAMERAS
        cameras = np.repeat(ARRAYS["world_to_camera"][:1], frames, axis=0)
        generator = np.random.default_rng(0)
        points = generator.standard_normal((frames, 16, 16, 3))
        full = ReconstructionViewer.from_arrays(
            points,
            generator.uniform(size=(frames, 3, 16, 16)),
            cameras,
            np.repeat(ARRAYS["intrinsics"][:1], frames, axis=0),
            true_points=points + 1,
            true_world_to_camera=cameras,
            confidence=generator.uniform(1, 2, size=(frames, 16, 16)),
        )
        assert len(full.grid.decode(full.points)) == MAX_POINTS
        assert len(json.dumps(full.get_state())) <= STATE_BUDGET

    def test_loads_without_torch_matplotlib_or_sympy(self):
        code = (
            "import json, sys, attention_collapse.widgets.reconstruction_viewer;"
            "print(json.dumps(sorted({'torch', 'matplotlib', 'sympy'} & set(sys.modules))))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(result.stdout) == []


class TestScene:
    def test_points_and_cameras_are_where_they_were(self, viewer):
        truth = ARRAYS["true_points"].reshape(-1, 3)
        frame = ViewerFrame.of(truth, ARRAYS["true_world_to_camera"])
        assert viewer.unit == frame.unit
        for text, points in ((viewer.points, ARRAYS["points"].reshape(-1, 3)),
                             (viewer.true_points, truth)):  # fmt: skip
            error = viewer.grid.decode(text) - frame(points)
            assert np.abs(error).max() <= HALF_STEP * viewer.grid.step
        rotation, shift = np.split(ARRAYS["true_world_to_camera"], [3], axis=2)
        centres = frame(-np.einsum("fji,fj->fi", rotation, shift[..., 0]))
        apexes = np.array(viewer.true_cameras)[:, 0]
        assert np.abs(apexes - centres).max() <= HALF_STEP * 1e-5  # digits kept

    def test_colours_and_confidence_belong_to_their_points(self, viewer):
        colours = decode_shares(viewer.colours).reshape(-1, 3)
        expected = ARRAYS["images"].transpose(0, 2, 3, 1).reshape(-1, 3)
        assert np.abs(colours - expected).max() <= HALF_STEP / 255
        logarithms = np.log(ARRAYS["confidence"].ravel())
        shares = (logarithms - logarithms.min()) / np.ptp(logarithms)
        assert np.abs(decode_shares(viewer.confidence) - shares).max() <= HALF_STEP / 255

    def test_many_points_are_thinned_alike_in_all_arrays(self):
        arrays = orbit_arrays(frames=4, size=(56, 60))
        thinned = ReconstructionViewer.from_arrays(**arrays)
        frame = ViewerFrame.of(arrays["true_points"].reshape(-1, 3), arrays["true_world_to_camera"])
        points = thinned.grid.decode(thinned.true_points)
        assert len(points) == MAX_POINTS
        assert thinned.unit == pytest.approx(frame.unit, rel=THINNED_RADIUS)
        pixels = frame(arrays["true_points"].reshape(-1, 3))
        nearest = [np.abs(pixels - point).sum(axis=1).argmin() for point in points[::2000]]
        colours = arrays["images"].transpose(0, 2, 3, 1).reshape(-1, 3)[nearest]
        found = decode_shares(thinned.colours).reshape(-1, 3)[::2000]
        assert np.abs(found - colours).max() <= HALF_STEP / 255

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"confidence": -ARRAYS["confidence"]}, "confidence must be positive"),
            ({"points": np.full_like(ARRAYS["points"], np.nan)}, "points must be at least one"),
            ({"images": 2 * ARRAYS["images"]}, "shares must be from 0 to 1"),
        ],
    )
    def test_a_scene_that_cannot_be_shown_is_refused(self, change, message):
        with pytest.raises(ValueError, match=message):
            ReconstructionViewer.from_arrays(**ARRAYS | change)

    def test_more_cameras_than_fit_are_refused(self):
        many = np.zeros((MAX_CAMERAS + 1, 1, 1, 3))
        cameras = np.zeros((MAX_CAMERAS + 1, 3, 4))
        with pytest.raises(ValueError, match="at most 64 frames; got 65"):
            ReconstructionViewer.from_arrays(
                many, many.transpose(0, 3, 1, 2), cameras, cameras[:, :, :3]
            )


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self, viewer):
        data, _ = viewer._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    def test_is_reproducible_and_shows_the_state(self):
        states = [{}, {}, {"azimuth": 60.0}, {"colouring": "error"}, {"shown": "true"}]
        posters = [orbit_viewer(**state).poster() for state in states]
        assert posters[0] == posters[1]
        assert len(set(posters)) == 4

"""The many-frame explorer on the Python side: its means, its state, its still image."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.figures import many_frame_explorer as still
from attention_collapse.widgets.many_frame_explorer import ManyFrameExplorer
from tolerances import FLOAT64
from widgets.many_frame_scene import (
    COUNTS,
    RANKED,
    SCENES,
    error_arrays,
    many_frame_explorer,
    rank_arrays,
)

STATE_BUDGET = 20_000  # bytes of JSON beside the script and the style


@pytest.fixture(scope="module")
def explorer():
    return many_frame_explorer()


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=FLOAT64)


class TestMeans:
    @pytest.mark.parametrize("name", ["rotation", "points"])
    def test_errors_are_means_with_standard_errors_over_scenes(self, explorer, name):
        scenes = error_arrays()[name].sum(axis=0) / 3
        mean = scenes.sum(axis=0) / SCENES
        variance = ((scenes - mean) ** 2).sum(axis=0) / (SCENES - 1)
        assert_equal(explorer.errors[name], mean)
        assert_equal(explorer.standard_errors[name], np.sqrt(variance / SCENES))

    def test_shares_are_means_over_networks_and_heads(self, explorer):
        mass = error_arrays()["reference_mass"]
        assert_equal(explorer.shares, mass.sum(axis=(0, 4)) / (3 * 2))

    def test_singular_ratios_are_means_over_scenes_and_heads(self, explorer):
        ratio = rank_arrays()["singular_ratio"]
        assert_equal(explorer.singular_ratios, ratio.sum(axis=(0, 3)) / (4 * 2))
        assert explorer.ratio_frame_counts == list(COUNTS[:RANKED])

    def test_records_of_the_book_are_shown_as_the_chapter_tells_them(self):
        errors = records.find("orbit_error", "to_2048_frames").arrays
        rank = records.find("orbit_frames", "orbit").arrays
        shown = ManyFrameExplorer.from_records(errors, rank)
        assert shown.frame_counts == [2**power for power in range(1, 12)]
        plain, cured = np.array(shown.errors["rotation"])
        assert plain[-1] > 30 * plain[2] > 30 * cured[-1]
        shares = np.array(shown.shares[0])
        assert (np.diff(shares[2:], axis=0) < 0).all()
        change = np.array(shown.singular_ratios[2:]) / shown.singular_ratios[2] - 1
        assert 0.05 < np.abs(change[:, :5]).max() < 0.06
        assert change[:, 5].min() == change[-1, 5]
        assert round(change[-1, 5], 1) == -0.1


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "listed"),
        [("frames", 3, "2, 4, 8, 16, 64"), ("treatment", "scale", "none, bias")],
    )
    def test_bad_value_is_refused_and_rolled_back(self, explorer, trait, value, listed):
        before = getattr(explorer, trait)
        with pytest.raises(ValueError, match=f"got {value}: choose one of {listed}"):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before

    def test_starts_in_training(self, explorer):
        assert (explorer.frames, explorer.treatment) == (8, "none")
        assert_equal(*explorer.shown_shares())
        assert_equal(*explorer.shown_ratios())

    def test_presets_are_states(self):
        explorer = many_frame_explorer()
        seen = []
        for preset in explorer.presets:
            explorer.apply_preset(preset["name"])
            seen.append((explorer.frames, explorer.treatment))
        assert seen == [(8, "none"), (64, "none"), (64, "bias")]

    def test_state_is_small_and_makes_the_widget_again(self):
        given = many_frame_explorer(frames=64, treatment="bias").get_state()
        state = {name: value for name, value in given.items() if not name.startswith("_")}
        text = json.dumps(state, allow_nan=False)
        assert len(text) <= STATE_BUDGET
        traits = {name: value for name, value in json.loads(text).items() if name != "layout"}
        assert (
            ManyFrameExplorer(**traits).poster()
            == many_frame_explorer(frames=64, treatment="bias").poster()
        )

    def test_loads_without_torch_matplotlib_or_sympy(self):
        code = (
            "import json, sys, attention_collapse.widgets.many_frame_explorer;"
            "print(json.dumps(sorted({'torch', 'matplotlib', 'sympy'} & set(sys.modules))))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(result.stdout) == []


class TestShown:
    @pytest.mark.parametrize("treatment", ["none", "bias"])
    def test_shares_are_those_of_the_state_and_of_training(self, treatment):
        shown = many_frame_explorer(frames=16, treatment=treatment).shown_shares()
        place = ["none", "bias"].index(treatment)
        mass = error_arrays()["reference_mass"].mean(axis=(0, -1))
        assert_equal(shown, mass[place][[3, 2]])

    def test_ratios_are_those_of_the_state_or_words(self):
        ratio = rank_arrays()["singular_ratio"].mean(axis=(0, -1))
        assert_equal(many_frame_explorer(frames=16).shown_ratios(), ratio[[3, 2]])
        assert many_frame_explorer(frames=64).shown_ratios() == "recorded to 16 frames"
        with_bias = many_frame_explorer(frames=16, treatment="bias").shown_ratios()
        assert with_bias == "not recorded with the bias"
        for frames, place in ((4, 1), (8, 2)):
            no_bias_yet = many_frame_explorer(frames=frames, treatment="bias").shown_ratios()
            assert_equal(no_bias_yet, ratio[[place, 2]])


class TestFit:
    @pytest.mark.parametrize(
        ("errors", "rank", "message"),
        [
            ({"treatments": np.array(["none", "length"])}, {}, "treatments must be .* a record of"),
            ({"rotation": np.ones((3, 1, 2, 5))}, {}, "two or more.* got 1: record more"),
            ({"frames": np.array([2, 4, 8, 64, 16])}, {}, "frames must ascend"),
            ({}, {"frames": np.array([4, 8, 16, 64])}, r"got \[4, 8, 16, 64\] and \[2, 4"),
            ({}, {"frames": np.array([2, 4])}, r"got 8: choose one of \[2, 4\]"),
            ({}, {"singular_ratio": np.ones((4, 4, 3, 2))}, "got 4 with errors and 3 with ranks"),
        ],
    )
    def test_records_that_do_not_fit_are_refused(self, errors, rank, message):
        with pytest.raises(ValueError, match=message):
            ManyFrameExplorer.from_records(error_arrays(**errors), rank_arrays(**rank))


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self, explorer):
        data, _ = explorer._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    def test_is_reproducible_and_shows_the_state(self):
        states = [{}, {}, {"frames": 2}, {"frames": 64}, {"frames": 64, "treatment": "bias"}]
        posters = [many_frame_explorer(**state).poster() for state in states]
        assert posters[0] == posters[1]
        assert len(set(posters)) == 4

    def test_draws_what_the_state_shows(self, monkeypatch):
        drawn = {}
        monkeypatch.setattr(
            still, "many_frames_png", lambda *_, **given: drawn.update(given) or b""
        )
        explorer = many_frame_explorer(frames=16, treatment="bias")
        explorer.poster()
        assert (drawn["frames"], drawn["chosen"], drawn["trained_frames"]) == (16, 1, 8)
        assert_equal(drawn["shares"], explorer.shown_shares())
        assert drawn["ratios"] == explorer.shown_ratios()
        assert drawn["least_share"] == np.min(explorer.shares)

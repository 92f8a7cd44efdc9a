"""The merge explorer on the Python side: its state, its scene, its still image."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
import traitlets

from attention_collapse.widgets.merge_explorer import PRESETS, SHARPNESS, MergeExplorer
from tolerances import ROUNDED_TOKENS

STATE_BUDGET = 100_000  # bytes of JSON on a page
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(size=(2, 3, 28, 42))
TOKENS = GENERATOR.standard_normal((2, 2, 3, 16))


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "message"),
        [
            ("cell", 5, r"cell must be one of \(2, 3, 4\); got 5"),
            ("ratio", 0.95, "ratio must be at least 0 and at most 0.9; got 0.95"),
            ("ratio", -0.1, "ratio must be at least 0"),
            ("ratio", float("nan"), "ratio must be at least 0"),
            ("patch", -2, "patch must be -1 or below the number of patches; got -2"),
            ("patch", 144, "patch must be -1 or below the number of patches; got 144"),
        ],
    )
    def test_bad_value_is_refused_and_rolled_back(self, trait, value, message):
        explorer = MergeExplorer()
        before = getattr(explorer, trait)
        with pytest.raises(ValueError, match=message):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before

    @pytest.mark.parametrize(("trait", "value"), [("reference", "first"), ("weighting", "log")])
    def test_unknown_words_are_refused(self, trait, value):
        with pytest.raises(traitlets.TraitError, match=trait):
            MergeExplorer(**{trait: value})

    @pytest.mark.parametrize("name", [preset["name"] for preset in PRESETS])
    def test_preset_does_not_depend_on_the_state_before(self, name):
        first, second = MergeExplorer(), MergeExplorer(cell=3, ratio=0.1, weighting="none")
        second.reference = "destination"
        for explorer in (first, second):
            explorer.apply_preset(name)
        assert first.groups.tolist() == second.groups.tolist()
        assert first.weighting == second.weighting

    def test_state_is_json_and_small(self):
        images = GENERATOR.uniform(size=(4, 3, 112, 140))  # noise: no picture needs more
        explorer = MergeExplorer.from_frames(images, GENERATOR.uniform(size=(4, 8, 10, 64)))
        assert len(json.dumps(explorer.get_state())) <= 2 * STATE_BUDGET
        assert len(json.dumps(MergeExplorer().get_state())) <= STATE_BUDGET

    def test_loads_without_torch_matplotlib_or_sympy(self):
        code = (
            "import json, sys, attention_collapse.widgets.merge_explorer;"
            "print(json.dumps(sorted({'torch', 'matplotlib', 'sympy'} & set(sys.modules))))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(result.stdout) == []


class TestScene:
    def test_tokens_are_on_their_main_axes_with_the_stated_variance(self):
        explorer = MergeExplorer.from_frames(IMAGES, TOKENS)
        tokens = np.array(explorer.tokens)
        assert tokens.shape == (12, 8)
        covariance = tokens.T @ tokens / 12
        np.testing.assert_allclose(tokens.mean(axis=0), 0, atol=ROUNDED_TOKENS)
        expected = np.diag(np.diag(covariance))
        np.testing.assert_allclose(covariance, expected, atol=ROUNDED_TOKENS)
        assert covariance[0, 0] == pytest.approx(SHARPNESS, rel=ROUNDED_TOKENS)

    def test_distances_between_tokens_are_kept_up_to_a_factor(self):
        tokens = TOKENS[..., :4]
        explorer = MergeExplorer.from_frames(IMAGES, tokens)
        found = np.linalg.norm(np.diff(np.array(explorer.tokens), axis=0), axis=1)
        given = np.linalg.norm(np.diff(tokens.reshape(12, 4), axis=0), axis=1)
        np.testing.assert_allclose(found / given, found[0] / given[0], rtol=ROUNDED_TOKENS)

    def test_colours_are_the_means_of_the_patches(self):
        explorer = MergeExplorer.from_frames(IMAGES, TOKENS)
        expected = 255 * IMAGES[1, :, 14:, 14:28].mean(axis=(1, 2))
        assert explorer.colours[6 + 3 + 1] == np.rint(expected).tolist()
        assert explorer.layout.count == len(explorer.colours) == 12

    @pytest.mark.parametrize(
        ("images", "tokens", "message"),
        [
            (IMAGES[:1], TOKENS, "as many frames of tokens as images"),
            (IMAGES, np.ones_like(TOKENS), "tokens that differ"),
            (IMAGES[:, :, :20, :21], GENERATOR.uniform(size=(2, 20, 21, 3)), "at most 400 patches"),
        ],
    )
    def test_a_scene_that_cannot_be_shown_is_refused(self, images, tokens, message):
        with pytest.raises(ValueError, match=message):
            MergeExplorer.from_frames(images, tokens)

    def test_tokens_and_colours_must_fit(self):
        state = MergeExplorer().get_state(["images", "tokens", "colours", "rows"])
        with pytest.raises(ValueError, match="one for each of the 18 patches"):
            MergeExplorer(**state, columns=1)


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self):
        data, _ = MergeExplorer()._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    def test_is_reproducible_and_shows_the_state(self):
        posters = [MergeExplorer(ratio=ratio).poster() for ratio in (0.3, 0.3, 0.6)]
        assert posters[0] == posters[1] != posters[2]

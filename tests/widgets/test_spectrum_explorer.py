"""The spectrum explorer on the Python side: its state, its closed form, its still image."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
import traitlets

from attention_collapse.theory.spectrum import rank_profile, spherical_rank_profile
from attention_collapse.widgets.spectrum_explorer import PRESETS, SpectrumExplorer
from tolerances import FLOAT64, quoted, sampling

STATE_BUDGET = 100_000  # bytes of JSON on a page


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "message"),
        [
            ("sharpness", [0.6, 0.71], r"below 1/√2 ≈ 0.7071; got \[0.6, 0.71\]"),
            ("sharpness", [0.5**0.5], "the closed form ends there"),
            ("sharpness", [-0.1], "each at least 0"),
            ("sharpness", [float("nan")], "each at least 0"),
            ("sharpness", [], "sharpness must have 1 to 3 entries"),
            ("sharpness", [0.1] * 4, "sharpness must have 1 to 3 entries"),
            ("concentration", -0.1, "concentration must be at least 0 and at most 12; got -0.1"),
            ("concentration", 12.5, "concentration must be at least 0 and at most 12; got 12.5"),
            ("concentration", float("nan"), "concentration must be at least 0"),
            ("dimension", 5, r"dimension must be one of \(2, 3, 4, 8\); got 5"),
            ("tokens", 31, "tokens must be at least 32 and at most 256; got 31"),
            ("tokens", 257, "tokens must be at least 32 and at most 256; got 257"),
            ("seed", -1, "seed must be at least 0 and at most 4294967295; got -1"),
            ("seed", 2**32, "seed must be at least 0"),
        ],
    )
    def test_bad_value_is_refused_and_rolled_back(self, trait, value, message):
        explorer = SpectrumExplorer()
        before = getattr(explorer, trait)
        with pytest.raises(ValueError, match=message):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before

    def test_bad_value_is_refused_at_the_start(self):
        with pytest.raises(ValueError, match="tokens must be at least 32"):
            SpectrumExplorer(tokens=1)

    @pytest.mark.parametrize(("trait", "value"), [("law", "uniform"), ("tokens", "many")])
    def test_unknown_law_and_wrong_type_are_refused(self, trait, value):
        with pytest.raises(traitlets.TraitError, match=trait):
            SpectrumExplorer(**{trait: value})

    def test_bad_message_from_the_page_changes_nothing(self):
        explorer = SpectrumExplorer()
        with pytest.raises(ValueError, match="dimension must be one of"):
            explorer.set_state({"law": "sphere", "dimension": 5})
        assert (explorer.law, explorer.dimension) == ("gaussian", 3)

    @pytest.mark.parametrize("name", [preset["name"] for preset in PRESETS])
    def test_preset_does_not_depend_on_the_state_before(self, name):
        first, second = SpectrumExplorer(), SpectrumExplorer(law="sphere", sharpness=[0.7])
        second.concentration, second.dimension, second.tokens = 1.5, 8, 33
        for explorer in (first, second):
            explorer.apply_preset(name)
        assert first.tokens == second.tokens
        assert first.profile.stable_rank == second.profile.stable_rank

    def test_the_sphere_of_the_presets_has_scores_as_strong(self):
        gaussian, sphere = SpectrumExplorer(), SpectrumExplorer()
        gaussian.apply_preset("Three equal directions")
        sphere.apply_preset("Scores as strong on a sphere")
        variance = sphere.concentration**2 / sphere.dimension
        assert np.sum(np.square(gaussian.sharpness)) == pytest.approx(variance)
        ratios = [each.profile.singular_ratio for each in (gaussian, sphere)]
        assert abs(ratios[0] - ratios[1]) < 0.3**2  # equal to first order in the sharpness

    def test_state_is_json_and_small(self):
        assert len(json.dumps(SpectrumExplorer().get_state())) <= STATE_BUDGET

    def test_profile_is_that_of_the_law(self):
        explorer = SpectrumExplorer(sharpness=[0.3, 0.2], concentration=2.0, dimension=3)
        expected = rank_profile(np.array([0.3, 0.2]))
        assert explorer.profile.effective_rank == expected.effective_rank
        explorer.law = "sphere"
        assert explorer.profile.stable_rank == spherical_rank_profile(2.0, 3).stable_rank
        assert explorer.profile.stable_rank == pytest.approx(2.075, abs=quoted(3))

    def test_loads_without_torch_matplotlib_or_sympy(self):
        code = (
            "import json, sys, attention_collapse.widgets.spectrum_explorer;"
            "print(json.dumps(sorted({'torch', 'matplotlib', 'sympy'} & set(sys.modules))))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(result.stdout) == []


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self):
        data, _ = SpectrumExplorer()._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    def test_is_reproducible_and_shows_the_state(self):
        state = {"law": "sphere", "tokens": 32}
        posters = [SpectrumExplorer(**state | {"dimension": each}).poster() for each in (2, 2, 8)]
        assert posters[0] == posters[1] != posters[2]

    def test_sample_of_gaussian_tokens_has_their_sharpness_and_order(self):
        points = SpectrumExplorer(tokens=256, sharpness=[0.2, 0.6])._sample()
        deviation = 4 * np.sqrt(2) * sampling(256)  # of a variance, four standard ones
        np.testing.assert_allclose(points.var(axis=0), [0.2, 0.6], rtol=deviation)
        assert np.all(np.diff(points[:, 1]) >= 0)

    def test_sample_on_a_sphere_has_its_concentration_and_order(self):
        points = SpectrumExplorer(law="sphere", concentration=7.0, dimension=4)._sample()
        assert points.shape == (128, 4)
        np.testing.assert_allclose((points**2).sum(axis=1), 7.0, rtol=FLOAT64)
        assert np.all(np.diff(points[:, 0]) >= 0)

    def test_tokens_on_a_circle_are_sorted_by_angle(self):
        points = SpectrumExplorer(law="sphere", dimension=2)._sample()
        assert np.all(np.diff(np.angle(points @ [1, 1j])) >= 0)

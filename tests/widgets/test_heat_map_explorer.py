"""The heat-map explorer on the Python side: its state, its size, its still image."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from attention_collapse.figures import heat_map_explorer as still
from attention_collapse.widgets.heat_map_explorer import (
    MAX_WEIGHTS,
    STATE_BUDGET,
    HeatMapExplorer,
)
from attention_collapse.widgets.heat_maps import HeatMaps
from tolerances import HALF_STEP
from widgets.heat_map_scene import (
    COUNTS,
    QUERIES,
    heat_map_explorer,
    orbit_images,
    random_maps,
)

IMAGES = orbit_images()
MAPS = [random_maps(frames) for frames in COUNTS]


@pytest.fixture(scope="module")
def explorer():
    return HeatMapExplorer.from_maps(IMAGES, QUERIES, MAPS)


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "listed"),
        [
            ("layer", 4, "1, 2, 3"),
            ("layer", 0, "1, 2, 3"),
            ("head", 3, "1, 2"),
            ("query", 5, "1, 2, 3, 4"),
            ("frames", 8, "2, 4, 16"),
        ],
    )
    def test_bad_value_is_refused_and_rolled_back(self, explorer, trait, value, listed):
        before = getattr(explorer, trait)
        with pytest.raises(ValueError, match=f"got {value}: choose one of {listed}"):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before

    def test_starts_with_all_frames(self, explorer):
        assert explorer.frames == 16
        assert explorer.layout.count == 16 * 25

    def test_a_full_page_keeps_the_budget(self):
        generator = np.random.default_rng(0)
        shape = (6, 6, 5, 8, 8, 8)
        weights = generator.uniform(size=shape) / 512
        numbers = generator.uniform(size=shape[:2])
        maps = [HeatMaps(frames, weights, numbers, numbers) for frames in (8, 32)]
        images = generator.uniform(size=(8, 3, 56, 56))  # noise: no picture needs more
        queries = np.zeros((5, 3), dtype=np.int64)
        full = HeatMapExplorer.from_maps(images, queries, maps)
        assert 2 * weights.size > 0.9 * MAX_WEIGHTS
        assert len(json.dumps(full.get_state())) <= STATE_BUDGET

    def test_loads_without_torch_matplotlib_or_sympy(self):
        code = (
            "import json, sys, attention_collapse.widgets.heat_map_explorer;"
            "print(json.dumps(sorted({'torch', 'matplotlib', 'sympy'} & set(sys.modules))))"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert json.loads(result.stdout) == []


class TestMaps:
    @pytest.mark.parametrize(("frames", "layer", "head", "query"), [(2, 3, 2, 4), (16, 1, 2, 1)])
    def test_shown_maps_are_those_of_the_state(self, explorer, frames, layer, head, query):
        for trait, value in {"frames": frames, "layer": layer, "head": head}.items():
            setattr(explorer, trait, value)
        explorer.query = query
        given = MAPS[COUNTS.index(frames)]
        for name, weights in (("recorded", given.attention), ("predicted", given.predicted)):
            expected = weights[layer - 1, head - 1, query - 1]
            found = explorer.shown_maps()[name]
            roots = np.sqrt(found) - np.sqrt(expected)
            assert np.abs(roots).max() <= HALF_STEP / 255 * np.sqrt(expected.max())

    def test_without_prediction_there_is_one_map(self):
        assert list(heat_map_explorer(predicted=False).shown_maps()) == ["recorded"]


class TestFit:
    @pytest.mark.parametrize(
        ("images", "queries", "maps", "message"),
        [
            (IMAGES, QUERIES, MAPS[::-1], r"ascending; got \[16, 4, 2\]: sort them"),
            (IMAGES, QUERIES, [], "one for every number of frames"),
            (IMAGES[:3], QUERIES, MAPS, "show all frames there are images of; got 3 images"),
            (IMAGES, QUERIES[:2], MAPS, "queries must be 4, of frame, row and column below"),
            (IMAGES, QUERIES + np.array([0, 0, 1]), MAPS, r"below \(2, 4, 5\)"),
        ],
    )
    def test_parts_that_do_not_fit_are_refused(self, images, queries, maps, message):
        with pytest.raises(ValueError, match=message):
            HeatMapExplorer.from_maps(images, queries, maps)

    def test_more_than_a_page_may_hold_is_refused(self):
        weights = np.full((6, 6, 6, 8, 16, 8), 1 / 2048)
        numbers = np.zeros((6, 6))
        maps = [HeatMaps(8, weights, numbers, numbers)]
        with pytest.raises(ValueError, match="at most 200000 weights in all.*got 221184"):
            HeatMapExplorer.from_maps(np.zeros((8, 3, 8, 16)), np.zeros((6, 3), np.int64), maps)


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self, explorer):
        data, _ = explorer._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    def test_is_reproducible_and_shows_the_state(self):
        states = [{}, {}, {"layer": 2}, {"frames": 2}, {"query": 2}]
        posters = [heat_map_explorer(**state).poster() for state in states]
        assert posters[0] == posters[1]
        assert len(set(posters)) == 4

    def test_title_counts_from_one_and_has_the_numbers_of_that_head(self, monkeypatch):
        drawn = {}
        monkeypatch.setattr(still, "heat_maps_png", lambda *_, **given: drawn.update(given) or b"")
        heat_map_explorer(layer=3, head=2, frames=2, query=4).poster()
        ratio = MAPS[0].singular_ratio[2, 1]
        assert drawn["title"].startswith("layer 3, head 2, 2 frames")
        assert drawn["title"].endswith(f"σ₂/σ₁ = {ratio:.3f}")
        assert drawn["query"] == tuple(QUERIES[3])

"""The rank explorer on the Python side: its state, its still image, live measurements."""

import base64
import json

import numpy as np
import pytest
import traitlets

from attention_collapse.widgets.rank_explorer import RankExplorer
from tolerances import quoted

STATE_BUDGET = 100_000  # bytes of JSON on a page


LAW = {"initial_sharpness": [0.5, 0.4, 0.3, 0.2], "dilution_frames": 64.0, "step": 0.25}


def stand_in(depth, frames, surface=None):
    """A measurement whose ratio tells where it was taken."""
    values = [1.0, 1 / (1 + depth + frames)]
    return {"depth": depth, "frames": frames, "label": "stand-in", "singular_values": values}


def measured_at(depth, frames, **law):
    """The state of a stand-in's measurement, under the law of a new explorer but for ``law``."""
    return stand_in(depth, frames) | LAW | law


class TestState:
    @pytest.mark.parametrize(
        ("trait", "value", "message"),
        [
            ("depth", -1, "depth must be at least 0 and at most 96; got -1"),
            ("depth", 97, "depth must be at least 0 and at most 96; got 97"),
            ("frames", 0, "frames must be at least 1 and at most 1024; got 0"),
            ("max_depth", 10, "max_depth must be at least 24"),
            ("max_frames", 1, "max_frames must be at least 64"),
            ("dilution_frames", 0.0, "dilution_frames must be finite and positive"),
            ("step", -0.5, "step must be finite and positive"),
            ("initial_sharpness", [0.6, 0.71, 0.1, 0.1], r"\|a\| < 1/√2"),
            ("initial_sharpness", [-0.1], "initial_sharpness must be finite and at least 0"),
            ("initial_sharpness", [], "at least one direction"),
            ("initial_sharpness", [0.1] * 5, "a finite entry for each of the 5 directions"),
            ("probes", [[0.0, 0.0, 0.0, 0.0]], "probes must be two or more tokens"),
            ("probes", [[0.0], [1.0]], "a finite entry for each of the 4 directions"),
            ("probes", [[float("nan")] * 4] * 2, "probes must be two or more tokens"),
            ("measured", [{"depth": 3}], "a measurement must have the keys"),
        ],
    )
    def test_bad_value_is_refused_and_rolled_back(self, trait, value, message):
        explorer = RankExplorer()
        before = getattr(explorer, trait)
        with pytest.raises(ValueError, match=message):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before

    def test_bad_value_is_refused_at_the_start(self):
        with pytest.raises(ValueError, match="depth must be at least 0"):
            RankExplorer(depth=-1)

    def test_wrong_type_is_refused(self):
        with pytest.raises(traitlets.TraitError, match="depth"):
            RankExplorer(depth="deep")

    def test_bad_message_from_the_page_changes_nothing(self):
        explorer = RankExplorer()
        with pytest.raises(ValueError, match="frames must be at least 1"):
            explorer.set_state({"depth": 30, "frames": 5000})
        assert (explorer.depth, explorer.frames) == (24, 64)

    def test_probes_are_always_the_same_and_sorted(self):
        probes = np.array(RankExplorer().probes)
        assert probes.shape == (24, 4)
        assert np.all(np.diff(probes[:, 0]) >= 0)
        assert RankExplorer().probes == probes.tolist()

    def test_probes_have_one_entry_for_each_direction(self):
        assert np.shape(RankExplorer(initial_sharpness=[0.3, 0.2]).probes) == (24, 2)

    def test_every_preset_can_be_applied(self):
        explorer = RankExplorer()
        for preset in explorer.presets:
            explorer.apply_preset(preset["name"])
            values = {trait: getattr(explorer, trait) for trait in preset if trait != "name"}
            assert values | {"name": preset["name"]} == preset

    def test_presets_do_not_depend_on_the_state_before(self):
        listed = {tuple(sorted(preset)) for preset in RankExplorer().presets}
        assert listed == {("depth", "dilution_frames", "frames", "name")}

    def test_merging_slows_the_collapse_and_matches_more_so(self):
        explorer, spread = RankExplorer(), []
        for name in ("Beyond a few hundred frames", "Merging: non-", "Matches everywhere"):
            (preset,) = [each["name"] for each in explorer.presets if each["name"].startswith(name)]
            explorer.apply_preset(preset)
            spread.append(explorer.surface.spread(explorer.depth, explorer.frames))
        assert spread[0] < spread[1] < spread[2]

    def test_measurement_without_a_law_gets_the_present_one_and_keeps_it(self):
        explorer = RankExplorer(dilution_frames=128.0, measured=[stand_in(3, 8)])
        explorer.dilution_frames = 64.0
        assert explorer.measured == [measured_at(3, 8, dilution_frames=128.0)]
        explorer.measured = [*explorer.measured, stand_in(5, 8)]
        assert [each["dilution_frames"] for each in explorer.measured] == [128.0, 64.0]

    def test_state_is_json_and_small(self):
        state = RankExplorer().get_state()
        assert len(json.dumps(state)) <= STATE_BUDGET

    def test_profile_is_that_of_the_law(self):
        explorer = RankExplorer(depth=24, frames=512)
        assert explorer.profile.singular_ratio == pytest.approx(0.0305, abs=quoted(4))
        expected = explorer.surface.rank_profile(24, 512).effective_rank
        assert explorer.profile.effective_rank == expected


class TestPoster:
    def test_bundle_has_the_view_and_a_png(self):
        data, _ = RankExplorer(measured=[stand_in(12, 8)])._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")

    def test_shows_the_state(self):
        assert RankExplorer(depth=0).poster() != RankExplorer(depth=96).poster()

    def test_leaves_out_what_was_measured_under_another_law(self):
        explorer = RankExplorer(measured=[stand_in(12, 8)])
        explorer.dilution_frames = 128.0
        assert explorer.poster() == RankExplorer(dilution_frames=128.0).poster()
        explorer.dilution_frames = 64.0
        assert explorer.poster() != RankExplorer().poster()

    def test_fits_directions_that_were_dropped(self):
        explorer = RankExplorer()
        explorer.initial_sharpness = [0.5]
        assert explorer.poster().startswith(b"\x89PNG")


class TestAttach:
    def test_measures_at_once_and_after_every_move(self):
        explorer = RankExplorer(depth=3, frames=8)
        explorer.attach(stand_in)
        assert explorer.measured == [measured_at(3, 8)]
        explorer.frames = 16
        assert explorer.measured == [measured_at(3, 16)]
        assert explorer.message == ""

    def test_sliders_are_linked_both_ways(self):
        explorer = RankExplorer(depth=3, frames=8)
        depth, frames = explorer.attach(stand_in).children
        assert (depth.value, depth.min, depth.max) == (3, 0, 96)
        assert (frames.value, frames.min, frames.max) == (8, 1, 1024)
        depth.value = 5
        assert explorer.measured == [measured_at(5, 8)]
        explorer.frames = 9
        assert frames.value == 9

    def test_a_change_of_the_law_measures_again_under_it(self):
        explorer, surfaces = RankExplorer(depth=3, frames=8), []

        def measure(depth, frames, surface):
            surfaces.append(surface)
            return stand_in(depth, frames, surface)

        explorer.attach(measure)
        for trait, value in {
            "dilution_frames": 1024.0,
            "initial_sharpness": [0.6, 0.4, 0.3, 0.2],
            "step": 0.5,
        }.items():
            setattr(explorer, trait, value)
            assert surfaces[-1] == explorer.surface
            assert explorer.measured[0][trait] == value
        assert len(set(surfaces)) == len(surfaces) == 4

    def test_one_message_that_moves_all_measures_once(self):
        places = []

        def measure(depth, frames, surface):
            places.append((depth, frames, surface.dilution_frames))
            return stand_in(depth, frames, surface)

        explorer = RankExplorer(depth=3, frames=8)
        explorer.attach(measure)
        explorer.set_state({"depth": 4, "frames": 9, "dilution_frames": 128.0})
        assert places == [(3, 8, 64.0), (4, 9, 128.0)]

    def test_says_that_it_measures(self):
        explorer, seen = RankExplorer(depth=3, frames=8), []

        def measure(depth, frames, surface):
            seen.append(explorer.message)
            return stand_in(depth, frames, surface)

        explorer.attach(measure)
        assert seen == ["Measuring at depth 3 on 8 frames …"]

    def test_failure_is_shown_and_raised_and_the_next_success_clears_it(self):
        def measure(depth, frames, surface):
            if frames > 8:
                raise MemoryError("9 frames do not fit")
            return stand_in(depth, frames, surface)

        explorer = RankExplorer(depth=3, frames=8)
        explorer.attach(measure)
        with pytest.raises(MemoryError):
            explorer.frames = 9
        assert explorer.error == "The measurement failed. MemoryError: 9 frames do not fit"
        assert (explorer.measured, explorer.message) == ([], "")
        explorer.frames = 7
        assert (explorer.measured, explorer.error) == ([measured_at(3, 7)], "")

    def test_unusable_result_is_a_failure(self):
        explorer = RankExplorer()
        with pytest.raises(ValueError, match="a measurement must have the keys"):
            explorer.attach(lambda depth, frames, surface: {"depth": depth})
        assert "a measurement must have the keys" in explorer.error

    def test_second_measure_replaces_the_first(self):
        explorer = RankExplorer(depth=3, frames=8)
        explorer.observe(lambda change: None, "depth")  # someone else's stays
        explorer.attach(stand_in)
        explorer.attach(lambda *state: stand_in(*state) | {"label": "second"})
        explorer.depth = 4
        assert [overlay["label"] for overlay in explorer.measured] == ["second"]

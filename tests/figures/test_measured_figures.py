"""Figures of the experiments of many frames, and the grids that a page carries."""

import dataclasses

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_collapse.experiments import (
    closure_ladder,
    collapse_surface,
    depth_skip,
    frame_count,
    iterated_depth,
    orbit_error,
    orbit_frames,
    rank_profile,
    remedies,
    walk_error,
    walk_frames,
)
from attention_collapse.figures.frame_settings import draw_frame_settings
from attention_collapse.figures.measured_profiles import PANELS, draw_measured_profiles
from attention_collapse.figures.measured_surface import draw_measured_surface
from attention_collapse.figures.surface_overlay import (
    BYTE_LIMIT,
    quantise,
    restore,
    surface_overlay,
)
from attention_collapse.records import Canary, Record


@pytest.fixture(scope="module")
def surface():
    return collapse_surface.run(collapse_surface.CANARY, device="cpu")


def record(measurement, experiment="collapse_surface"):
    return Record(
        experiment=experiment,
        what="tiny",
        revision=1,
        config={},
        command="",
        time="2026-01-31T12:00:00+00:00",
        device={"name": "cpu", "memory": None, "driver": None, "count": 1},
        versions={},
        source_digest="",
        canary=Canary({}, {"number": 1.0}, 1e-6),
        **{f.name: getattr(measurement, f.name) for f in dataclasses.fields(measurement)},
    )


def test_a_rank_profile_has_a_line_and_a_law_for_each_number_of_frames():
    arrays = rank_profile.run(rank_profile.CANARY, device="cpu").arrays
    with matplotlib.rc_context():
        panels = draw_measured_profiles(arrays).axes
    assert [axes.get_title(loc="left") for axes in panels] == list(PANELS.values())
    dots, law, *_ = panels[0].lines
    np.testing.assert_allclose(dots.get_ydata(), arrays["entropy_deficit"][0].mean(-1))
    np.testing.assert_allclose(law.get_ydata(), arrays["predicted_entropy_deficit"][0].mean(-1))
    own = panels[list(PANELS).index("own_frame_mass")].lines[1].get_ydata()
    np.testing.assert_allclose(own, 3 * arrays["own_frame_mass"][1].mean(-1))
    ratio = panels[list(PANELS).index("singular_ratio")].lines[0]
    assert ratio.get_xdata().tolist() == [2]  # the one layer whose spectrum is measured


def test_settings_stand_side_by_side_over_frames():
    arrays = frame_count.run(frame_count.CANARY, device="cpu").arrays
    with matplotlib.rc_context():
        panels = draw_frame_settings(arrays).axes
    lines = panels[1].lines
    assert len(lines) == 2 * len(arrays["settings"])
    np.testing.assert_allclose(lines[2].get_ydata(), arrays["singular_ratio"][1].mean(-1))
    np.testing.assert_allclose(lines[3].get_ydata(), arrays["predicted_singular_ratio"][1].mean(-1))
    labels = [line.get_label() for line in lines[::2]]
    assert labels == ["independent", "windows", "orbit, layer 1", "walk, layer 1"]
    marks = [mark.get_text() for mark in panels[0].get_xticklabels()]
    assert marks == ["2", "10", "100", "1000"]


def test_a_surface_has_a_map_for_each_setting(surface):
    with matplotlib.rc_context():
        figure = draw_measured_surface(surface.arrays)
    images = [axes.images[0] for axes in figure.axes[:8]]
    np.testing.assert_allclose(images[6].get_array(), surface.arrays["mean_cosine"][2])
    layers = surface.arrays["mean_cosine"].shape[-1]
    assert images[6].get_extent()[:2] == [0.5, layers + 0.5]  # the first cell is layer 1


@pytest.mark.parametrize(
    "experiment",
    [
        rank_profile,
        frame_count,
        collapse_surface,
        orbit_frames,
        walk_frames,
        depth_skip,
        iterated_depth,
        closure_ladder,
        orbit_error,
        walk_error,
        remedies,
    ],
)
def test_an_experiment_plots_its_own_arrays(experiment):
    arrays = experiment.run(experiment.CANARY, device="cpu").arrays
    assert experiment.plot(arrays).startswith(b"\x89PNG")


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40),
    st.sampled_from([8, 16]),
)
def test_a_restored_number_is_off_by_half_a_step_at_most(numbers, bits):
    values = np.array(numbers)
    grid = quantise(values, bits=bits)
    back = restore(grid, bits=bits)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    finite = np.isfinite(values)
    rounding = 1e-12 * np.abs(values[finite]).max(initial=0)
    assert (np.abs(back - values)[finite] <= grid["step"] / 2 + rounding).all()


def test_least_and_largest_numbers_come_back_as_they_are():
    back = restore(quantise(np.array([[0.25, 0.5], [np.nan, 2.0]])))
    np.testing.assert_allclose(back[[0, 3]], [0.25, 2.0])
    assert np.isnan(back[2])


def test_an_overlay_holds_the_grids_of_its_record(surface):
    overlay = surface_overlay(record(surface), quantities=("spread",), bits=16)
    assert list(overlay["grids"]) == ["spread"]
    shape = (len(overlay["settings"]), len(overlay["frames"]), overlay["depth"])
    back = restore(overlay["grids"]["spread"], bits=16).reshape(shape)
    step = overlay["grids"]["spread"]["step"]
    np.testing.assert_allclose(back, surface.arrays["spread"], rtol=0, atol=0.501 * step)
    assert set(surface_overlay(record(surface))["grids"]) == set(collapse_surface.QUANTITIES)


def test_an_overlay_that_a_page_could_not_carry_is_refused(surface):
    big = np.zeros((4, 200, BYTE_LIMIT // 800))
    arrays = dict(surface.arrays) | {"spread": big}
    large = dataclasses.replace(record(surface), arrays=arrays)
    with pytest.raises(ValueError, match="must not exceed 150000 bytes"):
        surface_overlay(large, quantities=("spread",))
    with pytest.raises(ValueError, match="no grid size; there are: distance_from_rank_one"):
        surface_overlay(large, quantities=("size",))
    with pytest.raises(ValueError, match="a record of collapse_surface, got frame_count"):
        surface_overlay(record(surface, "frame_count"))
    with pytest.raises(ValueError, match="bits must be 8 or 16, got 4"):
        quantise(big, bits=4)

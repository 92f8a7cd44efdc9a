"""Figures of the rank profile of a trained network."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.experiments import depth_skip, iterated_depth
from attention_collapse.figures.scene_means import mean_and_error
from attention_collapse.figures.trained_profiles import (
    OVER_FRAMES,
    SETTINGS,
    TITLES,
    draw_frame_means,
    draw_iteration_means,
    draw_skip_means,
    frame_means_png,
)

FRAMES = np.array([2, 8, 32])
LAYERS, HEADS = 2, 3


@pytest.fixture(autouse=True)
def own_parameters():
    with matplotlib.rc_context():
        yield


def profile(quantities, *leading, scenes=4, places=LAYERS):
    """Positive numbers; heads for all quantities but those of tokens."""
    rng = np.random.default_rng(0)
    shape = (*leading, scenes, len(FRAMES), places)
    of_tokens = ("mean_cosine", "spread", "participation_ratio")
    arrays = {
        name: 0.1 + rng.random(shape if name in of_tokens else (*shape, HEADS))
        for name in {*quantities, "entropy_deficit"}
    }
    return arrays | {"frames": FRAMES}


def bars(container):
    """Half the length of every bar of a line."""
    segments = container[2][0].get_segments()
    return np.array([np.ptp(segment[:, 1]) / 2 for segment in segments])


def test_the_error_of_a_mean_is_that_of_independent_scenes():
    values = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    means, errors = mean_and_error(values)
    np.testing.assert_allclose(means, [3, 5])
    np.testing.assert_allclose(errors, [7**0.5 / 3**0.5, 0])
    means, errors = mean_and_error(values[:1])
    np.testing.assert_allclose(means, [1, 5])
    assert np.isnan(errors).all()
    mean, error = mean_and_error(np.array([1.0, 2.0, 6.0]))
    assert f"{mean:.2f} ± {error:.2f}" == "3.00 ± 1.53"


def test_each_quantity_has_a_line_with_bars_for_each_layer():
    arrays = profile(OVER_FRAMES)
    panels = draw_frame_means(arrays).axes
    assert [axes.get_title(loc="left") for axes in panels] == [TITLES[q] for q in OVER_FRAMES]
    for axes, quantity in zip(panels, OVER_FRAMES, strict=True):
        values = arrays[quantity]
        by_scene = values.mean(-1) if values.ndim == 4 else values
        for layer, container in enumerate(axes.containers):
            line = container[0]
            assert container.get_label() == str(layer + 1)
            np.testing.assert_allclose(line.get_ydata(), by_scene[..., layer].mean(0))
            error = by_scene[..., layer].std(0, ddof=1) / 2
            np.testing.assert_allclose(bars(container), error)
            np.testing.assert_array_equal(line.get_xdata(), FRAMES)
    even = panels[OVER_FRAMES.index("reference_mass")].lines[-1]
    np.testing.assert_allclose(even.get_ydata(), 1 / FRAMES)


def test_one_scene_has_no_bars():
    axes = draw_frame_means(profile(OVER_FRAMES, scenes=1)).axes[0]
    assert not any(container.has_yerr for container in axes.containers)


def test_skips_stand_side_by_side_at_each_number_of_frames():
    names = list(depth_skip.SETTINGS)
    quantities = ("spread", "distance_from_rank_one")
    arrays = profile(quantities, len(names)) | {"settings": np.array(names)}
    panels = np.reshape(draw_skip_means(arrays, quantities).axes, (2, len(FRAMES)))
    assert [axes.get_title(loc="left") for axes in panels[0]] == [
        "2 frames",
        "8 frames",
        "32 frames",
    ]
    line = panels[1, 2].containers[3]
    assert line.get_label() == "no skip"
    expected = arrays["distance_from_rank_one"][3, :, 2].mean((0, -1))
    np.testing.assert_allclose(line[0].get_ydata(), expected)
    np.testing.assert_array_equal(line[0].get_xdata(), [1, 2])
    found = panels[0, 1].containers[2][0].get_ydata()
    np.testing.assert_allclose(found, arrays["spread"][2, :, 1].mean(0))
    assert [axes.get_yscale() for axes in panels[:, 0]] == ["log", "linear"]


def test_iterations_have_a_line_for_each_block_at_one_number_of_frames():
    names, counts = list(iterated_depth.SETTINGS), np.array([1, 5, 50])
    quantities = ("spread", "participation_ratio")
    arrays = profile(quantities, len(names), 2, places=len(counts))
    arrays |= {"settings": np.array(names), "applications": counts, "blocks": np.array([0, 4])}
    figure = draw_iteration_means(arrays, frame_count=1)
    panels = np.reshape(figure.axes, (2, len(names)))
    line = panels[1, 2].containers[1]
    assert line.get_label() == "5"
    np.testing.assert_array_equal(line[0].get_xdata(), counts)
    expected = arrays["participation_ratio"][2, 1, :, 1].mean(0)
    np.testing.assert_allclose(line[0].get_ydata(), expected)
    assert figure.legends[0].get_title().get_text() == "block, at 8 frames"


def test_every_setting_of_the_experiments_has_a_name():
    assert set(SETTINGS) == {*depth_skip.SETTINGS, *iterated_depth.SETTINGS}


def test_a_png_leaves_the_parameters_as_they_were():
    before = dict(matplotlib.rcParams)
    assert frame_means_png(profile(OVER_FRAMES)).startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before

"""The still of the merge explorer: it draws the groups and the flow it was given."""

import matplotlib
import numpy as np
import pytest

from attention_collapse.figures.merge_explorer import (
    LAYERS,
    STEP,
    draw_merge_explorer,
    flow_variance,
    law_variance,
    merge_explorer_png,
    merged_pictures,
)
from attention_collapse.theory.merging import covariance_split
from tolerances import FLOAT64, MERGED_STILL

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(size=(2, 3, 4, 6))
TOKENS = 0.5 * GENERATOR.standard_normal((12, 3))
TARGET = np.array([0, 0, 2, 3, 4, 5, 0, 7, 8, 9, 4, 11]).reshape(2, 2, 3)
GROUPS = np.unique(TARGET, return_inverse=True)[1].ravel()


def test_merged_patches_have_one_colour_and_others_their_pixels():
    pictures = merged_pictures(IMAGES, TARGET)
    np.testing.assert_allclose(pictures[0, :2, 4:], IMAGES[0, :, :2, 4:].transpose(1, 2, 0))
    members = [IMAGES[0, :, :2, :2], IMAGES[0, :, :2, 2:4], IMAGES[1, :, :2, :2]]
    pair = np.mean([IMAGES[0, :, 2:, 2:4], IMAGES[1, :, 2:, 2:4]], axis=(0, 2, 3))
    np.testing.assert_allclose(pictures[0, 2:, 2:4], np.tile(pair, (2, 2, 1)), atol=FLOAT64)
    mean = np.mean(members, axis=(0, 2, 3))
    for patch in (pictures[0, :2, :4], pictures[1, :2, :2]):
        np.testing.assert_allclose(patch, np.broadcast_to(mean, patch.shape), atol=FLOAT64)


def test_flow_starts_at_one_and_never_falls_below_what_is_frozen():
    split = covariance_split(TOKENS, GROUPS)
    frozen = np.trace(split.within) / np.trace(split.within + split.between)
    for proportional in (True, False):
        flow = flow_variance(TOKENS, GROUPS, proportional=proportional)
        assert len(flow) == LAYERS + 1
        assert flow[0] == 1
        assert np.all(flow > frozen)


def test_law_of_gaussian_tokens_is_their_flow():
    tokens = GENERATOR.standard_normal((1500, 2)) * [0.5, 0.3]
    groups = np.arange(1500) // 2
    flow = flow_variance(tokens, groups, proportional=True)
    np.testing.assert_allclose(law_variance(tokens, groups), flow, rtol=MERGED_STILL)


def test_curves_are_those_of_the_flow():
    with matplotlib.rc_context():
        figure = draw_merge_explorer(IMAGES, TOKENS, TARGET, proportional=False)
    axes = figure.axes[-1]
    lines = {line.get_label(): line for line in axes.lines}
    merged = flow_variance(TOKENS, GROUPS, proportional=False)
    np.testing.assert_allclose(lines["merged"].get_ydata(), merged[::4])
    np.testing.assert_allclose(lines["law with sizes"].get_ydata(), law_variance(TOKENS, GROUPS))
    assert lines["not merged"].get_xdata()[-1] == pytest.approx(STEP * LAYERS)
    assert axes.get_title(loc="left").startswith("b  9 of 12 tokens")


def test_png_leaves_the_parameters_of_matplotlib_alone():
    before = {**matplotlib.rcParams}
    assert merge_explorer_png(IMAGES, TOKENS, TARGET, proportional=True).startswith(b"\x89PNG")
    after = {**matplotlib.rcParams}
    assert {name for name in before if before[name] != after[name]} <= {"backend"}

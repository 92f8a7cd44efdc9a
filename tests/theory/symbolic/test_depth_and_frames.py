"""The solutions start where they should; the identities check their equations."""

from attention_collapse.theory.symbolic import depth_and_frames
from attention_collapse.theory.symbols import time


def test_the_merged_variance_starts_as_the_sum_of_its_parts():
    start = depth_and_frames.merged_variance.subs(time, 0)
    assert start == depth_and_frames.between + depth_and_frames.within


def test_the_landmark_flow_starts_at_one():
    assert depth_and_frames.flow_variance.subs(time, 1) == 1

"""Batches follow the seed and the step."""

import dataclasses

import torch

from attention_collapse.training import PRESETS, Batch, BatchSource
from attention_collapse.training.batches import orbit_frames, walk_frames
from tolerances import BATCHED_RENDERING, HALF_OF_400_WALKS

CONFIG = dataclasses.replace(
    PRESETS["tiny"],
    worlds=2,
    batch_frames=8,
    frame_counts=(2, 4),
    image_size=(7, 7),
    distinct_batches=None,
)


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    torch.manual_seed(0)
    source, again = (BatchSource(CONFIG, seed=4) for _ in range(2))
    later = [source.batch(step) for step in range(8)][7]
    torch.manual_seed(1)
    assert torch.equal(again.batch(7).images, later.images)
    assert not torch.equal(source.batch(7).images, source.batch(8).images[: len(later.images)])
    assert not torch.equal(BatchSource(CONFIG, seed=5).batch(7).images, later.images)


def test_test_worlds_are_not_those_of_training():
    known, new = (BatchSource(CONFIG, seed=0, test=test).batch(0) for test in (False, True))
    assert known.images.shape == new.images.shape
    assert not torch.equal(known.images, new.images)


def test_every_batch_has_the_same_number_of_frames():
    source = BatchSource(CONFIG, seed=0)
    shapes = [source.batch(step).images.shape[:2] for step in range(12)]
    assert {scenes * frames for scenes, frames in shapes} == {8}
    assert {frames for _, frames in shapes} == {2, 4}
    other = BatchSource(CONFIG, seed=1)
    assert shapes != [other.batch(step).images.shape[:2] for step in range(12)]


def test_noise_has_the_shapes_of_what_is_rendered():
    rendered = BatchSource(CONFIG, seed=0).batch(0)
    noise = Batch.random(*rendered.images.shape[:2], CONFIG.image_size, device="cpu")
    for one, other in zip(noise.tensors(), rendered.tensors(), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def test_distinct_batches_take_turns():
    source = BatchSource(dataclasses.replace(CONFIG, distinct_batches=2), seed=0)
    assert source.batch(3) is source.batch(1)
    one, other = source.batch(1), BatchSource(CONFIG, seed=0).batch(1)
    assert (one.images - other.images).abs().max() <= BATCHED_RENDERING


def test_batches_rendered_together_are_those_rendered_alone():
    alone = BatchSource(dataclasses.replace(CONFIG, rendered_together=1), seed=0)
    together = BatchSource(CONFIG, seed=0)
    for step in range(3):
        pairs = zip(together.batch(step).tensors(), alone.batch(step).tensors(), strict=True)
        for one, other in pairs:
            assert ((one - other).abs() <= BATCHED_RENDERING * (1 + other.abs())).all()


def test_walks_go_on_and_half_are_shuffled():
    frames = walk_frames(400, 6, generator=torch.Generator().manual_seed(0))
    ordered = (frames.diff(dim=1) > 0).all(1)
    assert abs(ordered.double().mean() - 0.5) < HALF_OF_400_WALKS
    strides = frames.sort(1).values.diff(dim=1)
    assert strides.min() >= 0.4 * 0.7
    assert strides.max() <= 1.8 * 1.3


def test_orbits_show_frames_without_order():
    frames = orbit_frames(50, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(frames, frames.round())
    assert frames.unique().numel() > 250

import dataclasses
import weakref

import numpy as np
import pytest

from attention_collapse import scenes
from attention_collapse.experiments import (
    layer_passage,
    random_weights,
    rank_profile,
    scene_passage,
)
from attention_collapse.experiments.rank_profile import Config
from attention_collapse.experiments.scratch import Memory, Unfinished
from attention_collapse.measure.observe import LayerRecorder
from attention_collapse.measure.streaming import energy_rank, singular_values
from tolerances import EXHAUSTED_SEARCH, SINGLE_PRECISION_PREDICTION, STREAMED_NETWORK

SIZES = {"frames": (2, 3), "image_size": (28, 42), "width": 32, "depth": 3, "heads": 2}
SMALL = Config(**SIZES, storage="float64", spectrum_layers=(0, 2), singular_values=4)


@pytest.fixture(scope="module")
def arrays():
    return rank_profile.run(SMALL, device="cpu").arrays


def test_streamed_numbers_are_those_of_the_whole_matrices(arrays):
    """The same network measured by ``random_weights``, which writes every matrix down."""
    whole = random_weights.run(
        random_weights.Config(**SIZES, observed_heads=2), device="cpu"
    ).arrays
    attention = ("row_entropy", "entropy_deficit", "distance_from_rank_one")
    tokens = ("mean_cosine", "participation_ratio", "spread")
    np.testing.assert_allclose(
        arrays["predicted_entropy_deficit"],
        whole["predicted_entropy_deficit"],
        rtol=SINGLE_PRECISION_PREDICTION,
    )
    for name in (*attention, *tokens):
        np.testing.assert_allclose(arrays[name], whole[name], rtol=STREAMED_NETWORK, err_msg=name)
    for name in ("singular_ratio", "stable_rank"):
        exact = whole[name][:, [0, 2]]
        np.testing.assert_allclose(arrays[name], exact, rtol=STREAMED_NETWORK, err_msg=name)


def test_every_array_has_axes_of_its_shape():
    measurement = rank_profile.run(SMALL, device="cpu")
    sizes = {"frame_count": 2, "layer": 3, "spectrum_layer": 2, "head": 2}
    for name, array in measurement.arrays.items():
        for axis, length in zip(measurement.axes[name], array.shape, strict=True):
            assert sizes.setdefault(axis, length) == length, (name, axis)
    assert set(measurement.units) == set(measurement.arrays)


def test_ranks_that_count_energy_are_measured_on_request(arrays):
    assert "energy_effective_rank" in arrays
    without = dataclasses.replace(SMALL, energy_ranks=False)
    assert "energy_effective_rank" not in rank_profile.run(without, device="cpu").arrays


def test_commands_of_a_few_layers_give_the_record_of_one(arrays, tmp_path):
    few = dataclasses.replace(SMALL, layers_per_command=2)
    for left in (4, 2):
        with pytest.raises(Unfinished, match=f"^{left} of 6 layers are left"):
            rank_profile.run(few, device="cpu", scratch=tmp_path)
    _same(rank_profile.run(few, device="cpu", scratch=tmp_path).arrays, arrays)
    assert not list(tmp_path.glob("*stream*"))


def test_a_killed_run_gives_the_same_bits_in_bfloat16(tmp_path):
    """Layers that one command measures the next one passes without looking, frame by frame."""
    sizes = {"frames": (3,), "width": 64, "storage": "bfloat16", "spectrum_layers": (2,)}
    config = dataclasses.replace(SMALL, **sizes, frame_chunk=1, energy_ranks=False)
    expected = rank_profile.run(config, device="cpu").arrays

    def killed_after_two(_, done, __):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank_profile.run(config, device="cpu", scratch=tmp_path, progress=killed_after_two)
    assert not list(tmp_path.glob("*stream*"))
    _same(rank_profile.run(config, device="cpu", scratch=tmp_path).arrays, expected)


def test_observed_heads_are_evenly_spaced_and_those_of_all(arrays):
    assert "heads" in arrays
    four = dataclasses.replace(
        SMALL, frames=(2,), heads=4, spectrum_layers=(1,), energy_ranks=False
    )
    all_heads = rank_profile.run(four, device="cpu").arrays
    found = rank_profile.run(dataclasses.replace(four, observed_heads=2), device="cpu").arrays
    assert found["heads"].tolist() == [0, 2]
    for name in ("row_entropy", "score_variance", "largest_column", "predicted_stable_rank"):
        np.testing.assert_array_equal(found[name], all_heads[name][..., ::2], err_msg=name)
    exhausted = all_heads["singular_values"][..., ::2, :]
    np.testing.assert_allclose(found["singular_values"], exhausted, atol=EXHAUSTED_SEARCH)
    np.testing.assert_array_equal(found["mean_cosine"], all_heads["mean_cosine"])


def test_no_stream_is_kept_where_nothing_goes_on_from_it(monkeypatch):
    monkeypatch.setattr(layer_passage, "KEEP_EVERY", 0.0)
    kept = []

    class Watched(Memory):
        def keep(self, name, tensors):
            kept.append(name)
            super().keep(name, tensors)

    monkeypatch.setattr(rank_profile, "open_store", lambda *_, **__: Watched())
    rank_profile.run(SMALL, device="cpu")
    assert len(kept) == 6
    assert not any("stream" in name for name in kept)


def test_images_are_let_go_of_once_they_are_tokens(monkeypatch):
    alive = []

    def scene(frames, **options):
        made = scenes.orbit(frames, **options)
        alive.append(weakref.ref(made.images))
        return made

    class Watching(LayerRecorder):
        def __call__(self, name, tensor):
            assert all(image() is None for image in alive)
            super().__call__(name, tensor)

    monkeypatch.setitem(rank_profile.SCENES, "orbit", scene)
    monkeypatch.setattr(scene_passage, "LayerRecorder", Watching)
    rank_profile.run(SMALL, device="cpu")
    assert len(alive) == 2


@pytest.mark.parametrize("keep_every", [0.0, 60.0])
def test_a_run_that_is_killed_goes_on(arrays, tmp_path, monkeypatch, keep_every):
    """Killed inside the fifth layer, once with the stream kept after the fourth, once without."""
    monkeypatch.setattr(layer_passage, "KEEP_EVERY", keep_every)
    measured = []

    class Killed(LayerRecorder):
        def __call__(self, name, tensor):
            if name.endswith("key"):
                measured.append(name)
            if len(measured) == 5:
                raise KeyboardInterrupt
            super().__call__(name, tensor)

    with monkeypatch.context() as patch:
        patch.setattr(scene_passage, "LayerRecorder", Killed)
        with pytest.raises(KeyboardInterrupt):
            rank_profile.run(SMALL, device="cpu", scratch=tmp_path)
    assert bool(list(tmp_path.glob("*0003_frames_stream*"))) == (keep_every == 0)
    _same(rank_profile.run(SMALL, device="cpu", scratch=tmp_path).arrays, arrays)


@pytest.mark.parametrize("energy", [True, False])
def test_a_run_killed_inside_a_layer_goes_on_with_the_next_head(tmp_path, monkeypatch, energy):
    """Of eight searches, two heads in two layers at two numbers of frames, three are finished."""
    config = dataclasses.replace(SMALL, energy_ranks=energy)
    module = energy_rank if energy else singular_values
    expected, search, done = rank_profile.run(config, device="cpu").arrays, module.bidiagonalise, []

    def killed_in_the_fourth(*arguments, **options):
        done.append(arguments)
        if len(done) == 4:
            raise KeyboardInterrupt
        return search(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "bidiagonalise", killed_in_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            rank_profile.run(config, device="cpu", scratch=tmp_path)
    assert [path.name for path in tmp_path.glob("*head*")] == [
        "orbit_0002_frames_layer_02_head_00.safetensors"
    ]
    done.clear()
    done += [None] * 4
    monkeypatch.setattr(module, "bidiagonalise", killed_in_the_fourth)
    _same(rank_profile.run(config, device="cpu", scratch=tmp_path).arrays, expected)
    assert len(done) == 4 + 5
    assert not list(tmp_path.glob("*head*"))


def _same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_bar_is_told_of_every_layer(tmp_path):
    steps = []
    rank_profile.run(SMALL, device="cpu", progress=lambda *step: steps.append(step))
    assert steps == [("orbit, layers", done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": (1, 2)}, "frames must be at least 2, frame_chunk at least 1"),
        ({"frame_chunk": 0}, "frame_chunk at least 1"),
        ({"layers_per_command": -1}, "layers_per_command 0 measures all layers at once"),
        ({"observed_heads": 3}, "observed_heads must be from 1 to the 2 heads, or 0 for all"),
        ({"scene": "kitchen"}, "scene must be one of orbit, walk, got 'kitchen'"),
        ({"storage": "float16"}, "storage must be one of"),
        ({"spectrum_layers": (0, 3)}, "spectrum_layers must ascend from 0 to at most 2"),
        ({"spectrum_layers": (1, 0)}, "spectrum_layers must ascend"),
        ({"singular_values": 1}, "singular_values must be from 2 to 22"),
        ({"singular_values": 23}, "singular_values must be from 2 to 22"),
        ({"width": 33}, "multiple of the heads"),
        ({"image_size": (28, 40)}, "multiples of the patch size"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **settings)


def test_the_canary_has_finite_values():
    values = rank_profile.canary_values(rank_profile.run(rank_profile.CANARY, device="cpu"))
    assert {"entropy_deficit", "energy_effective_rank", "spread"} <= set(values)
    assert np.isfinite(list(values.values())).all()


def test_a_walk_is_another_scene(arrays):
    walk = dataclasses.replace(SMALL, scene="walk")
    found = rank_profile.run(walk, device="cpu").arrays
    assert not np.allclose(found["row_entropy"], arrays["row_entropy"])

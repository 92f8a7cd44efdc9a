"""The statements, the words on records and the exercises of *mini-VGGT*."""

import ast
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attention_collapse import records, scenes, training, vggt
from attention_collapse.scenes.reference import from_first_camera
from attention_collapse.tokens import TokenLayout
from attention_collapse.training.batches import FIRST_TEST_WORLD, FIRST_TRAINING_WORLD
from attention_collapse.training.muon import COEFFICIENTS, ITERATIONS, orthogonalised
from attention_collapse.training.optimisation import schedule
from attention_collapse.training.targets import reference_targets
from attention_collapse.vggt.mini import MINI_WEIGHTS
from tolerances import (
    ENCODED_POSE,
    FEW_TEST_SCENES,
    FLOAT64,
    GRID_OF_CONFIDENCES,
    MUON_GUARD,
    SAME_WORLDS,
    quoted,
)

ROOT = Path(__file__).resolve().parents[2]
CELLS = json.loads((ROOT / "chapters" / "mini-vggt.ipynb").read_text())["cells"]
TEXT = "\n".join("".join(cell["source"]) for cell in CELLS)
MINI = training.PRESETS["mini"]


@pytest.fixture(scope="module")
def record():
    return records.find("training", "mini_seed0")


def test_functions_are_shown_without_their_docstrings_and_whole():
    shown = r"literalinclude\} \.\./(\S+)\n.*\n:pyobject: (\w+)\n:lines: 1-(\d+), (\d+)-"
    ((path, name, head, body),) = re.findall(shown, TEXT)
    tree = ast.parse((ROOT / path).read_text())
    (node,) = (each for each in tree.body if getattr(each, "name", "") == name)
    first = node.body[0]
    assert int(head) == first.lineno - node.lineno
    assert int(body) == first.end_lineno - node.lineno + 2


# Data and network


def test_the_data_are_as_described():
    assert (MINI.worlds, MINI.image_size, MINI.batch_frames) == (4096, (56, 56), 480)
    assert set(MINI.frame_counts) == {2, 3, 4, 5, 6, 8}
    assert (MINI.log_every, MINI.checkpoint_every) == (50, 1000)
    assert (MINI.warm_up, MINI.cool_down) == (0.03, 0.35)
    assert schedule(0, 1000, MINI) < schedule(29, 1000, MINI) == 1 == schedule(650, 1000, MINI)
    assert schedule(651, 1000, MINI) < 1
    assert (FIRST_TRAINING_WORLD, FIRST_TEST_WORLD) == (2**31, 2**30)


def test_the_heads_let_no_frame_and_no_patch_see_another():
    network = vggt.VGGT(vggt.MINI, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    grid = TokenLayout.from_image(2, 56, 56, patch_size=7)
    assert (grid.patches, grid.per_frame) == (64, 69)
    tokens = torch.randn(1, 2, 69, 384, generator=generator)
    changed = tokens.clone()
    changed[0, 1, 5 + 8 + 2] += 1  # the patch in row 1, column 2
    one, other = (network.point_head([each], grid).values for each in (tokens, changed))
    moved = (one != other).any(dim=-1).nonzero()
    assert moved[:, 1].unique().tolist() == [1]
    assert (moved[:, 2].min(), moved[:, 2].max()) == (7, 13)
    assert (moved[:, 3].min(), moved[:, 3].max()) == (14, 20)


# Targets and loss


def orbit():
    return scenes.orbit(3, image_size=(14, 14), seed=0, dtype=torch.float64)


@pytest.mark.claims("eq-reference-targets")
def test_targets_of_training_are_those_of_the_equation():
    scene, views = orbit(), torch.zeros(3, dtype=torch.int64)
    room = scenes.orbit_collection([0], dtype=torch.float64)
    clips = room.film(views, torch.arange(3).double(), image_size=(14, 14))
    targets = reference_targets(clips, views)
    cameras = vggt.decode_pose(targets.pose_encoding, (14, 14))[0]

    first = scene.world_to_camera[0]
    for frame, camera in enumerate(scene.world_to_camera):
        points = scene.points[frame] @ first[:, :3].T + first[:, 3]
        length = (scene.points[0] @ first[:, :3].T + first[:, 3]).norm(dim=-1).mean()
        turn = camera[:, :3] @ first[:, :3].T
        shift = (camera[:, 3] - turn @ first[:, 3]) / length
        agree(targets.points[frame], points / length)
        agree(targets.depth[frame], scene.depth[frame] / length)
        agree(cameras[frame], torch.cat((turn, shift[:, None]), dim=-1))


def agree(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=ENCODED_POSE)


@pytest.mark.claims("prop-gauge")
def test_targets_do_not_see_a_similarity_or_further_frames():
    scene = orbit()
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    turn = turn * turn.det()
    shift, growth = torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64), 2.7
    rotation, translation = scene.world_to_camera.split((3, 1), dim=-1)
    rotation = rotation @ turn.mT
    camera = torch.cat((rotation, growth * translation - rotation @ shift[:, None]), dim=-1)
    points = growth * scene.points @ turn.mT + shift
    moved = replace(scene, points=points, depth=growth * scene.depth, world_to_camera=camera)
    plain, other = from_first_camera(scene), from_first_camera(moved)
    longer = from_first_camera(scenes.orbit(5, image_size=(14, 14), seed=0, dtype=torch.float64))
    for name in ("points", "depth", "world_to_camera"):
        expected = getattr(plain, name)
        torch.testing.assert_close(getattr(other, name), expected, rtol=0, atol=100 * FLOAT64)
        torch.testing.assert_close(getattr(longer, name)[:3], expected, rtol=0, atol=FLOAT64)


@pytest.mark.claims("eq-pixel-loss", "prop-confidence")
def test_the_least_cost_of_a_pixel_is_the_stated_one():
    alpha = MINI.confidence_weight
    assert alpha == 0.2
    confidence = np.linspace(1, 400, 400_000)
    for error in (0.001, 0.05, 0.19, 0.2, 0.3, 2.0):
        costs = confidence * error - alpha * np.log(confidence)
        best = max(1, alpha / error)
        least = error if error >= alpha else alpha * (1 + np.log(error / alpha))
        assert confidence[costs.argmin()] == pytest.approx(best, abs=np.diff(confidence)[0])
        assert costs.min() == pytest.approx(least, abs=GRID_OF_CONFIDENCES)
        assert (costs.min() < 0) == (error < alpha / np.e)


# Muon


@pytest.mark.claims("eq-muon", "exercise-muon")
def test_muon_maps_singular_values_by_a_polynomial():
    a, b, c = COEFFICIENTS
    assert COEFFICIENTS == (3.4445, -4.7750, 2.0315)
    assert ITERATIONS == 5

    def polynomial(x):
        return a * x + b * x**3 + c * x**5

    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(1, 5, 9, generator=generator, dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.norm()
    for _ in range(5):
        values = polynomial(values)
    expected = left * values[:, None] @ right
    torch.testing.assert_close(orthogonalised(matrix), expected, rtol=0, atol=MUON_GUARD)

    assert polynomial(1) == pytest.approx(0.701, abs=quoted(3))
    squares = np.roots([c, b, a - 1])
    first, second = np.sqrt(np.sort(squares))
    assert first == pytest.approx(0.868, abs=quoted(3))
    assert second == pytest.approx(1.264, abs=quoted(3))
    slope = a + 3 * b * first**2 + 5 * c * first**4
    assert slope == pytest.approx(-1.58, abs=quoted(2))
    assert a**5 == pytest.approx(485, abs=quoted(0))


def test_values_that_differ_a_hundredfold_end_within_a_factor_of_two():
    drawn = torch.linspace(0.01, 1, 8).double()
    found = torch.linalg.svdvals(orthogonalised(drawn.diag()[None])[0])
    assert found.max() < 2 * found.min()


# What it learned


def test_the_packaged_weights_are_those_of_the_record(record):
    assert MINI_WEIGHTS.stat().st_size <= 13_000_000
    digest = hashlib.sha256(MINI_WEIGHTS.read_bytes()).hexdigest()
    assert digest == record.numerics["weights"]["sha256"]
    assert record.config == {"preset": "mini", "steps": 22_000, "seed": 0}


def test_the_packaged_weights_have_the_recorded_errors(record):
    """On four rooms and four corridors that training has not seen."""
    few = replace(MINI, worlds=4, batch_frames=64, frame_counts=(8,), rendered_together=1)
    batch = training.BatchSource(few, seed=0, test=True).batch(0)
    found = training.network_errors(vggt.mini(), [batch])
    for name, value in vars(found).items():
        said, blind = record.arrays[f"test_{name}"]
        assert said / FEW_TEST_SCENES < value < said * FEW_TEST_SCENES, name
        assert value < blind / 3, name


@pytest.mark.parametrize("what", ["mini_seed0", "mini_seed1", "mini_seed2", "mini_again_seed0"])
def test_the_curves_are_as_described(what):
    run = records.find("training", what).arrays
    steps = run["curve_step"]
    assert steps[-1] == 22_000
    for name in ("points", "depth", "translation", "rotation"):
        curve, (said, blind) = run[f"curve_{name}"], run[f"test_{name}"]
        assert said < blind / 20
        # They fall while the step sizes do, as fast as in thrice as many steps before.
        late, middle, early = (curve[abs(steps - at) < 500].mean() for at in (21_700, 14_300, 5000))
        assert late < 0.75 * middle
        assert middle / late > 0.9 * early / middle
    # Depth falls at once, cameras stay at those of the mean predictor for some 500 steps.
    share = {name: run[f"curve_{name}"] / run[f"test_{name}"][1] for name in ("depth", "rotation")}
    assert share["depth"][steps == 300] < 0.5
    assert (share["rotation"][steps <= 450] > 0.9).all()
    assert share["rotation"][steps == 1000] < 0.3


def test_all_runs_end_alike(record):
    for seed in (1, 2):
        other = records.find("training", f"mini_seed{seed}")
        assert other.config == record.config | {"seed": seed}
        for name in ("points", "depth", "translation", "rotation"):
            one, another = (each.arrays[f"test_{name}"][0] for each in (record, other))
            assert abs(one / another - 1) < 0.15


def test_the_times_are_as_described(record):
    """Ten minutes of the run made again, and of two that take as many frames and steps."""
    names = (
        "mini_seed1",
        "mini_seed2",
        "mini_again_seed0",
        "mini_wide_seed0",
        "mini_scalable_seed0",
    )
    runs = record, *(records.find("training", name) for name in names)
    assert {each.device["name"] for each in runs} == {"NVIDIA H200"}
    *earlier, again, wide, scalable = (each.arrays["seconds"] for each in runs)
    assert scalable < 570
    assert 595 < wide < 600 < earlier[2] < min(earlier[:2])
    assert 598 < again < 599, "ten minutes, with a second to spare"
    assert [each.numerics["tf32"] for each in runs] == [False] * 3 + [True] * 3
    assert runs[3].config == record.config
    for run, preset in zip(runs[4:], ("mini_wide", "mini_scalable"), strict=True):
        assert run.config == record.config | {"preset": preset}
    more = training.PRESETS["mini_wide"]
    assert replace(more, frame_counts=MINI.frame_counts) == MINI
    assert max(more.frame_counts) == 24
    assert np.mean(more.frame_counts) > np.mean(MINI.frame_counts)


def test_the_same_seed_again_is_another_network_that_is_as_good(record):
    again = records.find("training", "mini_again_seed0")
    assert again.numerics["weights"] != record.numerics["weights"]
    for name in ("points", "depth", "translation", "rotation"):
        (one, blind), (another, same) = (each.arrays[f"test_{name}"] for each in (record, again))
        assert abs(another / one - 1) < 0.03, name
        assert same == pytest.approx(blind, rel=SAME_WORLDS), "of the same worlds"


@pytest.fixture(scope="module")
def network():
    return vggt.mini()


def errors_of_points(network, scene, shown=8):
    said = network.reconstruct(scene.images[:shown])
    off = (said.points[0] - from_first_camera(scene).points[:shown]).norm(dim=-1)
    return off, said.points_confidence[0]


def test_errors_lie_at_edges_and_where_the_network_is_not_sure(network):
    room = scenes.orbit(8, image_size=(56, 56), seed=3)
    off, sure = errors_of_points(network, room)
    depth = from_first_camera(room).depth.log()
    pool = torch.nn.functional.max_pool2d
    edge = pool(depth, 3, 1, 1) + pool(-depth, 3, 1, 1) > np.log(1.2)
    assert 0.1 < edge.double().mean() < 0.16
    assert off[edge].sum() > 0.5 * off.sum()
    least, middle = sure.quantile(0.1), sure.quantile(0.5)
    assert off[sure < least].mean() > 10 * off[sure > middle].mean()


def test_further_frames_help_the_first_in_rooms_and_not_in_corridors(network):
    gains = {}
    for family in (scenes.orbit, scenes.walk):
        filmed = [family(8, image_size=(56, 56), seed=seed) for seed in range(10, 16)]
        alone, among = (
            np.array([errors_of_points(network, each, shown)[0][0].mean() for each in filmed])
            for shown in (1, 8)
        )
        gains[family] = (alone - among).mean() / alone.mean()
    assert 0.1 < gains[scenes.orbit] < 0.25
    assert -0.08 < gains[scenes.walk] < 0.02


def test_it_has_fewer_parameters_and_layers_by_the_stated_factors():
    counts = []
    for config in (vggt.MINI, vggt.VGGT_1B):
        with torch.device("meta"):
            network = vggt.VGGT(config, generator=torch.Generator())
        counts.append(sum(weight.numel() for weight in network.parameters()))
    assert counts[0] / 1e6 == pytest.approx(6.5, abs=quoted(1))
    assert round(counts[1] / counts[0], -1) == 180
    assert vggt.VGGT_1B.aggregator.depth == 4 * vggt.MINI.aggregator.depth


# Exercises


@pytest.mark.claims("exercise-mini-parameters")
def test_exercise_mini_parameters():
    network = vggt.VGGT(vggt.MINI, generator=torch.Generator().manual_seed(0))
    blocks = [module for module in network.modules() if isinstance(module, vggt.Block)]
    counts = [sum(weight.numel() for weight in block.parameters()) for block in blocks]
    assert sorted(counts) == [445_376 - 128] * 2 + [445_376] * 12
    assert 12 * 192**2 + 15 * 192 + 4 * 32 == 445_376
    assert sum(counts) == 6_235_008
    total = sum(weight.numel() for weight in network.parameters())
    assert total == 6_469_743
    assert sum(counts) / total == pytest.approx(0.96, abs=quoted(2))


@pytest.mark.claims("exercise-frames-seen")
def test_exercise_frames_seen(record):
    assert training.config.DEFAULT_STEPS["mini"] == 22_000
    assert 22_000 * MINI.batch_frames == 10_560_000
    assert 10_560_000 / (2 * MINI.worlds) == pytest.approx(1289, abs=quoted(0))
    run = record.arrays
    pairs = {"points": (0.0106, 0.0113, quoted(4)), "rotation": (0.20, 0.24, quoted(2))}
    for name, (seen, unseen, rounding) in pairs.items():
        assert run[f"curve_{name}"][-1] == pytest.approx(seen, abs=rounding)
        assert run[f"test_{name}"][0] == pytest.approx(unseen, abs=rounding)

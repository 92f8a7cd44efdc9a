"""Treatments by name, and what each one does to a network."""

import dataclasses
import math

import pytest
import torch

from attention_collapse.experiments.trained_network import load_network, trained_layout
from attention_collapse.experiments.treatments import find_treatment, reconstruct
from attention_collapse.merging.reducer import MergeReducer
from attention_collapse.vggt import TINY, VGGT, AdjustedScores
from tolerances import FLOAT64_LAYERS, FLOAT64_NETWORK

LAYOUT = trained_layout("tiny", 5)


@pytest.fixture(scope="module")
def network():
    return load_network("seed:0", "tiny", storage="float64", device="cpu")


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(5, 3, 28, 28, dtype=torch.float64, generator=generator)


def reducer(name, reference=0.5, trained_frames=2):
    found = find_treatment(name)
    return found.reducer(LAYOUT, reference=reference, trained_frames=trained_frames)


def said(network, images, name):
    found = find_treatment(name)
    return reconstruct(network, images, found, reducer=reducer(name))


def close(computed, expected, tolerance=FLOAT64_NETWORK):
    torch.testing.assert_close(computed, expected, rtol=0, atol=tolerance)


def test_scores_are_changed_as_named():
    assert reducer("none") == AdjustedScores()
    assert reducer("bias+scale:1.3") == AdjustedScores(bias=0.5, scale=1.3)
    per_frame = LAYOUT.per_frame
    ratio = math.log(5 * per_frame) / math.log(2 * per_frame)
    assert reducer("length") == AdjustedScores(scale=ratio)
    assert reducer("held") == AdjustedScores(scale=1 / ratio)
    for name in ("length", "held"):
        assert reducer(name, trained_frames=10) == AdjustedScores()


def test_held_scores_of_a_scalable_network_are_those_of_the_most_frames_in_training(images):
    """A network whose factor is smaller by the ratio of the logarithms, and nothing held."""
    sizes = dataclasses.replace(TINY.aggregator, scalable_softmax=0.2)
    network = VGGT(
        dataclasses.replace(TINY, aggregator=sizes), generator=torch.Generator().manual_seed(0)
    )
    network = network.double()
    held = said(network, images, "held")
    ratio = math.log(2 * LAYOUT.per_frame) / math.log(5 * LAYOUT.per_frame)
    with torch.no_grad():
        for block in network.aggregator.global_blocks:
            block.attn.softmax.factor *= ratio
    smaller = said(network, images, "none")
    for name, value in vars(smaller).items():
        close(getattr(held, name), value)


def test_the_matching_bias_is_that_of_the_keys_which_merging_leaves(network, images):
    kept = {}
    network.reconstruct(images, reducer=lambda *given, **place: keep(kept, *given, **place))
    left = kept["keys"] - LAYOUT.per_frame
    later = LAYOUT.count - LAYOUT.per_frame
    # Whole tokens merge.
    assert reducer("match:0.3").bias == pytest.approx(math.log(later / left), abs=1 / left)


def keep(kept, heads, tokens, **place):
    reduction = reducer("merge:0.3")(heads, tokens, **place)
    kept["keys"] = reduction.heads.key.shape[2]
    return reduction


def test_merging_is_as_named():
    plain, sized, open_ = (reducer(f"merge:0.3{rule}") for rule in ("", "+sized", "+open"))
    assert isinstance(plain, MergeReducer)
    assert (plain.rule.weighting, sized.rule.weighting) == ("none", "size")
    assert (plain.grouping.reference, open_.grouping.reference) == ("protected", "grid")
    assert reducer("bias+merge:0.3").reference_bias == 0.5
    assert plain.grouping.ratio == 0.3


def test_without_a_treatment_it_is_the_network(network, images):
    plain = network.reconstruct(images)
    assert torch.equal(said(network, images, "none").points, plain.points[0])


@pytest.mark.parametrize(("name", "rest"), [("chunks:3", 2), ("chunks:4", 1)])
def test_chunks_see_the_reference_and_some_others(network, images, name, rest):
    """Five frames: the reference, two pairs; or three others, and one that is left over."""
    result = said(network, images, name)
    first = network.reconstruct(images[: 5 - rest])
    last = network.reconstruct(images[[0, *range(5 - rest, 5)]])
    close(result.points, torch.cat((first.points[0], last.points[0, 1:])))
    cameras = torch.cat((first.world_to_camera[0], last.world_to_camera[0, 1:]))
    close(result.world_to_camera, cameras)
    assert len(result.depth) == 5


def test_a_chain_moves_every_chunk_onto_the_one_before(network, images):
    result = said(network, images, "chained:3:1")
    first, second = network.reconstruct(images[:3]), network.reconstruct(images[2:])
    close(result.points[:3], first.points[0])
    shared = [r.points[0, frame].flatten(0, 1) for r, frame in ((second, 0), (first, 2))]
    turn, scale, shift = umeyama_by_hand(*shared)
    expected = scale * second.points[0, 1:] @ turn.mT + shift
    close(result.points[3:], expected, FLOAT64_LAYERS)
    close(result.depth[3:], scale * second.depth[0, 1:], FLOAT64_LAYERS)


def umeyama_by_hand(x, y):
    from scipy.spatial.transform import Rotation

    dx, dy = x - x.mean(0), y - y.mean(0)
    turn = torch.from_numpy(Rotation.align_vectors(dy.numpy(), dx.numpy())[0].as_matrix())
    scale = ((dx @ turn.mT) * dy).sum() / dx.square().sum()
    return turn, scale, y.mean(0) - scale * turn @ x.mean(0)


def test_a_chain_of_one_chunk_is_the_network(network, images):
    close(said(network, images, "chained:5:2").points, said(network, images, "none").points)


@pytest.mark.parametrize(
    "name",
    [
        "bais",
        "scale",
        "scale:x",
        "scale:0",
        "merge:1",
        "bias:2",
        "chunks:1",
        "chained:4:4",
        "chained:4",
        "",
        "bias+none",
    ],
)
def test_an_unknown_part_is_refused(name):
    with pytest.raises(ValueError, match="a treatment is none or a sum of bias, scale"):
        find_treatment(name)


@pytest.mark.parametrize(
    "name",
    ["sized", "open", "merge:0.3+scale:2", "merge:0.3+held", "length+held", "merge:0.3+chunks:4"],
)
def test_parts_that_do_not_go_together_are_refused(name):
    with pytest.raises(ValueError, match="exclude each other, or lack a merge"):
        find_treatment(name)


def test_a_match_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="match must leave keys of later frames, got 0.9"):
        reducer("match:0.9")

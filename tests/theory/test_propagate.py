import numpy as np
import pytest
import torch

from attention_collapse import scenes
from attention_collapse.experiments.layer_steps import LayerSteps
from attention_collapse.experiments.network_arrays import as_arrays
from attention_collapse.experiments.trained_network import load_network, trained_layout
from attention_collapse.measure import attention_maps, spectrum
from attention_collapse.theory.propagate import Terms, frame_shares, profile, propagate
from attention_collapse.vggt import Watch
from tolerances import NUMPY_NETWORK


@pytest.fixture(scope="module")
def passed():
    """Tokens before the first block, weights, and the attention of both layers in torch."""
    network = load_network("seed:0", "tiny", storage="float64", device="cpu").aggregator
    images = scenes.orbit(3, image_size=(28, 28), seed=0, dtype=torch.float64).images
    layout, seen = trained_layout("tiny", 3), {}
    names = {f"global.{layer:02d}.attention.weights" for layer in range(2)}
    with torch.inference_mode():
        network(images[None], observe=Watch(frozenset(names), seen.__setitem__))
        tokens = LayerSteps(network, layout, frame_chunk=3).start(images).numpy()
    return tokens, as_arrays(network, layout), [seen[name][0] for name in sorted(seen)]


def test_with_all_frames_and_equal_shares_it_is_the_network(passed):
    tokens, network, attentions = passed
    found = list(propagate(tokens, np.full(3, 1 / 3), network))
    assert len(found) == 2
    for layer, attention in zip(found, attentions, strict=True):
        deficit = np.log(63) - attention_maps.row_entropy(attention).mean(-1).numpy()
        rank = spectrum.stable_rank(spectrum.singular_values(attention)).numpy()
        np.testing.assert_allclose(layer.entropy_deficit, deficit, rtol=NUMPY_NETWORK)
        np.testing.assert_allclose(layer.stable_rank, rank, rtol=NUMPY_NETWORK)


@pytest.mark.claims("prop-shares", "eq-shares", "eq-share-profile")
def test_a_share_stands_for_copies_of_a_frame(passed):
    """Two frames, the second four times over: five frames in all."""
    tokens, network, _ = passed
    few = list(propagate(tokens[:2], frame_shares(2, 5), network))
    many = list(propagate(tokens[[0, 1, 1, 1, 1]], np.full(5, 0.2), network))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one.entropy_deficit, other.entropy_deficit, rtol=NUMPY_NETWORK)
        np.testing.assert_allclose(one.stable_rank, other.stable_rank, rtol=NUMPY_NETWORK)


@pytest.mark.parametrize("term", ["mlp", "frame_attention", "own_norm"])
def test_every_term_changes_the_last_layer(passed, term):
    tokens, network, _ = passed
    shares = np.full(3, 1 / 3)
    *_, whole = propagate(tokens, shares, network)
    *_, without = propagate(tokens, shares, network, terms=Terms(**{term: False}))
    assert not np.allclose(whole.entropy_deficit, without.entropy_deficit)


def test_equal_keys_have_no_deficit_and_rank_one():
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(6))
    found = profile(generator.normal(size=(1, 6, 4)), np.ones((1, 6, 4)), shares)
    np.testing.assert_allclose(found.entropy_deficit, 0, atol=NUMPY_NETWORK)
    np.testing.assert_allclose(found.stable_rank, 1, rtol=NUMPY_NETWORK)


def test_bad_shares_are_refused(passed):
    tokens, network, _ = passed
    with pytest.raises(ValueError, match="shares must be positive with sum one, one for each of 3"):
        next(propagate(tokens, np.full(3, 0.5), network))
    with pytest.raises(ValueError, match="shown must be from 2 to the 4 frames"):
        frame_shares(5, 4)

import numpy as np
import pytest
from scipy.special import softmax

from attention_collapse.theory.propagate import frame_shares, profile
from attention_collapse.theory.reference_dilution import diluted_deficit, diluted_mass
from tolerances import FLOAT64

KNOWN, MORE, TOKENS = 3, 7, 4


def row(frames, seed=0):
    """Weights of a query over a reference and copies of two other frames."""
    generator = np.random.default_rng(seed)
    reference, other = generator.gamma(1, size=TOKENS), generator.gamma(1, size=2 * TOKENS)
    weights = np.concatenate([reference, np.tile(other, (frames - 1) // 2)])
    return weights / weights.sum()


def parts(weights):
    """Mass on the reference, and the deficits within it and within the rest."""
    split = weights[:TOKENS], weights[TOKENS:]
    return split[0].sum(), *(np.log(len(p)) - _entropy(p / p.sum()) for p in split)


def _entropy(p):
    return -(p * np.log(p)).sum()


@pytest.mark.claims("prop-odds", "eq-odds", "eq-diluted-deficit")
@pytest.mark.parametrize("seed", range(3))
def test_copies_of_the_other_frames_dilute_the_reference(seed):
    few, many = row(KNOWN, seed), row(MORE, seed)
    mass, *deficits = (np.array([value]) for value in parts(few))
    found = diluted_mass(mass, known=KNOWN, frames=MORE)
    np.testing.assert_allclose(found, parts(many)[0], rtol=10 * FLOAT64)
    found = diluted_deficit(mass, *deficits, known=KNOWN, frames=MORE)
    np.testing.assert_allclose(found, np.log(len(many)) - _entropy(many), rtol=100 * FLOAT64)


@pytest.mark.parametrize("frames", [KNOWN, MORE])
def test_dilution_is_attention_with_shares_in_one_layer(frames):
    """The mean over rows in which those of the reference weigh as much as its share."""
    generator = np.random.default_rng(0)
    query, key = generator.normal(size=(2, 1, KNOWN * TOKENS, 5))
    scores = (query @ key.swapaxes(-1, -2))[0] / np.sqrt(5)
    weights = softmax(scores, axis=-1)
    rows = (np.array(each) for each in zip(*map(parts, weights), strict=True))
    deficits = diluted_deficit(*rows, known=KNOWN, frames=frames)
    shares = np.repeat(frame_shares(KNOWN, frames) / TOKENS, TOKENS)
    found = profile(query, key, shares).entropy_deficit
    np.testing.assert_allclose(found, shares @ deficits, rtol=100 * FLOAT64)


def test_one_frame_is_refused():
    with pytest.raises(ValueError, match="known must be finite and at least 2; got 1"):
        diluted_mass(np.array([0.5]), known=1, frames=4)

import numpy as np
import pytest

from attention_collapse.theory.frames import dilution_frames
from attention_collapse.theory.spectrum import spherical_stable_rank
from attention_collapse.theory.windows import sphere_weights, window_energy
from tolerances import FLOAT64, LAST_MATCHES, MEAN_OF_DRAWS

SCORES = {"match_score": 3.0, "other_weight": 1.2, "other_square": 2.0}


def attention_in_windows(frames, *, matches=4, per_frame=5):
    """Attention whose other weights are .2 and 2.2 in turn: mean 1.2, mean square 2.44."""
    count = frames * per_frame
    index = np.arange(count)
    same = index[:, None] // matches == index // matches
    parity = (index[:, None] + index) % 2
    weights = np.where(same, np.exp(3.0), np.where(parity, 0.2, 2.2))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("frames", [4, 8, 40])
def test_energy_is_that_of_a_matrix_of_such_weights(frames):
    scores = {"match_score": 3.0, "other_weight": 1.2, "other_square": 2.44}
    law = window_energy(frames, matches=4, tokens_per_frame=5, **scores)
    attention = attention_in_windows(frames)
    np.testing.assert_allclose(attention.sum(axis=0), 1.0, rtol=0, atol=100 * FLOAT64)
    assert law == pytest.approx(np.square(attention).sum(), rel=100 * FLOAT64)
    distance = 1 - len(attention) * np.square(attention.mean(axis=0)).sum() / law
    assert distance == pytest.approx(1 - 1 / law, abs=100 * FLOAT64)


def test_energy_of_the_matches_is_largest_at_the_dilution_frames():
    diluted = dilution_frames(4, 25, 6.0)
    frames = diluted * np.array([0.5, 0.99, 1.0, 1.01, 2.0])
    scores = {"match_score": 6.0, "other_weight": 1.0, "other_square": 1.0}
    energy = window_energy(frames, matches=4, tokens_per_frame=25, **scores)
    others = (25 * frames - 4) * 25 * frames / (4 * np.exp(6.0) + 25 * frames - 4) ** 2
    assert np.argmax(energy - others) == 2


def test_energy_tends_to_that_of_the_others():
    far = window_energy(1e9, matches=4, tokens_per_frame=25, **SCORES)
    assert far == pytest.approx(2.0 / 1.2**2, rel=LAST_MATCHES)


def test_sphere_weights_are_means_over_the_sphere():
    points = np.random.default_rng(0).standard_normal((200_000, 7))
    heights = points[:, 0] / np.linalg.norm(points, axis=1)
    mean, square = sphere_weights(3.0, 7)
    assert mean == pytest.approx(np.exp(3 * heights).mean(), rel=MEAN_OF_DRAWS / 10)
    assert square == pytest.approx(np.exp(6 * heights).mean(), rel=MEAN_OF_DRAWS / 10)


@pytest.mark.parametrize("score", [0.5, 6.0, 30.0])
def test_without_matches_the_energy_is_that_of_the_spherical_spectrum(score):
    mean, square = sphere_weights(score, 63)
    assert square / mean**2 == pytest.approx(spherical_stable_rank(score, 63), rel=1e3 * FLOAT64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matches": 0}, "matches must be finite and positive"),
        ({"tokens_per_frame": 0}, "tokens_per_frame must be finite and positive"),
        ({"match_score": 0.0}, "match_score must be finite and positive"),
        ({"match_score": 400.0}, "2 match_score must be at most 700"),
        ({"other_weight": 0.0}, "other_weight must be finite and positive"),
        ({"other_square": 1.0}, "other_square must be finite and at least 1.44"),
        ({"matches": 11}, "frames \\* tokens_per_frame must be finite and at least 11"),
    ],
)
def test_what_is_no_window_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        window_energy(2, **{"matches": 4, "tokens_per_frame": 5, **SCORES, **change})


def test_a_line_has_no_sphere():
    with pytest.raises(ValueError, match="directions must be finite and at least 2"):
        sphere_weights(1.0, 1)

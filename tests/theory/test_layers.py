import numpy as np
import pytest

from attention_collapse.theory.layers import (
    Scheme,
    attended,
    cloud_covariance,
    layer,
    normalise,
    particle_spread,
    response_law,
)
from tolerances import FLOAT64, RESPONSE_LAW

DIRECTIONS = 4


def gaussian_cloud(count, *, seed=0):
    """Tokens of mean zero whose sample covariance is exactly the identity."""
    draws = np.random.default_rng(seed).standard_normal((count, DIRECTIONS))
    return np.linalg.qr(draws - draws.mean(axis=0)).Q * np.sqrt(count)


def start(scheme, *, sharpness, deviation=0.02, count=1500):
    """A cloud for the scheme, and the temperature that gives it the sharpness."""
    cloud = gaussian_cloud(count)
    if scheme.normalises:
        cloud = normalise(np.c_[np.ones(count), deviation * cloud])
        return cloud, sharpness / deviation**2
    return cloud, sharpness


def written_out(tokens, *, scheme, step, temperature, match_share):
    """One layer with loops and exponentials, token by token."""
    seen = [x / np.sqrt(x @ x) if scheme == "pre-norm" else x for x in tokens]
    moved = []
    for x, y in zip(tokens, seen, strict=True):
        weights = [np.exp(temperature * (y @ z)) for z in seen]
        content = sum(w * z for w, z in zip(weights, seen, strict=True)) / sum(weights)
        read = match_share * y + (1 - match_share) * content
        moved.append(
            {
                "pure": read,
                "averaging": x + step * (read - x),
                "post-norm": (x + step * read) / np.sqrt((x + step * read) @ (x + step * read)),
                "pre-norm": x + step * read,
                "contractive": x - step * read,
                "expansive": x + step * read,
            }[scheme]
        )
    return np.array(moved)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_a_layer_is_the_sum_written_out(scheme):
    tokens = np.random.default_rng(1).standard_normal((7, 3))
    settings = {"scheme": str(scheme), "step": 0.3, "temperature": 0.7, "match_share": 0.2}
    np.testing.assert_allclose(
        layer(tokens, **settings), written_out(tokens, **settings), rtol=FLOAT64
    )


@pytest.mark.parametrize("scheme", list(Scheme))
def test_a_layer_turns_and_relabels_with_the_tokens(scheme):
    generator = np.random.default_rng(2)
    tokens = generator.standard_normal((9, 3))
    rotation = np.linalg.qr(generator.standard_normal((3, 3))).Q
    order = generator.permutation(9)
    settings = {"scheme": scheme, "step": 0.3, "temperature": 0.7, "match_share": 0.2}
    np.testing.assert_allclose(
        layer(tokens[order] @ rotation, **settings),
        layer(tokens, **settings)[order] @ rotation,
        atol=FLOAT64,
    )


@pytest.mark.parametrize("scheme", [s for s in Scheme if s is not Scheme.PURE])
def test_matches_alone_return_every_token_as_it_is(scheme):
    tokens = normalise(np.random.default_rng(3).standard_normal((5, 3)))
    moved = layer(tokens, scheme=scheme, step=0.25, temperature=1.0, match_share=1.0)
    np.testing.assert_allclose(normalise(moved), tokens, atol=FLOAT64)


def test_the_covariance_is_that_of_what_attention_reads():
    tokens = np.random.default_rng(4).standard_normal((20, 3)) + 3
    directions = attended(tokens, scheme="pre-norm")
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=FLOAT64)
    centred = directions - directions.mean(axis=0)
    np.testing.assert_allclose(
        cloud_covariance(tokens, scheme="pre-norm"), centred.T @ centred / 20, atol=FLOAT64
    )
    assert np.trace(cloud_covariance(tokens, scheme="pure")) > 1


@pytest.mark.claims("eq-response")
@pytest.mark.parametrize("match_share", [0.0, 0.4])
@pytest.mark.parametrize("scheme", list(Scheme))
def test_particles_follow_the_response_law(scheme, match_share):
    sharpness = 0.1 if scheme is Scheme.EXPANSIVE else 0.3
    tokens, temperature = start(scheme, sharpness=sharpness)
    settings = {"step": 0.1, "match_share": match_share}
    cosines = scheme.normalises
    law = response_law(scheme, sharpness=sharpness, layers=10, cosine_scores=cosines, **settings)
    variance = [np.trace(cloud_covariance(tokens, scheme=scheme))]
    for _ in range(10):
        tokens = layer(tokens, scheme=scheme, temperature=temperature, **settings)
        variance.append(np.trace(cloud_covariance(tokens, scheme=scheme)))
    measured = np.sqrt(np.array(variance) / variance[0])
    shown = law > 1e-12
    np.testing.assert_allclose(measured[shown], law[shown], rtol=RESPONSE_LAW)


def test_each_direction_has_its_own_law():
    together = response_law(
        "pre-norm", step=0.1, sharpness=np.array([0.5, 0.0]), match_share=0.1, layers=6
    )
    assert together.shape == (7, 2)
    for column, sharpness in enumerate((0.5, 0.0)):
        alone = response_law("pre-norm", step=0.1, sharpness=sharpness, match_share=0.1, layers=6)
        np.testing.assert_array_equal(together[:, column], alone)


def test_a_step_for_each_layer():
    constant = response_law("post-norm", step=0.2, sharpness=0.1, match_share=0.0, layers=3)
    listed = response_law(
        "post-norm", step=np.full(3, 0.2), sharpness=0.1, match_share=0.0, layers=3
    )
    np.testing.assert_array_equal(constant, listed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scheme": "mid-norm"}, "scheme must be one of .*pre-norm"),
        ({"step": 0.0}, "step must be finite and positive"),
        ({"match_share": 1.5}, r"match_share must be in \[0, 1\]"),
        ({"sharpness": 1.0}, "sharpness must be below 1 for the scheme pre-norm"),
        ({"sharpness": -0.1}, "sharpness must be finite and at least 0"),
        ({"layers": -1}, "layers must be finite and at least 0"),
        ({"scheme": "averaging", "cosine_scores": True}, "cosine_scores must be off"),
        ({"scheme": "averaging", "step": 1.5}, "step must be at most 1 for averaging"),
        (
            {"step": np.full(3, 0.1)},
            r"step must be one number or one for each of 40 .*got shape",
        ),
        ({"scheme": "contractive", "step": 5.0}, "overshoots the mean"),
        ({"scheme": "expansive", "sharpness": 9.0}, "outgrows float64"),
    ],
)
def test_the_law_refuses(change, message):
    settings = {"scheme": "pre-norm", "step": 0.1, "sharpness": 0.5, "match_share": 0.0}
    settings |= {"layers": 40} | change
    with pytest.raises(ValueError, match=message):
        response_law(settings.pop("scheme"), **settings)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros((2, 3)), "norms of the tokens must be finite and positive"),
        (np.array([[1.0, np.nan]]), "tokens must be finite"),
        (np.zeros((0, 3)), r"tokens must have the shape \[token width\].*got \(0, 3\): pass"),
    ],
)
def test_a_layer_refuses(tokens, message):
    with pytest.raises(ValueError, match=message):
        layer(tokens, scheme="pre-norm", step=0.1, temperature=1.0)


def test_a_layer_refuses_a_temperature_by_its_name():
    with pytest.raises(ValueError, match="temperature must be finite; got nan: pass"):
        layer(np.eye(3), scheme="pre-norm", step=0.1, temperature=np.nan)


def test_tokens_that_agree_are_refused_before_they_move():
    """The layers would overflow first if the check came after them."""
    with pytest.raises(ValueError, match="variance at the start must be .* tokens that agree"):
        particle_spread(
            np.full((3, 2), 1e100), scheme="expansive", step=1e100, temperature=0.0, layers=4
        )


def test_what_normalises():
    assert [scheme for scheme in Scheme if scheme.normalises] == ["post-norm", "pre-norm"]

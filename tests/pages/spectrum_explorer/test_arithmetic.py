"""The page computes what the library computes, and measures what numpy measures."""

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import ive

from attention_collapse.figures.spectrum_explorer import matrix_profile
from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.spectrum import (
    harmonic_dimension,
    rank_profile,
    spherical_rank_profile,
)
from attention_collapse.widgets.spectrum_explorer import DIMENSIONS, SpectrumExplorer
from tolerances import PAGE_ARITHMETIC

GAUSSIAN = ([0.0], [0.7, 0.7, 0.7], [0.3, 0.2, 0.0], [0.45, 0.45], [0.01, 0.7, 0.5])
CONCENTRATIONS = (0.0, 0.1, 1.0, 4.0, 12.0)
UNUSED = {"sharpness": [0.1], "concentration": 1.0, "dimension": 3}


def gaussian(sharpness):
    return UNUSED | {"name": "gaussian", "sharpness": sharpness}


def sphere(concentration, dimension):
    return UNUSED | {"name": "sphere", "concentration": concentration, "dimension": dimension}


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=PAGE_ARITHMETIC, atol=PAGE_ARITHMETIC)


def assert_profile(found, profile):
    """The numbers of the script are those of a ``RankProfile``."""
    expected = {
        "singularValues": profile.singular_values,
        "singularRatio": profile.singular_ratio,
        "effectiveRank": profile.effective_rank,
        "stableRank": profile.stable_rank,
        "entropyDeficit": profile.entropy_deficit,
    }
    assert set(found) == set(expected)
    for name, value in found.items():
        assert_equal(value, expected[name])


def uniform_numbers(count, seed):
    """The generator mulberry32: its state only counts, so that all numbers are mixed at once."""
    with np.errstate(over="ignore"):
        state = np.uint32(seed) + np.uint32(0x6D2B79F5) * np.arange(1, count + 1, dtype=np.uint32)
        mixed = (state ^ (state >> 15)) * (state | 1)
        mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)
    return (mixed ^ (mixed >> 14)) / 2.0**32


def normal_rows(count, width, seed):
    """Normal numbers of Box and Muller, two of each pair of uniform ones."""
    pairs = -(-count * width // 2)
    first, second = uniform_numbers(2 * pairs, seed).reshape(-1, 2).T
    turns = np.exp(2j * np.pi * second) * np.sqrt(-2 * np.log1p(-first))
    return turns.view(np.float64)[: count * width].reshape(count, width)


def sample_points(law, count, seed):
    """Tokens of the page's sample, drawn once more."""
    if law["name"] == "gaussian":
        tokens = normal_rows(count, 3, seed)
        order = tokens[:, np.argmax(law["sharpness"])].argsort()
        return tokens[order][:, : len(law["sharpness"])] * np.sqrt(law["sharpness"])
    tokens = normal_rows(count, law["dimension"], seed)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    place = np.angle(tokens @ [1, 1j]) if law["dimension"] == 2 else tokens[:, 0]
    return np.sqrt(law["concentration"]) * tokens[place.argsort()]


def sample_attention(law, count, seed):
    points = sample_points(law, count, seed)
    return attention_matrix(points, bilinear=np.eye(points.shape[1]))


def test_gaussian_closed_form_equals_library(open_explorer):
    calls = [("closedProfile", gaussian(sharpness), 64) for sharpness in GAUSSIAN]
    for found, sharpness in zip(open_explorer().call(*calls), GAUSSIAN, strict=True):
        assert_profile(found, rank_profile(np.array(sharpness), count=64))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_spherical_closed_form_equals_library(open_explorer, dimension):
    calls = [("closedProfile", sphere(each, dimension), 64) for each in CONCENTRATIONS]
    for found, concentration in zip(open_explorer().call(*calls), CONCENTRATIONS, strict=True):
        assert_profile(found, spherical_rank_profile(concentration, dimension, count=64))


def test_bessel_ratios_and_multiplicities_are_those_of_scipy_and_of_the_library(open_explorer):
    explorer, orders = open_explorer(), range(24)
    for dimension in DIMENSIONS:
        ratios, *multiplicities = explorer.call(
            ("besselRatios", 7.5, dimension),
            *[("harmonicDimension", order, dimension) for order in orders],
        )
        values = ive(np.arange(25) + dimension / 2 - 1, 7.5)
        assert_equal(ratios[:24], values[1:] / values[:-1])
        assert multiplicities == [harmonic_dimension(order, dimension) for order in orders]


@pytest.mark.parametrize(
    "law",
    [gaussian([0.4, 0.3, 0.2]), gaussian([0.1, 0.65]), sphere(6.0, 2), sphere(4.0, 3)],
    ids=["gaussian", "two directions", "circle", "sphere"],
)
@pytest.mark.parametrize(("count", "seed"), [(32, 1), (33, 2**32 - 1)])
def test_sample_is_the_one_of_its_seed(open_explorer, law, count, seed):
    (points,) = open_explorer().call(("samplePoints", law, count, seed))
    assert_equal(points, sample_points(law, count, seed))
    (attention,) = open_explorer().call(("attentionAmong", points))
    assert_equal(attention, sample_attention(law, count, seed))


@pytest.mark.parametrize(
    ("law", "count"),
    [
        (gaussian([0.7]), 128),  # the page's own matrices, some of them of rank one or few
        (gaussian([0.3, 0.2, 0.0]), 100),
        (gaussian([0.0]), 32),
        (sphere(0.0, 3), 32),
        (sphere(12.0, 8), 256),
    ],
)
def test_ranks_of_a_sample_are_those_of_numpy(open_explorer, law, count):
    (found,) = open_explorer().call(("measuredSample", law, count, 5))
    assert_profile(found["profile"], matrix_profile(np.array(found["attention"])))


def test_singular_values_of_any_square_matrix(open_explorer):
    generator = np.random.default_rng(3)
    matrices = [
        generator.standard_normal((40, 40)),
        np.diag([3.0, -2.0, 0.0, 1.0]),
        np.eye(6)[[1, 2, 3, 4, 5, 0]],
        np.outer(np.arange(5.0), np.ones(5)),
        np.zeros((3, 3)),
        np.triu(np.ones((20, 20))),
        np.array([[-4.0]]),
    ]
    calls = [("matrixSingularValues", matrix.tolist()) for matrix in matrices]
    for found, matrix in zip(open_explorer().call(*calls), matrices, strict=True):
        assert_equal(found, np.linalg.svd(matrix, compute_uv=False))


def test_fluctuation_exponent_follows_from_the_weight_of_one_key(open_explorer):
    r"""The squared weights of a key y grow like e^{c y²}: a law of index 1 / (2c), a rate 1 − 2c.

    Both means over queries are taken by quadrature. From index 2 on the rate is ½.
    """
    nodes, weights = hermegauss(200)
    weights = weights / weights.sum()
    for sharpness in (0.2, 0.4, 0.45, 0.5, 0.6):
        normaliser = np.exp(sharpness * np.outer(nodes, nodes)) @ weights
        keys = np.array([0.0, 1.0])
        squared = (np.exp(sharpness * np.outer(nodes, keys)) / normaliser[:, None]) ** 2
        growth = np.diff(np.log(weights @ squared))[0]
        (found,) = open_explorer().call(("fluctuationExponent", gaussian([0.1, sharpness])))
        assert_equal(found, min(0.5, 1 - 2 * growth))


@pytest.mark.parametrize(
    "state",
    [
        {"sharpness": [0.5, 0.1], "tokens": 64, "seed": 3},
        {"law": "sphere", "concentration": 7.3, "dimension": 4, "tokens": 200},
    ],
)
def test_shown_numbers_are_those_of_the_state(open_explorer, state):
    explorer, library = open_explorer(**state), SpectrumExplorer(**state)
    closed = explorer.numbers("closed")
    closed["singularValues"] = closed["singularValues"][:32]
    assert_profile(closed, library.profile)
    law = gaussian(library.sharpness) | {"name": library.law}
    law |= {"concentration": library.concentration, "dimension": library.dimension}
    expected = matrix_profile(sample_attention(law, library.tokens, library.seed))
    assert_profile(explorer.numbers("sample"), expected)

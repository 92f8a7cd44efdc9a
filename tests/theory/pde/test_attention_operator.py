"""From a law of tokens to the rank profile of its attention."""

import numpy as np
import pytest
from scipy.stats import norm

from attention_collapse.theory import spectrum
from attention_collapse.theory.closed_variance import contracting_variance
from attention_collapse.theory.pde.attention_operator import (
    attention_operator,
    operator_singular_values,
)
from attention_collapse.theory.pde.finite_volume import density_flow
from attention_collapse.theory.softmax import attention_matrix
from tolerances import DENSITY_TO_SPECTRUM, FLOAT64, QUADRATURE


def test_equal_masses_give_the_attention_matrix():
    tokens, bilinear = np.random.default_rng(0).standard_normal((2, 6, 6))
    operator = attention_operator(tokens, np.full(6, 0.25), bilinear=bilinear)
    np.testing.assert_allclose(operator, attention_matrix(tokens, bilinear=bilinear), rtol=FLOAT64)


def test_the_operator_keeps_the_constant_function():
    generator = np.random.default_rng(1)
    nodes, weights = generator.standard_normal((9, 2)), generator.uniform(size=9)
    root = np.sqrt(weights)
    operator = attention_operator(nodes, weights, bilinear=np.eye(2))
    np.testing.assert_allclose(operator @ root, root, rtol=FLOAT64)


def test_nodes_without_mass_and_copies_of_a_node_change_nothing():
    generator = np.random.default_rng(2)
    nodes, weights = generator.standard_normal((5, 2)), generator.uniform(size=5)
    values = operator_singular_values(nodes, weights, bilinear=np.eye(2))
    more = np.concatenate([nodes, nodes[:1] + 9.0, nodes[:1]])
    split = np.concatenate([weights, [0.0], weights[:1] / 2])
    split[0] /= 2
    other = operator_singular_values(more, split, bilinear=np.eye(2))
    np.testing.assert_allclose(other[:5], values, atol=FLOAT64)
    np.testing.assert_allclose(other[5:], 0.0, atol=FLOAT64)


@pytest.mark.parametrize("sharpness", [0.05, 0.3, 0.5])
def test_gauss_hermite_nodes_give_the_mehler_spectrum(sharpness):
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    values = operator_singular_values(nodes[:, None], weights, bilinear=np.array([[sharpness]]))
    law = spectrum.singular_values(np.array([sharpness]), 8)
    np.testing.assert_allclose(values[:8], law, atol=QUADRATURE)


def test_a_density_that_shrinks_has_the_mehler_spectrum_at_each_time():
    """Density → operator → singular values, against sharpness b λ(t) put into the closed form."""
    edges, times = np.linspace(-8, 8, 161), np.array([0.25, 1.0, 4.0, 16.0])
    path = density_flow(
        norm.pdf((edges[1:] + edges[:-1]) / 2),
        ends=(-8.0, 8.0),
        value=-1.0,
        bilinear=0.55,
        depth_times=times,
    )
    variance = contracting_variance(1.0, contraction=1.0, bilinear=0.55, depth_time=times)
    for centres, masses, a in zip(path.centres, path.masses(), 0.55 * variance, strict=True):
        values = operator_singular_values(centres[:, None], masses, bilinear=np.array([[0.55]]))
        law = spectrum.singular_values(np.array([a]), 6)
        np.testing.assert_allclose(values[:6], law, atol=DENSITY_TO_SPECTRUM)


def test_weights_must_be_masses():
    with pytest.raises(ValueError, match="weights must be finite, at least zero and not all zero"):
        attention_operator(np.zeros((2, 1)), np.array([1.0, -1.0]), bilinear=np.eye(1))

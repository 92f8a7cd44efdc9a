import numpy as np

from attention_collapse.theory.square_root import symmetric_square_root
from tolerances import FLOAT64


def test_the_root_is_symmetric_and_squares_to_the_covariance():
    factor = np.random.default_rng(0).standard_normal((4, 4))
    covariance = factor @ factor.T
    root = symmetric_square_root(covariance)
    np.testing.assert_allclose(root, root.T, atol=FLOAT64)
    np.testing.assert_allclose(root @ root, covariance, rtol=100 * FLOAT64)
    assert np.linalg.eigvalsh(root)[0] > 0


def test_an_eigenvalue_below_zero_is_rounding():
    root = symmetric_square_root(np.diag([4.0, -1e-17]))
    np.testing.assert_allclose(root, np.diag([2.0, 0.0]), atol=FLOAT64)

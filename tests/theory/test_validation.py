import math

import numpy as np
import pytest

from attention_collapse.theory.validation import (
    require_at_least,
    require_between,
    require_covariances,
    require_exponent,
    require_positive,
    require_square_matrices,
    require_tokens,
    require_vectors,
)


def test_refuses_matrices_of_another_width():
    with pytest.raises(ValueError, match=r"values must end in shape \(2, 2\).*got \(3, 3\): pass"):
        require_square_matrices(2, values=np.eye(3))


def test_refuses_vectors_of_another_width():
    with pytest.raises(ValueError, match=r"query must end in an axis of 2.*got shape \(3,\): pass"):
        require_vectors(2, query=np.zeros(3))


def test_refuses_matrices_without_entries():
    with pytest.raises(ValueError, match=r"values must act on one direction.*got shape \(0, 0\)"):
        require_square_matrices(0, values=np.zeros((0, 0)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (1, 2, 3)])
def test_refuses_what_is_no_table_of_tokens(shape):
    with pytest.raises(ValueError, match=r"keys must have the shape \[token width\].*: pass one"):
        require_tokens("keys", np.zeros(shape))


def test_refuses_tokens_that_are_not_finite():
    with pytest.raises(ValueError, match="keys must be finite; got a NaN or infinity"):
        require_tokens("keys", np.array([[1.0, math.inf]]))


def test_integers_beyond_numpy_are_numbers():
    require_at_least("tokens", 10**400, 2, fix="count")
    require_positive("tokens", 2**64, fix="count")
    with pytest.raises(ValueError, match="tokens must be finite and at least 2; got -1000"):
        require_at_least("tokens", -(10**30), 2, fix="count")


@pytest.mark.parametrize("exponent", [math.nan, math.inf, 701])
def test_refuses_exponents_beyond_float64(exponent):
    with pytest.raises(ValueError, match="gap must be at most 700"):
        require_exponent("gap", exponent)


@pytest.mark.parametrize(("ends", "refused"), [(True, [-0.1, 1.1]), (False, [0, 1.0, -0.1, 1.1])])
def test_refuses_what_is_outside_an_interval(ends, refused):
    for value in (*refused, math.nan, np.array([0.5, refused[0]])):
        with pytest.raises(ValueError, match=r"share must be in [\[(]0, 1[\])]; got .*: it is one"):
            require_between("share", value, 0, 1, ends=ends, fix="it is one")
    inside = np.array([0.0, 1.0]) if ends else np.array([1e-300, 0.5])
    require_between("share", inside, 0, 1, ends=ends, fix="it is one")


def test_rounding_is_that_of_each_matrix():
    """A large covariance in the same batch must not excuse a small one."""
    small = np.array([[1.0, 0.5], [0.0, 1.0]])
    for wrong, message in (
        (small, "an asymmetry of 0.5 and a smallest eigenvalue of"),
        (np.diag([1.0, -0.25]), "an asymmetry of 0 and a smallest eigenvalue of -0.25"),
    ):
        batch = np.stack([1e12 * np.eye(2), wrong])
        with pytest.raises(ValueError, match=rf"clouds must be symmetric.*; got {message}"):
            require_covariances(2, clouds=batch)
    require_covariances(2, clouds=np.stack([1e12 * np.eye(2), np.diag([1.0, -1e-12])]))

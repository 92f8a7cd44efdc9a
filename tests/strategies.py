"""Laws of the tokens, heads and rotations for property tests, and input that is no number."""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

NOT_FINITE = st.sampled_from([math.nan, math.inf, -math.inf])


def matrices(*shape, size=1.0):
    """Arrays with entries of at most ``size``, on a grid far above the smallest float64."""
    entries = st.floats(-size, size).map(lambda entry: round(entry, 9))
    return arrays.arrays(np.float64, shape, elements=entries)


def rotations(width):
    """Orthogonal matrices, reflections among them."""
    return matrices(width, width).map(lambda matrix: np.linalg.qr(matrix).Q)


def covariances(width, *, smallest=0.1):
    """Covariances with variances from ``smallest`` to ``smallest`` + 1."""
    return matrices(width, width).map(
        lambda factor: factor @ factor.T / width**2 + smallest * np.eye(width)
    )


def with_negative_variance(width):
    """Symmetric matrices with one eigenvalue below zero."""

    def assembled(parts):
        frame, variance = parts
        return frame * np.append(variance, np.ones(width - 1)) @ frame.T

    return st.tuples(rotations(width), st.floats(-10, -1e-3)).map(assembled)


@st.composite
def not_finite(draw, *shape):
    """Arrays of zeros with one entry that is infinite or not a number."""
    array = np.zeros(shape)
    array[tuple(draw(st.integers(0, length - 1)) for length in shape)] = draw(NOT_FINITE)
    return array

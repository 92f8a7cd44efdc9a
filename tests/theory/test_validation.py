import numpy as np
import pytest

from attention_collapse.theory.validation import require_square_matrices, require_vectors


def test_refuses_matrices_of_another_width():
    with pytest.raises(ValueError, match=r"values must end in shape \(2, 2\).*got \(3, 3\): pass"):
        require_square_matrices(2, values=np.eye(3))


def test_refuses_vectors_of_another_width():
    with pytest.raises(ValueError, match=r"query must end in an axis of 2.*got shape \(3,\): pass"):
        require_vectors(2, query=np.zeros(3))

"""The symmetric square root of a covariance."""

import numpy as np
from jaxtyping import Float


def symmetric_square_root(
    covariance: Float[np.ndarray, "width width"],
) -> Float[np.ndarray, "width width"]:
    r"""Symmetric square root :math:`\Sigma^{1/2}` of a covariance, singular or not.

    Eigenvalues below zero are taken for rounding of zero. The caller checks that they are, for
    instance with ``validation.require_covariances``.

    Args:
        covariance: :math:`\Sigma`, symmetric.

    Source: definition.
    Home section: *Notation*.
    """
    variances, directions = np.linalg.eigh(covariance)
    return (directions * np.sqrt(variances.clip(min=0.0))) @ directions.T

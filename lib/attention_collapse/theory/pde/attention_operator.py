"""The attention operator of a law of tokens and its rank profile, by quadrature."""

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.softmax import attention_matrix


def attention_operator(
    nodes: Float[np.ndarray, "node width"],
    weights: Float[np.ndarray, "_"],
    *,
    bilinear: Float[np.ndarray, "_ _"],
) -> Float[np.ndarray, "kept kept"]:
    r"""Attention on :math:`L^2(\mu)` as a matrix, for a law given by nodes and masses.

    .. math:: (Af)(x) = \frac{\int f(y) \, e^{x^\top B y} d\mu(y)}{\int e^{x^\top B y} d\mu(y)},
        \qquad M_{ij} = \sqrt{w_i} \, \frac{e^{x_i^\top B x_j}}{\sum_l w_l e^{x_i^\top B x_l}}
        \, \sqrt{w_j}.

    The roots make the inner product of :math:`L^2(\mu)` the usual one, so that the singular values
    of :math:`M` are those of the operator. Equal masses give the attention matrix of the nodes.

    Args:
        nodes: :math:`x_i`, tokens or the centres of cells.
        weights: :math:`w_i`, their masses, not negative. Nodes without mass are left out.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt{d_h}`.

    Raises:
        ValueError: If there is no node, an array is not finite or not of the token width, the
            weights are not one for each node, one is negative or all of them are zero, or a score
            is beyond float64.

    Source: derived in the home section, under *From a density to a rank profile*.
    Home section: *From particles to the mean field*.
    """
    attention = attention_matrix(nodes, bilinear=bilinear, weights=weights)
    kept = weights > 0
    root = np.sqrt(weights[kept])
    return root[:, None] * attention[np.ix_(kept, kept)] / root


def operator_singular_values(
    nodes: Float[np.ndarray, "node width"],
    weights: Float[np.ndarray, "_"],
    *,
    bilinear: Float[np.ndarray, "_ _"],
) -> Float[np.ndarray, "value"]:
    """Singular values of the attention operator of a law, descending.

    Args:
        nodes: Tokens or the centres of cells.
        weights: Their masses, not negative. Nodes without mass are left out.
        bilinear: The bilinear form of the scores.

    Raises:
        ValueError: If there is no node, an array is not finite or not of the token width, the
            weights are not one for each node, one is negative or all of them are zero, or a score
            is beyond float64.

    Source: derived in the home section, under *From a density to a rank profile*.
    Home section: *From particles to the mean field*.
    """
    return np.linalg.svd(attention_operator(nodes, weights, bilinear=bilinear), compute_uv=False)

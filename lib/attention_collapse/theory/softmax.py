"""Softmax averages of a finite set of tokens: what one attention layer computes."""

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from attention_collapse.theory.validation import (
    require_square_matrices,
    require_tokens,
    require_vectors,
)


def attention_matrix(
    tokens: Float[np.ndarray, "token width"],
    *,
    bilinear: Float[np.ndarray, "_ _"],
    queries: Float[np.ndarray, "query _"] | None = None,
    weights: Float[np.ndarray, "_"] | None = None,
) -> Float[np.ndarray, "row token"]:
    r"""Attention of queries to tokens, rows that sum to one.

    .. math:: A_{ij} = \frac{w_j \, e^{x_i^\top B y_j}}{\sum_l w_l \, e^{x_i^\top B y_l}}

    Args:
        tokens: Keys :math:`y_j`.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt{d_h}`.
        queries: :math:`x_i`; the tokens themselves by default.
        weights: Masses :math:`w_j` of the tokens, not negative; equal by default.

    Raises:
        ValueError: If there is no token, an array is not finite or not of the token width, the
            masses are not one for each token, one is negative or all of them are zero, or a score
            is beyond float64.

    Source: Vaswani et al. (2017), equation 1, for the keys as values of a measure with masses.
    Home section: *From particles to the mean field*.
    """
    require_tokens("tokens", tokens)
    width = tokens.shape[-1]
    rows = tokens if queries is None else queries
    require_vectors(width, queries=rows)
    require_square_matrices(width, bilinear=bilinear)
    scores = _scores(rows, bilinear, tokens)
    if weights is not None:
        scores = scores + _log_mass(weights, len(tokens))
    return softmax(scores, axis=-1)


def _scores(queries, bilinear, tokens):
    with np.errstate(over="ignore", invalid="ignore"):
        scores = queries @ bilinear @ tokens.T
    if not np.all(np.isfinite(scores)):
        raise ValueError(
            "scores must be finite; got an overflow of x^T B y: scale the tokens or bilinear down."
        )
    return scores


def _log_mass(weights: Float[np.ndarray, "_"], count: int) -> Float[np.ndarray, "token"]:
    """Logarithm of the masses, minus infinity where there is none."""
    if weights.shape != (count,):
        raise ValueError(
            f"weights must have one mass for each token, {count} here; got shape {weights.shape}: "
            "pass the masses in the order of the tokens."
        )
    if not (np.all(np.isfinite(weights)) and weights.min() >= 0 and weights.max() > 0):
        raise ValueError(
            "weights must be finite, at least zero and not all zero; got a range of "
            f"[{weights.min()}, {weights.max()}]: pass the masses of the tokens."
        )
    return np.log(weights, out=np.full_like(weights, -np.inf), where=weights > 0)

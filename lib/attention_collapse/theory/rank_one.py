"""Attention of rank one under pre-norm: every token receives the same vector.

With equal rows :math:`\\pi_L` a layer is :math:`x_i \\leftarrow x_i + \\tau w_L`, where
:math:`w_L = \\sum_j \\pi_{L,j}\\, x_j / \\lVert x_j \\rVert`. Differences never change, norms grow
like :math:`\\tau L`, so directions meet like :math:`1/L`.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from attention_collapse.theory.layers import normalise
from attention_collapse.theory.validation import require_positive, require_tokens, require_vectors


def half_space_margin(tokens: Float[np.ndarray, "token width"]) -> float:
    r"""Largest :math:`\varsigma` with which the directions of the tokens lie in a half-space.

    .. math:: \varsigma
        = \max_{\lVert \mathbf e \rVert = 1} \min_i \langle \mathbf e, \theta_i \rangle
        = \min_{\pi} \Bigl\lVert \sum_i \pi_i \theta_i \Bigr\rVert,
        \qquad \pi_i \ge 0, \quad \sum_i \pi_i = 1.

    The second form is the distance of the origin from the convex hull of the directions. It is
    zero, up to rounding, where no open half-space holds the tokens.

    Args:
        tokens: :math:`x_i`, with directions :math:`\theta_i`.

    Raises:
        ValueError: If there is no token, or one is zero or not finite.

    Source: derived in the home section, theorem *Rank-one attention under pre-norm*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    directions = normalise(tokens)
    # For a total weight s the objective is s² ς² + (s - 1)²; its least value over s grows with ς.
    system = np.vstack([directions.T, np.ones(len(directions))])
    weights, _ = nnls(system, np.append(np.zeros(tokens.shape[1]), 1.0))
    return float(np.linalg.norm(weights @ directions) / weights.sum())


def direction_bound(
    tokens: Float[np.ndarray, "token width"], *, step: int | float, layers: int
) -> float:
    r"""Bound on the distance between two directions after some layers of equal rows.

    .. math:: \lVert \theta_i - \theta_j \rVert \le \frac{2 D}{\varsigma \tau L},
        \qquad D = \max_{i,j} \lVert x_i - x_j \rVert \ \text{at the start}.

    Args:
        tokens: :math:`x_i` at the start.
        step: :math:`\tau`, in units of the tokens.
        layers: :math:`L`, at least one.

    Raises:
        ValueError: If there is no token, one is zero or not finite, the step or the number of
            layers is not positive, or no open half-space holds the tokens.

    Source: derived in the home section, theorem *Rank-one attention under pre-norm*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_positive("step", step, fix="a layer must move the tokens")
    require_positive("layers", layers, fix="the bound speaks from the first layer on")
    margin = half_space_margin(tokens)
    if margin < np.sqrt(np.finfo(float).eps):
        raise ValueError(
            f"tokens must lie in an open half-space; got a margin of {margin:.1e}: norms need not "
            "grow without one."
        )
    diameter = max(np.linalg.norm(tokens - token, axis=1).max() for token in tokens)
    return float(2.0 * diameter / (margin * step * layers))


def spread_constant(
    tokens: Float[np.ndarray, "token width"],
    *,
    limit: Float[np.ndarray, "_"],
    step: int | float,
) -> float:
    r"""Limit of :math:`L` times the spread of the directions under attention with equal rows.

    .. math:: \lim_{L \to \infty} L\, \delta_L
        = \frac1\tau \sqrt{\frac1N \sum_i \lVert \Pi (x_i - \bar x) \rVert^2},
        \qquad \Pi = I - \theta_\infty \theta_\infty^\top.

    Args:
        tokens: :math:`x_i` at the start, with mean :math:`\bar x`.
        limit: :math:`\theta_\infty`, the direction in which all tokens end, of any length.
        step: :math:`\tau`.

    Raises:
        ValueError: If there is no token, one is not finite, the limit is zero, not finite or not
            of the token width, or the step is not positive.

    Source: derived in the home section, theorem *Rank-one attention under pre-norm*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_positive("step", step, fix="a layer must move the tokens")
    require_tokens("tokens", tokens)
    require_vectors(tokens.shape[1], limit=limit)
    (direction,) = normalise(limit[None])
    deviations = tokens - tokens.mean(axis=0)
    across = deviations - np.outer(deviations @ direction, direction)
    return float(np.sqrt(np.mean(np.sum(across**2, axis=1))) / step)

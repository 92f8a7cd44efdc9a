"""Tokens as particles: the residual flow of finitely many of them."""

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from attention_collapse.theory.softmax import attention_matrix
from attention_collapse.theory.validation import (
    require_ascending_times,
    require_square_matrices,
    require_tokens,
)

_RELATIVE_TOLERANCE = 1e-7
_LARGEST = 1e100  # size of a token whose scores are still far from overflow


def velocity(
    tokens: Float[np.ndarray, "token width"],
    *,
    value: Float[np.ndarray, "_ _"],
    bilinear: Float[np.ndarray, "_ _"],
    queries: Float[np.ndarray, "query _"] | None = None,
    weights: Float[np.ndarray, "_"] | None = None,
) -> Float[np.ndarray, "row width"]:
    r"""What attention adds to queries, the velocity field of a discrete measure.

    .. math:: v[\mu](x) = V \, \frac{\int y \, e^{x^\top B y} d\mu(y)}
        {\int e^{x^\top B y} d\mu(y)}, \qquad \mu = \sum_j w_j \delta_{y_j}.

    Args:
        tokens: :math:`y_j`, where the measure has its mass.
        value: :math:`V = W_O W_V`.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt{d_h}`.
        queries: :math:`x`; the tokens themselves by default.
        weights: :math:`w_j`, not negative; equal by default. Their sum cancels.

    Raises:
        ValueError: If there is no token, an array is not finite or not of the token width, the
            weights are not one for each token, one is negative or all of them are zero, or a score
            is beyond float64.

    Source: derived in the home section, under *Attention sees only the law*.
    Home section: *From particles to the mean field*.
    """
    require_tokens("tokens", tokens)
    require_square_matrices(tokens.shape[-1], value=value)
    attention = attention_matrix(tokens, bilinear=bilinear, queries=queries, weights=weights)
    return attention @ tokens @ value.T


def particle_flow(
    tokens: Float[np.ndarray, "token width"],
    *,
    value: Float[np.ndarray, "_ _"],
    bilinear: Float[np.ndarray, "_ _"],
    depth_times: Float[np.ndarray, "time"],
    weights: Float[np.ndarray, "_"] | None = None,
) -> Float[np.ndarray, "time token width"]:
    r"""Tokens along the residual flow :math:`\dot x_i = v[\mu_t](x_i)`, the limit of small steps.

    An explicit Runge–Kutta method of order eight sets its own steps, to a relative error of 1e-7 of
    the size of the tokens for each step. Steps grow as the flow slows down.

    Args:
        tokens: :math:`x_i` at time zero.
        value: :math:`V = W_O W_V`.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt{d_h}`.
        depth_times: Times :math:`t = \tau L` to report, ascending from zero or later.
        weights: Masses of the tokens, which do not change; equal by default.

    Raises:
        ValueError: If there is no token, an array is not finite or not of the token width, the
            weights are not one for each token, one is negative or all of them are zero, the times
            are negative or do not ascend, or a token grows beyond 1e100 before the last of them.

    Source: derived in the home section, under *One layer is one step*; the integrator is DOP853 of
    Hairer, Nørsett and Wanner (1993).
    Home section: *From particles to the mean field*.
    """
    require_tokens("tokens", tokens)
    require_ascending_times(depth_times)

    def right_side(_time, flat):
        moved = flat.reshape(tokens.shape)
        return velocity(moved, value=value, bilinear=bilinear, weights=weights).ravel()

    def room(_time, flat):
        return _LARGEST - np.abs(flat).max()

    room.terminal = True
    solution = solve_ivp(
        right_side,
        (0.0, max(depth_times[-1], np.finfo(float).tiny)),
        tokens.ravel(),
        method="DOP853",
        t_eval=depth_times,
        events=room,
        rtol=_RELATIVE_TOLERANCE,
        atol=_RELATIVE_TOLERANCE * (np.abs(tokens).max() or 1.0),
    )
    if len(solution.t) < len(depth_times):
        raise ValueError(
            f"depth_times must end before a token grows beyond {_LARGEST:g}, at t ≈ "
            f"{solution.t_events[0][0]:.6g}; got {depth_times[-1]:.6g}: ask for earlier times."
        )
    return solution.y.T.reshape(-1, *tokens.shape)

"""The Gaussian closure: a Gaussian of tokens stays Gaussian under attention.

Tokens have law :math:`\\mathcal N(m, \\Sigma)` and attend with scores :math:`x^\\top B y`, query
:math:`x` and key :math:`y`. Softmax weights tilt the law of the keys by
:math:`e^{x^\\top B y}`, which moves its mean to :math:`m + \\Sigma B^\\top x` and leaves its
covariance. The output of attention is therefore linear in the query, and the residual flow
:math:`\\dot x = \\sum_h V_h (m + \\Sigma B_h^\\top x)` over heads :math:`h` keeps the law Gaussian.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from attention_collapse.theory.validation import (
    require_ascending_times,
    require_covariances,
    require_square_matrices,
    require_vectors,
)

_RELATIVE_TOLERANCE = 1e-10
_BLOW_UP_FACTOR = 1e8  # growth of the total variance that the integrator takes for a blow-up


def tilt(
    mean: Float[np.ndarray, "width"],
    covariance: Float[np.ndarray, "_ _"],
    *,
    bilinear: Float[np.ndarray, "_ _"],
    query: Float[np.ndarray, "*batch _"],
) -> Float[np.ndarray, "*batch width"]:
    r"""Mean of the keys under the softmax weights of a query.

    .. math:: \frac{\mathbb E[y \, e^{x^\top B y}]}{\mathbb E[e^{x^\top B y}]}
        = m + \Sigma B^\top x, \qquad y \sim \mathcal N(m, \Sigma).

    The tilted law is Gaussian with that mean and the same covariance.

    Args:
        mean: :math:`m`.
        covariance: :math:`\Sigma`.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt{d_h}` for heads of :math:`d_h` dimensions.
        query: :math:`x`, one or many.

    Raises:
        ValueError: If a matrix or a vector is not of the token width or not finite, or the
            covariance is not symmetric with eigenvalues of at least zero.

    Source: derived in the home section, lemma *Tilt*.
    Home section: *Degenerate diffusion*.
    """
    require_vectors(mean.size, mean=mean, query=query)
    require_square_matrices(mean.size, bilinear=bilinear)
    require_covariances(mean.size, covariance=covariance)
    return mean + query @ bilinear @ covariance


def attention_output(
    mean: Float[np.ndarray, "width"],
    covariance: Float[np.ndarray, "_ _"],
    *,
    values: Float[np.ndarray, "head _ _"],
    bilinears: Float[np.ndarray, "_ _ _"],
    query: Float[np.ndarray, "*batch _"],
) -> Float[np.ndarray, "*batch width"]:
    r"""Output of attention of several heads, :math:`\sum_h V_h (m + \Sigma B_h^\top x)`.

    Args:
        mean: :math:`m`.
        covariance: :math:`\Sigma`.
        values: :math:`V_h = W_O W_V` of every head.
        bilinears: :math:`B_h = W_Q^\top W_K / \sqrt{d_h}` of every head.
        query: :math:`x`, one or many.

    Raises:
        ValueError: If a matrix or a vector is not of the token width or not finite, the heads of
            ``values`` and ``bilinears`` differ in number, or the covariance is not symmetric with
            eigenvalues of at least zero.

    Source: derived in the home section, lemma *Tilt*.
    Home section: *Degenerate diffusion*.
    """
    require_vectors(mean.size, query=query)
    require_square_matrices(mean.size, values=values, bilinears=bilinears)
    _require_one_each(values, bilinears)
    tilted = (
        tilt(mean, covariance, bilinear=bilinear, query=query) @ value.T
        for value, bilinear in zip(values, bilinears, strict=True)
    )
    return sum(tilted, start=np.zeros_like(query))


@dataclass(frozen=True)
class GaussianPath:
    r"""A Gaussian law over depth.

    Attributes:
        mean: :math:`m_t` at each time.
        covariance: :math:`\Sigma_t` at each time.

    Home section: *Degenerate diffusion*.
    """

    mean: Float[np.ndarray, "time width"]
    covariance: Float[np.ndarray, "time width width"]


def gaussian_flow(
    mean: Float[np.ndarray, "width"],
    covariance: Float[np.ndarray, "_ _"],
    *,
    values: Float[np.ndarray, "head _ _"],
    bilinears: Float[np.ndarray, "_ _ _"],
    depth_times: Float[np.ndarray, "time"],
) -> GaussianPath:
    r"""Mean and covariance of the tokens along the residual flow, by numerical integration.

    .. math:: \frac{dm}{dt} = \sum_h V_h (I + \Sigma B_h^\top) m, \qquad
        \frac{d\Sigma}{dt} = \sum_h V_h \Sigma B_h^\top \Sigma + \Sigma B_h \Sigma V_h^\top.

    Args:
        mean: :math:`m` at time zero.
        covariance: :math:`\Sigma` at time zero.
        values: :math:`V_h = W_O W_V` of every head.
        bilinears: :math:`B_h = W_Q^\top W_K / \sqrt{d_h}` of every head.
        depth_times: Times :math:`t = \tau L`, ascending from zero or later.

    Raises:
        ValueError: If a matrix or a vector is not of the token width or not finite, the heads of
            ``values`` and ``bilinears`` differ in number, the covariance is not symmetric with
            eigenvalues of at least zero, the times are negative or do not ascend, or the
            covariance blows up before the last of them.

    Source: derived in the home section, theorem *Gaussian closure*.
    Home section: *Degenerate diffusion*.
    """
    width = mean.size
    require_vectors(width, mean=mean)
    require_square_matrices(width, values=values, bilinears=bilinears)
    _require_one_each(values, bilinears)
    require_covariances(width, covariance=covariance)
    require_ascending_times(depth_times)
    scale = np.trace(covariance) or 1.0
    size = np.abs(mean).max() or np.sqrt(scale)
    solution = solve_ivp(
        _velocity,
        (0.0, max(depth_times[-1], np.finfo(float).tiny)),
        np.concatenate([mean, covariance.ravel()]),
        method="DOP853",
        t_eval=depth_times,
        events=_blow_up,
        args=(values, bilinears, _BLOW_UP_FACTOR * scale),
        rtol=_RELATIVE_TOLERANCE,
        atol=_RELATIVE_TOLERANCE * np.repeat([size, scale], [width, width**2]),
    )
    if len(solution.t) < len(depth_times):
        raise ValueError(
            "depth_times must end before the covariance blows up, at t ≈ "
            f"{solution.t_events[0][0]:.6g}; got {depth_times[-1]:.6g}: ask for earlier times."
        )
    means, covariances = np.split(solution.y.T, [width], axis=1)
    return GaussianPath(means, covariances.reshape(-1, width, width))


def _velocity(_time, state, values, bilinears, _bound):
    """Velocity of the mean and of the flattened covariance, for ``solve_ivp``."""
    width = values.shape[-1]
    mean, covariance = state[:width], state[width:].reshape(width, width)
    heads = values @ covariance @ bilinears.swapaxes(-2, -1)
    gradient = heads.sum(axis=0)  # of the velocity field of the tokens
    half = gradient @ covariance
    return np.concatenate([values.sum(axis=0) @ mean + gradient @ mean, (half + half.T).ravel()])


def _blow_up(_time, state, values, _bilinears, bound):
    """Distance of the total variance below its bound, an event of ``solve_ivp``."""
    width = values.shape[-1]
    return bound - np.trace(state[width:].reshape(width, width))


_blow_up.terminal = True


def _require_one_each(
    values: Float[np.ndarray, "_ _ _"], bilinears: Float[np.ndarray, "_ _ _"]
) -> None:
    if len(values) != len(bilinears) or values.size == 0:
        raise ValueError(
            "values and bilinears must have one matrix for each head, and a head at least; got "
            f"shapes {values.shape} and {bilinears.shape}: pass both for the same heads."
        )

"""The Gaussian closure: a Gaussian of tokens stays Gaussian under attention.

Tokens have law :math:`\\mathcal N(m, \\Sigma)` and attend with scores :math:`x^\\top B y`, query
:math:`x` and key :math:`y`. Softmax weights tilt the law of the keys by
:math:`e^{x^\\top B y}`, which moves its mean to :math:`m + \\Sigma B^\\top x` and leaves its
covariance. The output of attention is therefore linear in the query, and the residual flow
:math:`\\dot x = \\sum_h V_h (m + \\Sigma B_h^\\top x)` over heads :math:`h` keeps the law Gaussian.
"""

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from attention_collapse.theory.validation import (
    require_at_least,
    require_positive,
    require_square_matrices,
    require_vectors,
)

_RELATIVE_TOLERANCE = 1e-10
_BLOW_UP_FACTOR = 1e8  # growth of the total variance that the integrator takes for a blow-up


def tilt(
    mean: Float[np.ndarray, "width"],
    covariance: Float[np.ndarray, "width width"],
    *,
    bilinear: Float[np.ndarray, "width width"],
    query: Float[np.ndarray, "*batch _"],
) -> Float[np.ndarray, "*batch width"]:
    r"""Mean of the keys under the softmax weights of a query.

    .. math:: \frac{\mathbb E[y \, e^{x^\top B y}]}{\mathbb E[e^{x^\top B y}]}
        = m + \Sigma B^\top x, \qquad y \sim \mathcal N(m, \Sigma).

    The tilted law is Gaussian with that mean and the same covariance.

    Args:
        mean: :math:`m`.
        covariance: :math:`\Sigma`.
        bilinear: :math:`B = W_Q^\top W_K / \sqrt d` for heads of :math:`d` dimensions.
        query: :math:`x`, one or many.

    Raises:
        ValueError: If a matrix or a vector is not of the token width or not finite, or the
            covariance is not symmetric with eigenvalues of at least zero.

    Source: the closure is that of Castin, Ablin, Carrillo and Peyré (2025); derivation checked in
    tests, to appear in the theory part.
    Home section: *Notation*.
    """
    require_vectors(mean.size, mean=mean, query=query)
    require_square_matrices(mean.size, covariance=covariance, bilinear=bilinear)
    _require_covariance(covariance)
    return mean + query @ bilinear @ covariance


def attention_output(
    mean: Float[np.ndarray, "width"],
    covariance: Float[np.ndarray, "width width"],
    *,
    values: Float[np.ndarray, "head width width"],
    bilinears: Float[np.ndarray, "_ width width"],
    query: Float[np.ndarray, "*batch _"],
) -> Float[np.ndarray, "*batch width"]:
    r"""Output of attention of several heads, :math:`\sum_h V_h (m + \Sigma B_h^\top x)`.

    Args:
        mean: :math:`m`.
        covariance: :math:`\Sigma`.
        values: :math:`V_h = W_O W_V` of every head.
        bilinears: :math:`B_h = W_Q^\top W_K / \sqrt d` of every head.
        query: :math:`x`, one or many.

    Raises:
        ValueError: If a matrix or a vector is not of the token width or not finite, the heads of
            ``values`` and ``bilinears`` differ in number, or the covariance is not symmetric with
            eigenvalues of at least zero.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *Notation*.
    """
    require_vectors(mean.size, query=query)
    require_square_matrices(mean.size, values=values, bilinears=bilinears)
    _require_one_each(values, bilinears)
    tilted = (
        tilt(mean, covariance, bilinear=bilinear, query=query) @ value.T
        for value, bilinear in zip(values, bilinears, strict=True)
    )
    return sum(tilted, start=np.zeros_like(query))


def covariance_flow(
    covariance: Float[np.ndarray, "width width"],
    *,
    values: Float[np.ndarray, "head width width"],
    bilinears: Float[np.ndarray, "_ width width"],
    depth_times: Float[np.ndarray, "time"],
) -> Float[np.ndarray, "time width width"]:
    r"""Covariance of the tokens along the residual flow, a matrix Riccati equation.

    .. math:: \frac{d\Sigma}{dt}
        = \sum_h V_h \Sigma B_h^\top \Sigma + \Sigma B_h \Sigma V_h^\top.

    Args:
        covariance: :math:`\Sigma` at time zero.
        values: :math:`V_h = W_O W_V` of every head.
        bilinears: :math:`B_h = W_Q^\top W_K / \sqrt d` of every head.
        depth_times: Times :math:`t = \tau L`, ascending from zero or later.

    Raises:
        ValueError: If a matrix does not act on the token width or is not finite, the heads of
            ``values`` and ``bilinears`` differ in number, the covariance is not symmetric with
            eigenvalues of at least zero, the times are negative or do not ascend, or the
            covariance blows up before the last of them.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *Notation*.
    """
    width = covariance.shape[0]
    require_square_matrices(width, covariance=covariance, values=values, bilinears=bilinears)
    _require_one_each(values, bilinears)
    _require_covariance(covariance)
    _require_ascending(depth_times)
    scale = np.trace(covariance) or 1.0
    solution = solve_ivp(
        _riccati,
        (0.0, max(depth_times[-1], np.finfo(float).tiny)),
        covariance.ravel(),
        method="DOP853",
        t_eval=depth_times,
        events=_blow_up,
        args=(values, bilinears, _BLOW_UP_FACTOR * scale),
        rtol=_RELATIVE_TOLERANCE,
        atol=_RELATIVE_TOLERANCE * scale,
    )
    if len(solution.t) < len(depth_times):
        raise ValueError(
            "depth_times must end before the covariance blows up, at t ≈ "
            f"{solution.t_events[0][0]:.6g}; got {depth_times[-1]:.6g}: ask for earlier times."
        )
    return solution.y.T.reshape(-1, width, width)


def contracting_variance(
    initial: int | float | Float[np.ndarray, "*#point"],
    *,
    contraction: int | float | Float[np.ndarray, "*#point"],
    bilinear: int | float | Float[np.ndarray, "*#point"],
    depth_time: int | float | Float[np.ndarray, "*#point"],
) -> float | Float[np.ndarray, "*#point"]:
    r"""Variance along one direction when the values point back to the mean, :math:`V = -c`.

    .. math:: \lambda(t) = \frac{\lambda_0}{1 + 2 c b \lambda_0 t}, \qquad
        2 c b t \, \lambda(t) \to 1.

    The variance falls like :math:`1/L`, the distance to the Dirac like :math:`L^{-1/2}`. Arguments
    broadcast.

    Args:
        initial: :math:`\lambda_0`, variance at depth zero.
        contraction: :math:`c`.
        bilinear: :math:`b`, the score coefficient of the direction.
        depth_time: :math:`t = \tau L`.

    Raises:
        ValueError: If ``contraction`` or ``bilinear`` is not positive, or ``initial`` or
            ``depth_time`` is negative.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *Notation*.
    """
    require_positive("contraction", contraction, fix="expanding_variance covers V = +c")
    require_positive("bilinear", bilinear, fix="expanding_variance covers c b < 0")
    require_at_least("initial", initial, 0, fix="a variance is not negative")
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    return initial / (1.0 + 2.0 * contraction * bilinear * initial * depth_time)


def expanding_variance(
    initial: int | float | Float[np.ndarray, "*#point"],
    *,
    expansion: int | float | Float[np.ndarray, "*#point"],
    bilinear: int | float | Float[np.ndarray, "*#point"],
    depth_time: int | float | Float[np.ndarray, "*#point"],
) -> float | Float[np.ndarray, "*#point"]:
    r"""Variance along one direction when the values point away from the mean, :math:`V = +c`.

    .. math:: \lambda(t) = \frac{\lambda_0}{1 - 2 c b \lambda_0 t}, \qquad
        t < t_* = \frac{1}{2 c b \lambda_0}.

    Arguments broadcast.

    Args:
        initial: :math:`\lambda_0`, variance at depth zero.
        expansion: :math:`c`.
        bilinear: :math:`b`, the score coefficient of the direction.
        depth_time: :math:`t = \tau L`, before the blow-up.

    Raises:
        ValueError: If ``initial``, ``expansion`` or ``bilinear`` is not positive, or
            ``depth_time`` is negative or not before the blow-up time.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *Notation*.
    """
    limit = blow_up_time(initial, expansion=expansion, bilinear=bilinear)
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    if not np.all(np.less(depth_time, limit)):
        raise ValueError(
            f"depth_time must be before the blow-up time {limit}; got {depth_time}: the closure "
            "has no solution past it, ask for an earlier time."
        )
    return initial / (1.0 - depth_time / limit)


def blow_up_time(
    initial: int | float | Float[np.ndarray, "*#point"],
    *,
    expansion: int | float | Float[np.ndarray, "*#point"],
    bilinear: int | float | Float[np.ndarray, "*#point"],
) -> float | Float[np.ndarray, "*#point"]:
    r"""Depth time at which an expanding variance is infinite, :math:`t_* = 1 / (2 c b \lambda_0)`.

    Args:
        initial: :math:`\lambda_0`, variance at depth zero.
        expansion: :math:`c`.
        bilinear: :math:`b`, the score coefficient of the direction.

    Raises:
        ValueError: If an argument is not positive.

    Source: derivation checked in tests, to appear in the theory part.
    Home section: *Notation*.
    """
    require_positive("initial", initial, fix="a direction without variance never grows")
    require_positive("expansion", expansion, fix="contracting_variance covers V = -c")
    require_positive("bilinear", bilinear, fix="contracting_variance covers c b < 0")
    return 1.0 / (2.0 * expansion * bilinear * initial)


def _riccati(_time, flat, values, bilinears, _bound):
    """Right side of the Riccati equation on the flattened covariance, for ``solve_ivp``."""
    covariance = flat.reshape(values.shape[1:])
    half = (values @ covariance @ bilinears.swapaxes(-2, -1) @ covariance).sum(0)
    return (half + half.T).ravel()


def _blow_up(_time, flat, values, _bilinears, bound):
    """Distance of the total variance below its bound, an event of ``solve_ivp``."""
    return bound - np.trace(flat.reshape(values.shape[1:]))


_blow_up.terminal = True


def _require_one_each(
    values: Float[np.ndarray, "_ width width"], bilinears: Float[np.ndarray, "_ width width"]
) -> None:
    if len(values) != len(bilinears):
        raise ValueError(
            f"values and bilinears must have one matrix for each head; got {len(values)} and "
            f"{len(bilinears)}: pass both for the same heads."
        )


def _require_covariance(covariance: Float[np.ndarray, "width width"]) -> None:
    scale = np.abs(covariance).max()
    symmetric = np.allclose(covariance, covariance.T, rtol=0.0, atol=_RELATIVE_TOLERANCE * scale)
    if not symmetric or np.linalg.eigvalsh(covariance)[0] < -_RELATIVE_TOLERANCE * scale:
        raise ValueError(
            "covariance must be symmetric with eigenvalues of at least zero; got "
            f"{covariance.tolist()}: compute it as a mean of outer products."
        )


def _require_ascending(depth_times: Float[np.ndarray, "time"]) -> None:
    if depth_times.size == 0:
        raise ValueError("depth_times must have entries; got none: pass the times to report.")
    require_at_least("depth_times", depth_times, 0, fix="count depth from the first layer")
    if not np.all(np.diff(depth_times) > 0):
        raise ValueError(f"depth_times must ascend; got {depth_times}: sort them, without repeats.")

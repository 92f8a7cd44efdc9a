"""Equiangular tokens under normalised attention, solved for any temperature.

All pairs of tokens have the common cosine :math:`\\omega`. In the limit of many tokens attention
gives every token the mean direction, whatever the temperature, and the flow has closed forms.
"""

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.validation import (
    require_at_least,
    require_between,
    require_positive,
)

_COSINE_FIX = "orthogonal tokens rest where they are many, and parallel ones have collapsed"
_NEWTON_STEPS = 8  # the start is within 20 %, from the left of a convex decreasing function


def post_norm_gap(
    depth_time: int | float | Float[np.ndarray, "*#point"],
    *,
    cosine: int | float | Float[np.ndarray, "*#point"],
) -> float | Float[np.ndarray, "*#point"]:
    r"""One minus the common cosine under post-norm.

    .. math:: 1 - \omega = \frac{1 - \omega_0}{1 - \omega_0 + \omega_0\, e^{2t}},
        \qquad \dot\omega = 2 \omega (1 - \omega).

    Arguments broadcast.

    Args:
        depth_time: :math:`t = \tau L`.
        cosine: :math:`\omega_0` at the start, in :math:`(0, 1)`.

    Raises:
        ValueError: If the time is negative or the cosine is not between 0 and 1.

    Source: derived in the home section, theorem *Post-norm, equiangular tokens*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    require_between("cosine", cosine, 0, 1, ends=False, fix=_COSINE_FIX)
    decayed = (1.0 - cosine) * np.exp(-2.0 * np.asarray(depth_time, dtype=np.float64))
    return decayed / (decayed + cosine)


def pre_norm_gap(
    depth_time: int | float | Float[np.ndarray, "*#point"],
    *,
    cosine: int | float | Float[np.ndarray, "*#point"],
    norm: int | float | Float[np.ndarray, "*#point"] = 1.0,
) -> float | Float[np.ndarray, "*#point"]:
    r"""One minus the common cosine under pre-norm.

    .. math:: 1 - \omega = \frac{k^2}{r^2} = \tanh^2 y, \qquad
        \coth y - y = \frac{t + t_0}{k}, \qquad k^2 = (1 - \omega_0)\, r_0^2,

    where :math:`r` is the norm of the tokens and :math:`t_0` the value that gives
    :math:`\omega_0` at :math:`t = 0`. Falls like :math:`(k/t)^2`. Arguments broadcast.

    Args:
        depth_time: :math:`t = \tau L`, in units of the tokens.
        cosine: :math:`\omega_0` at the start, in :math:`(0, 1)`.
        norm: :math:`r_0`, norm of the tokens at the start.

    Raises:
        ValueError: If the time is negative, the cosine is not between 0 and 1 or the norm is not
            positive.

    Source: derived in the home section, theorem *Pre-norm, equiangular tokens*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    return np.tanh(_pre_norm_parameter(depth_time, cosine, norm)) ** 2


def _pre_norm_parameter(depth_time, cosine, norm):
    """Solution :math:`y` of :math:`\\coth y - y = (t + t_0) / k`, by Newton's method.

    The left side is convex and falls, and it exceeds :math:`1/y - y`. So the root of that
    lies below the solution, and Newton's method climbs from it without overshooting.
    """
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    require_between("cosine", cosine, 0, 1, ends=False, fix=_COSINE_FIX)
    require_positive("norm", norm, fix="a zero token has no direction")
    start = np.sqrt(1.0 - np.asarray(cosine, dtype=np.float64))  # tanh y at time zero
    angle = np.log1p(start) - 0.5 * np.log(cosine)  # y at time zero; artanh would cancel
    target = depth_time / (start * norm) + 1.0 / start - angle
    root = np.hypot(target, 2.0)
    parameter = np.where(target > 0, 2.0 / (root + np.abs(target)), (root - target) / 2.0)
    for _ in range(_NEWTON_STEPS):
        tangent = np.tanh(parameter)
        parameter = parameter + tangent * (1.0 - (parameter + target) * tangent)
    return parameter

"""Equiangular tokens under normalised attention, solved for any temperature.

All pairs of tokens have the common cosine :math:`\\omega`. In the limit of many tokens attention
gives every token the mean direction, whatever the temperature, and the flow has closed forms.
"""

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.validation import require_at_least, require_positive

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

    Source: derived in the home section, theorem *Post-norm*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    _require_cosine(cosine)
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

    where :math:`t_0` is the value that gives :math:`\omega_0` at :math:`t = 0`. Falls like
    :math:`(k/t)^2`. Arguments broadcast.

    Args:
        depth_time: :math:`t = \tau L`, in units of the tokens.
        cosine: :math:`\omega_0` at the start, in :math:`(0, 1)`.
        norm: :math:`r_0`, norm of the tokens at the start.

    Raises:
        ValueError: If the time is negative, the cosine is not between 0 and 1 or the norm is not
            positive.

    Source: derived in the home section, theorem *Pre-norm*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    return np.tanh(_pre_norm_parameter(depth_time, cosine, norm)) ** 2


def pre_norm_radius(
    depth_time: int | float | Float[np.ndarray, "*#point"],
    *,
    cosine: int | float | Float[np.ndarray, "*#point"],
    norm: int | float | Float[np.ndarray, "*#point"] = 1.0,
) -> float | Float[np.ndarray, "*#point"]:
    r"""Norm :math:`r` of equiangular tokens under pre-norm, where :math:`\dot r = \omega`.

    .. math:: r + \frac k2 \ln\frac{r - k}{r + k} = t + t_0, \qquad r = k \coth y

    Arguments as in ``pre_norm_gap``.

    Raises:
        ValueError: As ``pre_norm_gap``.

    Source: derived in the home section, theorem *Pre-norm*.
    Home section: *How fast: Dirac at O(1/L)*.
    """
    invariant = np.sqrt(1.0 - np.asarray(cosine)) * norm
    return invariant / np.tanh(_pre_norm_parameter(depth_time, cosine, norm))


def _pre_norm_parameter(depth_time, cosine, norm):
    """Solution :math:`y` of :math:`\\coth y - y = (t + t_0) / k`, by Newton's method.

    The left side is convex and falls, and it exceeds :math:`1/y - y`. So the root of that
    lies below the solution, and Newton's method climbs from it without overshooting.
    """
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")
    _require_cosine(cosine)
    require_positive("norm", norm, fix="a zero token has no direction")
    start = np.sqrt(1.0 - np.asarray(cosine, dtype=np.float64))  # tanh y at time zero
    target = depth_time / (start * norm) + 1.0 / start - np.arctanh(start)
    root = np.hypot(target, 2.0)
    parameter = np.where(target > 0, 2.0 / (root + np.abs(target)), (root - target) / 2.0)
    for _ in range(_NEWTON_STEPS):
        tangent = np.tanh(parameter)
        parameter = parameter + tangent * (1.0 - (parameter + target) * tangent)
    return parameter


def _require_cosine(cosine: int | float | Float[np.ndarray, "*point"]) -> None:
    if not np.all(np.less(0, cosine) & np.less(cosine, 1)):
        raise ValueError(
            f"cosine must be above 0 and below 1; got {cosine}: orthogonal tokens do not move in "
            "the limit of many tokens, and parallel ones have collapsed."
        )

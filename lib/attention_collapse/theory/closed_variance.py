"""Mean and variance of the Gaussian closure along one direction, in closed form.

One head with values :math:`V = \\mp c` and score coefficient :math:`b`. The functions broadcast
over directions and times. ``riccati`` has the forms for matrices.
"""

import numpy as np
from jaxtyping import Float

from attention_collapse.theory.validation import require_at_least, require_positive


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

    Source: derived in the home section, theorem *Riccati equation solved*.
    Home section: *Degenerate diffusion*.
    """
    _require_contracting(initial, contraction, bilinear, depth_time)
    return initial / (1.0 + 2.0 * contraction * bilinear * initial * depth_time)


def contracting_mean(
    initial: int | float | Float[np.ndarray, "*#point"],
    *,
    initial_variance: int | float | Float[np.ndarray, "*#point"],
    contraction: int | float | Float[np.ndarray, "*#point"],
    bilinear: int | float | Float[np.ndarray, "*#point"],
    depth_time: int | float | Float[np.ndarray, "*#point"],
) -> float | Float[np.ndarray, "*#point"]:
    r"""Mean along one direction when the values point back to the mean, :math:`V = -c`.

    .. math:: m(t) = \frac{m_0 \, e^{-c t}}{\sqrt{1 + 2 c b \lambda_0 t}}

    Args:
        initial: :math:`m_0`, mean at depth zero.
        initial_variance: :math:`\lambda_0`, variance at depth zero.
        contraction: :math:`c`.
        bilinear: :math:`b`, the score coefficient of the direction.
        depth_time: :math:`t = \tau L`.

    Raises:
        ValueError: If ``contraction`` or ``bilinear`` is not positive, ``initial_variance`` or
            ``depth_time`` is negative, or ``initial`` is not finite.

    Source: derived in the home section, proposition *Characteristics*.
    Home section: *Degenerate diffusion*.
    """
    if not np.all(np.isfinite(initial)):
        raise ValueError(f"initial must be finite; got {initial}: pass the mean at depth zero.")
    _require_contracting(initial_variance, contraction, bilinear, depth_time)
    growth = 1.0 + 2.0 * contraction * bilinear * initial_variance * depth_time
    return initial * np.exp(-contraction * depth_time) / np.sqrt(growth)


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

    Source: derived in the home section, theorem *Riccati equation solved*.
    Home section: *Degenerate diffusion*.
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

    Source: derived in the home section, theorem *Riccati equation solved*.
    Home section: *Degenerate diffusion*.
    """
    require_positive("initial", initial, fix="a direction without variance never grows")
    require_positive("expansion", expansion, fix="contracting_variance covers V = -c")
    require_positive("bilinear", bilinear, fix="contracting_variance covers c b < 0")
    return 1.0 / (2.0 * expansion * bilinear * initial)


def _require_contracting(variance, contraction, bilinear, depth_time):
    require_positive("contraction", contraction, fix="expanding_variance covers V = +c")
    require_positive("bilinear", bilinear, fix="expanding_variance covers c b < 0")
    require_at_least("initial variance", variance, 0, fix="a variance is not negative")
    require_at_least("depth_time", depth_time, 0, fix="count depth from the first layer")

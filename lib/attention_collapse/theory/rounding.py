"""What rounding to a storage format makes of the distance between nearly equal numbers."""

import numpy as np
from jaxtyping import Float


def rounded_square(
    difference: Float[np.ndarray, "*shape"],
    *,
    spacing: Float[np.ndarray, "*#shape"],
) -> Float[np.ndarray, "*shape"]:
    r"""Mean square of a difference after both numbers were rounded to a grid.

    .. math:: \Delta^2 \bigl((1 - \varphi) k^2 + \varphi (k + 1)^2\bigr), \qquad
        \frac{|\delta|}{\Delta} = k + \varphi, \quad k \in \mathbb N, \quad 0 \le \varphi < 1,

    over all places of the grid: :math:`\Delta |\delta|` for :math:`|\delta| \le \Delta`, and
    :math:`\delta^2` with an excess of :math:`\Delta^2 / 4` at most beyond.

    Args:
        difference: :math:`\delta`, of the numbers before rounding.
        spacing: :math:`\Delta`, of neighbouring numbers of the grid.

    Raises:
        ValueError: If a spacing is not positive and finite, or a difference is not finite.

    Source: derived in the home section, lemma *Rounding*. Home section: *Measuring collapse*.
    """
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise ValueError(
            f"spacing must be positive and finite; got minimum {spacing.min():.3g}: take that of "
            "the stored numbers."
        )
    if not np.isfinite(difference).all():
        raise ValueError("difference must be finite; got NaN or infinity: leave such entries out.")
    steps = np.abs(difference) / spacing
    whole = np.floor(steps)
    return spacing**2 * (whole**2 + (steps - whole) * (2 * whole + 1))


def spacing_of(
    numbers: Float[np.ndarray, "*shape"], *, significant_bits: int
) -> Float[np.ndarray, "*shape"]:
    r"""Distance between neighbouring numbers of a binary format, :math:`2^{e + 1 - b}`.

    Args:
        numbers: Normal numbers of the format, :math:`2^e \le |x| < 2^{e + 1}`.
        significant_bits: :math:`b`, with the hidden one: 8 for bfloat16, 11 for float16, 24 for
            float32.

    Raises:
        ValueError: If there are no significant bits, or a number is zero or not finite.

    Source: IEEE 754. Home section: *Measuring collapse*.
    """
    if significant_bits < 1:
        raise ValueError(
            f"significant_bits must be at least 1, got {significant_bits}: bfloat16 has 8."
        )
    if not np.isfinite(numbers).all() or (numbers == 0).any():
        raise ValueError("numbers must be finite and not zero: zero has no exponent, leave it out.")
    return np.ldexp(1.0, np.frexp(numbers)[1] - significant_bits)

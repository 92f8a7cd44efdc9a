"""Checks of the arguments of the closed forms."""

import numpy as np
from jaxtyping import Float, Num


def require_at_least(
    name: str, value: int | float | Num[np.ndarray, "*shape"], minimum: int | float, *, fix: str
) -> None:
    """Refuse values below a minimum, and values that are not finite.

    Raises:
        ValueError: If any entry of ``value`` is below ``minimum``, infinite or not a number.

    Home section: *Notation*.
    """
    if not (_all_finite(value) and np.all(np.greater_equal(value, minimum))):
        raise ValueError(f"{name} must be finite and at least {minimum}; got {value}: {fix}.")


def require_positive(
    name: str, value: int | float | Num[np.ndarray, "*shape"], *, fix: str
) -> None:
    """Refuse values that are zero, negative or not finite.

    Raises:
        ValueError: If any entry of ``value`` is not a finite number above zero.

    Home section: *Notation*.
    """
    if not (_all_finite(value) and np.all(np.greater(value, 0))):
        raise ValueError(f"{name} must be finite and positive; got {value}: {fix}.")


def require_between(
    name: str,
    value: int | float | Num[np.ndarray, "*shape"],
    lower: int | float,
    upper: int | float,
    *,
    ends: bool,
    fix: str,
) -> None:
    """Refuse values outside an interval, with or without its ends.

    Raises:
        ValueError: If any entry of ``value`` is not a number between ``lower`` and ``upper``, or
            is one of them where ``ends`` is false.

    Home section: *Notation*.
    """
    compare = np.less_equal if ends else np.less
    if not np.all(compare(lower, value) & compare(value, upper)):
        interval = f"[{lower}, {upper}]" if ends else f"({lower}, {upper})"
        raise ValueError(f"{name} must be in {interval}; got {value}: {fix}.")


def require_tokens(name: str, tokens: Float[np.ndarray, "..."]) -> None:
    """Refuse what is no table of tokens, one row for each, with finite entries.

    Raises:
        ValueError: If ``tokens`` does not have two axes, has no entry or has one that is not
            finite.

    Home section: *Notation*.
    """
    if tokens.ndim != 2 or tokens.size == 0:
        raise ValueError(
            f"{name} must have the shape [token width], with a token at least; got "
            f"{tokens.shape}: pass one row for each token."
        )
    _require_finite(name, tokens)


def require_square_matrices(width: int, **matrices: Float[np.ndarray, "... _ _"]) -> None:
    """Refuse matrices that are not finite or do not act on the token width.

    Raises:
        ValueError: If ``width`` is zero, the last two axes of a matrix are not ``width`` or an
            entry is not finite.

    Home section: *Notation*.
    """
    for name, matrix in matrices.items():
        if width == 0:
            raise ValueError(
                f"{name} must act on one direction at least; got shape {matrix.shape}: pass "
                "matrices that are not empty."
            )
        if matrix.shape[-2:] != (width, width):
            raise ValueError(
                f"{name} must end in shape {(width, width)}, the token width; got "
                f"{matrix.shape}: pass matrices that act on the tokens."
            )
        _require_finite(name, matrix)


def require_vectors(width: int, **vectors: Float[np.ndarray, "... _"]) -> None:
    """Refuse vectors that are not finite or not of the token width.

    Raises:
        ValueError: If the last axis of an array is not ``width`` or an entry is not finite.

    Home section: *Notation*.
    """
    for name, vector in vectors.items():
        if vector.shape[-1] != width:
            raise ValueError(
                f"{name} must end in an axis of {width}, the token width; got shape "
                f"{vector.shape}: pass vectors of the tokens' space."
            )
        _require_finite(name, vector)


def require_exponent(name: str, exponent: int | float) -> None:
    """Refuse exponents whose exponential is beyond float64.

    Raises:
        ValueError: If ``exponent`` is not a number or is above 700; :math:`e^{700}` is close to
            the largest float64.

    Home section: *Notation*.
    """
    if not exponent <= 700.0:
        raise ValueError(
            f"{name} must be at most 700, for its exponential to be a float64; got {exponent}: "
            "take the scores after division by sqrt(d)."
        )


def require_covariances(width: int, **covariances: Float[np.ndarray, "... _ _"]) -> None:
    """Refuse matrices that are not symmetric or have a variance below zero.

    Rounding is allowed for in proportion to the largest entry of each matrix.

    Raises:
        ValueError: If a matrix is not finite, not of the token width, not symmetric or has an
            eigenvalue below zero, beyond rounding.

    Home section: *Notation*.
    """
    require_square_matrices(width, **covariances)
    for name, matrix in covariances.items():
        rounding = 1e-10 * np.abs(matrix).max(axis=(-2, -1))
        asymmetry = np.abs(matrix - matrix.swapaxes(-2, -1)).max(axis=(-2, -1))
        smallest = np.linalg.eigvalsh(matrix)[..., 0]
        if np.any(asymmetry > rounding) or np.any(smallest < -rounding):
            raise ValueError(
                f"{name} must be symmetric with variances of at least zero; got an asymmetry of "
                f"{asymmetry.max():.3g} and a smallest eigenvalue of {smallest.min():.3g}: compute "
                "it as a mean of outer products."
            )


def require_ascending_times(depth_times: Float[np.ndarray, "time"]) -> None:
    """Refuse depth times that are missing, negative or out of order.

    Raises:
        ValueError: If there are no times, one is negative or not finite, or they do not ascend.

    Home section: *Notation*.
    """
    if depth_times.size == 0:
        raise ValueError("depth_times must have entries; got none: pass the times to report.")
    require_at_least("depth_times", depth_times, 0, fix="count depth from the first layer")
    if not np.all(np.diff(depth_times) > 0):
        raise ValueError(f"depth_times must ascend; got {depth_times}: sort them, without repeats.")


def _all_finite(value: int | float | Num[np.ndarray, "*shape"]) -> bool:
    """Whether all entries are finite; an integer is, even one that numpy has no type for."""
    return isinstance(value, int) or bool(np.all(np.isfinite(value)))


def _require_finite(name: str, array: Float[np.ndarray, "..."]) -> None:
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite; got a NaN or infinity: clean the input.")
